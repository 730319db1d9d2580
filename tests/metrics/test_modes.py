import pytest
import torch

from difflab.distributions import Mixture
from difflab.metrics import binomial_stderr, mode_weights

FAR = torch.tensor([[-5.0, -5.0], [5.0, 5.0], [0.0, 30.0]], dtype=torch.float64)


def test_points_count_for_the_nearest_mean():
    x = torch.tensor([[-4.0, -4.0], [6.0, 5.0], [-1.0, 0.5], [5.0, 5.0]])
    assert mode_weights(x, FAR).tolist() == [0.5, 0.5, 0.0]


def test_the_errors_are_those_of_many_draws():
    """Of 400 sets of 100 points: the spread of the shares is what each set says of its own."""
    law = Mixture([0.2, 0.7, 0.1], FAR, [1.0, 1.0, 1.0])
    sets = law.sample(40_000, torch.Generator().manual_seed(0)).view(400, 100, 2)
    shares = torch.stack([mode_weights(x, law.means) for x in sets])
    said = torch.stack([binomial_stderr(share, 100) for share in shares])
    torch.testing.assert_close(shares.mean(0), law.weights, atol=4 * 0.046 / 20, rtol=0)
    torch.testing.assert_close(said.square().mean(0).sqrt(), shares.std(0), rtol=0.15, atol=0)
    assert said[0].tolist() == pytest.approx([float((p * (1 - p) / 100) ** 0.5) for p in shares[0]])
