import pytest
import torch

from difflab.times import LogSNR
from tests.conftest import option

UNIFORM = torch.rand(100_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", ["vp", "subvp", "geometric", "karras", "flow", "learned"])
def test_log_snr_is_uniform_between_the_ends(name):
    """Kolmogorov-Smirnov, p = 0.001; the infinite end of flow is cut at -20."""
    schedule = option("schedule", name)
    with torch.no_grad():
        ends = schedule.marginal(torch.tensor([1.0, schedule.t_min], dtype=torch.float64)).log_snr
        low, high = max(float(ends[0]), -20.0), float(ends[1])
        uniform = UNIFORM[:5000]
        found = schedule.marginal(LogSNR(-20.0, 20.0)(uniform, schedule).t).log_snr.sort().values
    expected = torch.linspace(low, high, len(found), dtype=torch.float64)
    assert (found - expected).abs().max() / (high - low) < 1.95 / len(found) ** 0.5


def test_on_a_chain_each_step_has_the_range_nearest_to_it():
    """Chi-square over the 20 steps: 19 degrees of freedom, p = 0.001."""
    schedule = option("schedule", "cosine", "schedule.T=20")
    edges = torch.cat([torch.tensor([1.0]), torch.arange(1, 20) + 0.5, torch.tensor([20.0])]).double() / 20
    falls = -schedule.marginal(edges).log_snr.diff()
    expected = 100_000 * falls / falls.sum()
    k = (LogSNR(-20.0, 20.0)(UNIFORM, schedule).t * 20).round().long()
    counts = k.bincount(minlength=21)[1:]
    assert ((counts - expected) ** 2 / expected).sum() < 43.8


@pytest.mark.parametrize(("low", "high"), [(20.0, -20.0), (1.0, 1.0), (float("-inf"), 0.0)])
def test_refusals_name_the_field(low, high):
    with pytest.raises(ValueError, match=r"^times\.log_snr_min: .*; allowed are "):
        LogSNR(low, high)
