import numpy as np
import pytest
import torch
from torch_fidelity.metric_kid import kid_features_to_metric

from difflab.errors import ConfigError
from difflab.metrics import kernel_distance


def features(n, d, seed, dtype=torch.float32):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=dtype).relu() * (1 + 0.1 * seed)


@pytest.mark.parametrize(("dtype", "rel"), [(torch.float32, 1e-4), (torch.float64, 1e-10)])
@pytest.mark.parametrize(("subsets", "size", "seed"), [(1, 200, 0), (10, 50, 7)])
def test_it_equals_torch_fidelity(subsets, size, seed, dtype, rel):
    a, b = features(200, 64, 1, dtype), features(300, 64, 2, dtype)
    theirs = kid_features_to_metric(
        a, b, kid_subsets=subsets, kid_subset_size=size, rng_seed=seed, kid_kernel_poly_degree=3, verbose=False
    )
    mean, std = kernel_distance(a, b, subsets, size, seed)
    assert mean == pytest.approx(theirs["kernel_inception_distance_mean"], rel=rel)
    assert std == pytest.approx(theirs["kernel_inception_distance_std"], rel=rel, abs=1e-7)


def test_of_whole_sets_it_is_the_sum_over_all_pairs():
    """Binkowski et al. (2018), Eq. 4, pair by pair."""
    a, b = features(6, 3, 1), features(6, 3, 2)
    k = [[(float(x.double() @ y.double()) / 3 + 1) ** 3 for y in [*a, *b]] for x in [*a, *b]]
    within = sum(k[i + s][j + s] for s in (0, 6) for i in range(6) for j in range(6) if i != j) / 30
    across = sum(k[i][j + 6] for i in range(6) for j in range(6)) / 36
    assert kernel_distance(a, b, subsets=1, size=6, seed=0)[0] == pytest.approx(within - 2 * across, rel=1e-9)


def test_it_is_unbiased():
    """Of sets from one distribution the mean is 0, however few there are."""
    found = [kernel_distance(*features(2 * 20, 8, s).div(1 + 0.1 * s).split(20), 1, 20, 0)[0] for s in range(300)]
    assert abs(np.mean(found)) < 3 * np.std(found) / 300**0.5
    assert np.std(found) > 0


@pytest.mark.parametrize("size", [0, 1, 31, 1000])
def test_a_subset_above_either_set_is_refused(size):
    for n, m in ((30, 50), (50, 30)):
        with pytest.raises(ConfigError, match=rf"metrics\.distances\.kernel\.size: {size}, .*allowed are 2 to 30"):
            kernel_distance(features(n, 4, 0), features(m, 4, 1), subsets=2, size=size, seed=0)


def test_no_subset_is_refused():
    with pytest.raises(ConfigError, match=r"metrics\.distances\.kernel\.subsets: 0"):
        kernel_distance(features(9, 4, 0), features(9, 4, 1), subsets=0, size=5, seed=0)
