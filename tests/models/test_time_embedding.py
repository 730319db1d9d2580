import math

import pytest
import torch

from difflab.models import StepIndex
from difflab.models.time_embedding import TimeEmbedding
from tests.conftest import Exploding


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


def test_a_schedule_without_steps_has_no_index():
    with pytest.raises(ValueError, match=r"model\.c_noise"):
        StepIndex()(Exploding(), torch.tensor([0.5], dtype=torch.float64))
