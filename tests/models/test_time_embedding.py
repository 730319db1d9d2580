import math

import pytest
import torch

from difflab.models import LogSigma, LogSnr, Nothing, StepIndex
from difflab.models.time_embedding import TimeEmbedding
from tests.conftest import Exploding, option


def test_sines_come_first_at_frequencies_from_1_to_a_ten_thousandth():
    embedding = TimeEmbedding(channels=8, width=4)
    heard = []
    embedding.mlp.register_forward_pre_hook(lambda module, inputs: heard.append(inputs[0]))
    embedding(torch.tensor([0.0, 3.0, 999.0]))
    for row, c_noise in zip(heard[0].tolist(), (0.0, 3.0, 999.0), strict=True):
        angles = [c_noise * 10000 ** (-i / 3) for i in range(4)]
        expected = [math.sin(a) for a in angles] + [math.cos(a) for a in angles]
        assert row == pytest.approx(expected, abs=1e-4)


def test_the_table_is_no_weight():
    """Neither trained, nor averaged, nor saved."""
    assert set(TimeEmbedding(8, 4).state_dict()) == {"mlp.0.weight", "mlp.0.bias", "mlp.2.weight", "mlp.2.bias"}


T = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)


def test_in_continuous_time_a_thousand_takes_the_place_of_the_number_of_steps():
    assert StepIndex()(Exploding(), T).tolist() == [0, 500, 1000]


def test_the_scaled_index_runs_to_a_thousand_for_any_number_of_steps():
    """t - 1/T of 1000: 0.25 a step for T = 4000."""
    schedule, told = option("schedule", "cosine", "schedule.T=4000"), option("c_noise", "scaled_index")
    k = torch.tensor([1, 2, 4000], dtype=torch.float64)
    assert told(schedule, k / 4000).tolist() == pytest.approx([0, 0.25, 999.75], abs=1e-6)
    assert told(Exploding(), T).tolist() == [0, 500, 1000]


def test_log_sigma_is_that_of_x_over_alpha():
    """Karras et al. (2022), Table 1; with alpha = 1 the schedule's own sigma, from 0.01 to 50."""
    expected = [math.log(0.01) / 4, math.log(0.01 * 50) / 8, math.log(50) / 4]
    assert LogSigma()(Exploding(), T).tolist() == pytest.approx(expected, rel=1e-6)


def test_log_snr_means_the_same_noise_on_every_schedule():
    told = LogSnr(highest=10.0, lowest=-10.0)
    assert told(Exploding(), T)[1].item() == pytest.approx(500 + 50 * 2 * math.log(0.01 * 50) / 2, rel=1e-6)
    for schedule in (option("schedule", "linear"), option("schedule", "vp")):
        log_snr = torch.tensor([-5.0, 0.0, 5.0], dtype=torch.float64)
        assert told(schedule, schedule.time(log_snr)).tolist() == pytest.approx([750, 500, 250], rel=1e-6)
    with pytest.raises(ValueError, match=r"model\.c_noise\.lowest"):
        LogSnr(highest=1.0, lowest=1.0)


def test_where_nothing_is_left_of_the_image_the_network_is_told_a_finite_number():
    flow = option("schedule", "flow")
    assert LogSigma()(flow, T[2:]).isfinite().all() and LogSnr(10.0, -10.0)(flow, T[2:]).isfinite().all()


def test_a_network_may_be_told_nothing():
    for schedule in (option("schedule", "linear"), Exploding()):
        told = option("c_noise", "none")(schedule, T[1:])
        assert isinstance(option("c_noise", "none"), Nothing)
        assert told.tolist() == [0, 0] and told.dtype == torch.float32


def test_a_network_may_be_told_the_time_itself():
    told = option("c_noise", "time")(option("schedule", "flow"), T)
    assert told.dtype == torch.float32
    torch.testing.assert_close(told.double(), T, rtol=1e-7, atol=0)
