"""The network of variational diffusion models."""

import pytest
import torch
from torch import nn

from difflab.models import VDM, StepIndex


def small(**change):
    torch.manual_seed(0)
    settings = {"channels": 32, "blocks": 2, "fourier": [6, 7], "dropout": 0.0, "groups": 8, "checkpointing": False}
    return VDM((3, 8, 8), StepIndex(), **settings | change)


def test_fourier_features_have_the_period_of_their_power():
    network, x = small(), torch.randn(2, 3, 8, 8)
    sines, shifted = network.beside(x), network.beside(x + 2**-7)
    assert sines.shape == (2, 15, 8, 8)
    torch.testing.assert_close(sines[:, :3], x, rtol=0, atol=0)
    for first, sign in ((3, -1), (6, 1), (9, -1), (12, 1)):  # a half of the period of n = 6, a whole one of n = 7
        torch.testing.assert_close(shifted[:, first : first + 3], sign * sines[:, first : first + 3], rtol=0, atol=2e-3)
    torch.testing.assert_close(sines[:, 3:6] ** 2 + sines[:, 9:12] ** 2, torch.ones(2, 3, 8, 8))


def test_first_weights_have_the_variance_of_their_fan_in():
    weights = [m.weight for m in small(channels=128).modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    drawn = [w for w in weights if w.any()]
    assert len(drawn) < len(weights)
    for w in drawn:
        assert float(w.detach().std()) * w[0].numel() ** 0.5 == pytest.approx(1, rel=0.05)


def test_checkpointing_changes_no_gradient():
    x, c_noise = torch.randn(2, 3, 8, 8), torch.tensor([1.0, 5.0])
    found = []
    for checkpointing in (False, True):
        network = small(checkpointing=checkpointing)
        nn.init.normal_(network.conv_out.weight, std=0.1, generator=torch.Generator().manual_seed(1))
        network(x, c_noise).square().sum().backward()
        found.append([p.grad for p in network.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
