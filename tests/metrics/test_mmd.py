import pytest
import torch

from difflab.errors import ConfigError
from difflab.metrics import mmd


def features(n, d, seed, shift=0.0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed)) + shift


@pytest.mark.parametrize("bandwidth", [0.5, 10.0])
def test_it_is_the_sum_over_all_pairs(bandwidth, monkeypatch):
    """Jayasumana et al. (2024), section 4, from the differences themselves."""
    monkeypatch.setattr("difflab.metrics.pairs.ROWS", 32)
    monkeypatch.setattr("difflab.metrics.pairs.COLUMNS", 50)
    a, b = features(70, 16, 0), features(110, 16, 1, shift=0.3)
    x, y = (f.double() / f.double().norm(dim=1, keepdim=True) for f in (a, b))

    def kernel(p, q):
        return (-(p[:, None] - q[None]).square().sum(2) / (2 * bandwidth**2)).exp().mean()

    assert mmd(a, b, bandwidth) == pytest.approx(
        float(1000 * (kernel(x, x) + kernel(y, y) - 2 * kernel(x, y))), rel=1e-8
    )


def test_equal_sets_have_none():
    assert mmd(features(50, 8, 0), features(50, 8, 0), 10) == pytest.approx(0, abs=1e-12)


def test_only_directions_count():
    a, b = features(50, 8, 0), features(60, 8, 1, shift=0.5)
    assert mmd(5 * a, b / 7, 10) == pytest.approx(mmd(a, b, 10), rel=1e-5)


def test_at_a_wide_kernel_it_is_the_distance_of_the_mean_directions():
    """1 - kernel is |x - y|^2 / 200 on the unit sphere, to 1%: 1000 |E x - E y|^2 / 100."""
    a, b = features(500, 8, 0), features(500, 8, 1, shift=1.0)
    shift = (a / a.norm(dim=1, keepdim=True)).mean(0) - (b / b.norm(dim=1, keepdim=True)).mean(0)
    assert mmd(a, b, 10) == pytest.approx(10 * float(shift.square().sum()), rel=0.02)


def test_a_bandwidth_of_zero_is_refused():
    with pytest.raises(ConfigError, match=r"metrics\.distances\.mmd\.bandwidth: 0"):
        mmd(features(5, 2, 0), features(5, 2, 1), 0)
