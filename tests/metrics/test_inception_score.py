import pytest
import torch
from torch_fidelity.metric_isc import isc_features_to_metric

from difflab.errors import ConfigError
from difflab.metrics import inception_score


@pytest.mark.parametrize(("splits", "seed"), [(1, 0), (10, 2020), (7, 3)])
def test_it_equals_torch_fidelity(splits, seed):
    logits = 3 * torch.randn(501, 20, generator=torch.Generator().manual_seed(0))
    theirs = isc_features_to_metric(logits, splits=splits, shuffle=True, rng_seed=seed)
    mean, std = inception_score(logits, splits, seed)
    assert mean == pytest.approx(theirs["inception_score_mean"], rel=1e-9)
    assert std == pytest.approx(theirs["inception_score_std"], rel=1e-7, abs=1e-12)


def test_of_sure_and_even_answers_it_is_the_number_of_classes():
    """A chance that is 0 in float64 says nothing, instead of being not a number."""
    logits = torch.eye(5).repeat(8, 1) * 1e4
    assert inception_score(logits, 1, 0)[0] == pytest.approx(5, rel=1e-9)


def test_of_equal_answers_it_is_one():
    logits = torch.randn(1, 5, generator=torch.Generator().manual_seed(0)).repeat(40, 1)
    assert inception_score(logits, 4, 0) == pytest.approx((1, 0), abs=1e-9)


@pytest.mark.parametrize("splits", [0, 11])
def test_more_splits_than_images_are_refused(splits):
    with pytest.raises(ConfigError, match=rf"inception_score\.splits: {splits}, with 10 samples; allowed are 1 to 10"):
        inception_score(torch.randn(10, 3), splits, 0)
