"""Which value of a figure is its best."""

import pytest

from difflab.training.loggers.summaries import best


@pytest.mark.parametrize(
    ("key", "which"),
    [
        ("val/bits_per_dim", "min"),
        ("test/bits_per_dim", "min"),
        ("val/loss", "min"),
        ("test/fid", "min"),
        ("test/fd_classifier", "min"),
        ("test/fd_efficientnet_lite0_infinity", "min"),
        ("test/energy_distance", "min"),
        ("train/images_per_second", "max"),
        ("test/is", "max"),
        ("test/precision_classifier", "max"),
        ("train/loss", None),
        ("train/lr", None),
        ("test/bits_per_dim_prior", None),
        ("test/bits_per_dim_stderr", None),
        ("test/fd_classifier_floor", None),
        ("test/fd_classifier_stderr", None),
        ("test/fd_classifier_samples", None),
        ("test/energy_distance_floor_stderr", None),
        ("test/energy_p_value", None),
    ],
)
def test_the_best_of_a_figure(key, which):
    assert best(key) == which
