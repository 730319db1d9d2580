from statistics import NormalDist

import pytest
import torch

from difflab.times import LogitNormal
from tests.conftest import option

UNIFORM = torch.rand(100_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (-0.5, 0.7), (1.2, 2.0)])
def test_the_logit_of_t_is_normal(mean, std):
    """Kolmogorov-Smirnov inside [t_min, 1]; p = 0.001."""
    schedule = option("schedule", "flow")
    t = LogitNormal(mean, std)(UNIFORM, schedule).t.sort().values
    points = torch.linspace(0.002, 0.999, 500, dtype=torch.float64)
    below = torch.searchsorted(t, points) / len(t)
    expected = torch.tensor([NormalDist(mean, std).cdf(float(p.logit())) for p in points], dtype=torch.float64)
    assert (below - expected).abs().max() < 1.95 / 100_000**0.5


def test_times_before_the_interval_become_its_beginning():
    schedule = option("schedule", "flow", "schedule.t_min=0.2")
    t = LogitNormal(0.0, 1.0)(UNIFORM, schedule).t
    chance = NormalDist().cdf(float(torch.tensor(0.2).logit()))
    assert float((t == 0.2).double().mean()) == pytest.approx(chance, abs=4 * (chance / 100_000) ** 0.5)


@pytest.mark.parametrize(("mean", "std", "field"), [(float("nan"), 1.0, "mean"), (0.0, 0.0, "std")])
def test_refusals_name_the_field(mean, std, field):
    with pytest.raises(ValueError, match=rf"^times\.{field}: .*; allowed are "):
        LogitNormal(mean, std)
