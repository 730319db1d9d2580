import math

import pytest
import torch

from difflab.schedules import Karras, Linear, LogSnrShift

CHAIN = Linear(100, beta_first=1e-4, beta_last=0.02)
T = torch.arange(1, 101, dtype=torch.float64) / 100


@pytest.mark.parametrize(("shape", "n"), [((3, 64, 64), 2), ((1, 8, 8), 0.25), ((3, 128, 32), 2), ((3, 32, 32), 1)])
def test_averaging_down_gives_the_noise_of_the_reference(shape, n):
    """A mean over n x n pixels divides the variance of the noise by n^2 and leaves alpha."""
    at, reference = LogSnrShift(CHAIN, shape, reference=32.0).marginal(T), CHAIN.marginal(T)
    averaged = (at.alpha / (at.sigma / n)) ** 2
    torch.testing.assert_close(averaged, reference.log_snr.exp(), rtol=1e-11, atol=0)


def test_time_is_shifted_too():
    shifted = LogSnrShift(CHAIN, (3, 64, 64), reference=32.0)
    log_snr = torch.linspace(-5, 5, 11, dtype=torch.float64)
    torch.testing.assert_close(shifted.time(log_snr), CHAIN.time(log_snr + 2 * math.log(2)), rtol=1e-12, atol=0)
    assert (shifted.T, shifted.L, shifted.t_min) == (CHAIN.T, CHAIN.L, CHAIN.t_min)


def test_refusals():
    with pytest.raises(ValueError, match=r"^warp: .*variance-preserving schedule; Karras is none"):
        LogSnrShift(Karras(sigma_min=0.002, sigma_max=80.0, rho=7.0), (3, 32, 32), reference=32.0)
    with pytest.raises(ValueError, match=r"^warp: .*images of \[\.\.\., H, W\]"):
        LogSnrShift(CHAIN, (2,), reference=32.0)
    with pytest.raises(ValueError, match=r"^warp\.reference: 0"):
        LogSnrShift(CHAIN, (3, 32, 32), reference=0)
