import pytest
import torch

from difflab import metrics
from difflab.errors import ConfigError

GAUSSIAN = torch.zeros(4), torch.eye(4)
PAIRS = {
    "kernel_distance": lambda a, b: metrics.kernel_distance(a, b, subsets=1, size=5, seed=0),
    "precision_recall": lambda a, b: metrics.precision_recall(a, b, k=3),
    "mmd": lambda a, b: metrics.mmd(a, b, bandwidth=10),
    "nearest": metrics.nearest,
    "copied_share": lambda a, b: metrics.copied_share(a[:, 0], b[:, 0]),
}
SINGLES = {
    "moments": metrics.moments,
    "frechet_at_infinity": lambda a: metrics.frechet_at_infinity(a, *GAUSSIAN, seed=0),
    "inception_score": lambda a: metrics.inception_score(a, splits=1, seed=0),
}
EVERY = {name: (lambda a, b, f=f: f(a)) for name, f in SINGLES.items()} | PAIRS


@pytest.fixture
def good():
    return torch.randn(60, 4, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", EVERY)
def test_no_rows_are_refused(name, good):
    EVERY[name](good, good)
    with pytest.raises(ConfigError, match=r"metrics\.samples: 0 rows"):
        EVERY[name](good[:0], good)
    if name in PAIRS:
        with pytest.raises(ConfigError, match=r"metrics\.samples: 0 rows"):
            EVERY[name](good, good[:0])


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize("name", EVERY)
def test_what_is_not_finite_is_refused_by_its_number(name, good, value):
    bad = good.clone()
    bad[[17, 30], 0] = value
    with pytest.raises(ConfigError, match=r"^metrics: 2 of the 60 rows .*row 17; .*$") as refused:
        EVERY[name](bad, good)
    assert "\n" not in str(refused.value)
    if name in PAIRS:
        with pytest.raises(ConfigError, match=r"row 17;"):
            EVERY[name](good, bad)
