"""The rows of Frechet distances, of few dimensions and pictures; what they find is not asserted."""

import pytest
import torch

from difflab.metrics import frechet_distance
from difflab.runs.benchmarks.frechet import AGREEMENT, FASTER, SHARE, distance, gaussian, statistics


def test_the_distance_is_that_of_torchmetrics():
    row = distance({"repetitions": 1}, d=24)
    assert row.name == "frechet, distance" and row.ratio == row.ours / row.peer
    value, apart = (float(part.split()[0]) for part in row.how.split("; ")[1].split(", "))
    assert value == pytest.approx(frechet_distance(*gaussian(0, 24), *gaussian(1, 24)), abs=1e-6) and value > 0
    assert apart <= AGREEMENT
    assert row.met == (row.ours * FASTER <= row.peer)


def test_its_covariances_have_full_rank_and_unlike_directions():
    _, covariance = gaussian(1, 24)
    values = torch.linalg.eigvalsh(covariance)
    assert values[0] > 0 and values[-1] / values[0] > 20


@pytest.mark.slow  # a network of 24 million weights
def test_all_but_the_layers_of_the_network_is_a_share():
    row = statistics({"repetitions": 1, "images": 8, "batch_size": 1})
    assert row.name == "frechet, statistics" and 0 < row.ours < 1
    assert row.met == (row.ours <= SHARE)
    assert "for 8 images" in row.how
