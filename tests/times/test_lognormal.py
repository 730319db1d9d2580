from statistics import NormalDist

import pytest
import torch

from difflab.times import LogNormal
from tests.conftest import option

EDM = NormalDist(-1.2, 1.2)
UNIFORM = torch.rand(100_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", ["karras", "flow", "vp", "subvp"])
def test_log_sigma_over_alpha_is_normal(name):
    """Kolmogorov-Smirnov on the part of the density that the schedule's interval holds; p = 0.001."""
    schedule = option("schedule", name)
    ends = schedule.marginal(torch.tensor([schedule.t_min, 1.0], dtype=torch.float64)).log_snr / -2
    found = schedule.marginal(LogNormal(-1.2, 1.2)(UNIFORM, schedule).t).log_snr / -2
    points = torch.tensor([EDM.inv_cdf(i / 100) for i in range(1, 100)], dtype=torch.float64)
    points = points[(points > ends[0] + 1e-6) & (points < ends[1] - 1e-6)]
    assert len(points) > 50
    below = torch.searchsorted(found.sort().values, points) / len(found)
    expected = torch.tensor([EDM.cdf(float(p)) for p in points], dtype=torch.float64)
    assert (below - expected).abs().max() < 1.95 / 100_000**0.5


def test_on_a_chain_each_step_has_the_density_nearest_to_it():
    """Chi-square over the 20 steps: 19 degrees of freedom, p = 0.001."""
    schedule = option("schedule", "cosine", "schedule.T=20")
    between = (torch.arange(1, 20, dtype=torch.float64) + 0.5) / 20
    edges = schedule.marginal(between).log_snr / -2
    cumulative = torch.tensor([0.0, *(EDM.cdf(float(e)) for e in edges), 1.0], dtype=torch.float64)
    expected = 100_000 * cumulative.diff()
    k = (LogNormal(-1.2, 1.2)(UNIFORM, schedule).t * 20).round().long()
    counts = k.bincount(minlength=21)[1:]
    assert ((counts - expected) ** 2 / expected).sum() < 43.8


@pytest.mark.parametrize(("mean", "std", "field"), [(float("inf"), 1.0, "mean"), (0.0, 0.0, "std"), (0.0, -1.0, "std")])
def test_refusals_name_the_field(mean, std, field):
    with pytest.raises(ValueError, match=rf"^times\.{field}: .*; allowed are "):
        LogNormal(mean, std)
