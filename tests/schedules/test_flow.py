import pytest
import torch

from difflab.schedules import Flow


def test_the_noisiest_state_has_no_signal():
    alpha, sigma, log_snr = Flow(t_min=1e-3).marginal(torch.ones(3, dtype=torch.float64))
    assert (alpha == 0).all() and (sigma == 1).all() and (log_snr == -torch.inf).all()


def test_closed_forms():
    """SNR = ((1-t)/t)^2, so that d log SNR / dt = -2/(t (1-t)) and d SNR / dt = -2 (1-t)/t^3."""
    t = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)
    schedule = Flow(t_min=1e-3)
    torch.testing.assert_close(schedule.slope(t), -2 / (t * (1 - t)), rtol=1e-12, atol=0)
    torch.testing.assert_close(schedule.snr_slope(t), -2 * (1 - t) / t**3, rtol=1e-12, atol=0)
    assert float(schedule.snr_slope(torch.ones((), dtype=torch.float64))) == 0


@pytest.mark.parametrize("t_min", [0.0, 1.0, -0.1])
def test_refusals_name_the_field(t_min):
    with pytest.raises(ValueError, match=r"^schedule\.t_min: "):
        Flow(t_min=t_min)
