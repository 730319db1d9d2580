import math

import pytest
import torch
from scipy.stats import kstest, multivariate_normal

from difflab.distributions import Mixture
from difflab.errors import ConfigError
from difflab.schedules import Marginal
from tests.data.point_sets import point_set

pytestmark = pytest.mark.slow  # left to make test, so that make check stays quick

THREE = {
    "weights": [1, 2, 5],
    "means": [[-9, 0], [0, 9], [9, -4]],
    "covariances": [0.5, [1.0, 0.25], [[2.0, 0.9], [0.9, 1.0]]],
}
COVARIANCES = ([[0.5, 0], [0, 0.5]], [[1.0, 0], [0, 0.25]], [[2.0, 0.9], [0.9, 1.0]])


def test_components_have_their_shares_means_and_covariances():
    x = point_set("gaussian_mixture", **THREE).exact(40000, torch.Generator().manual_seed(0)).double()
    means = torch.tensor([[-9.0, 0], [0, 9], [9, -4]], dtype=torch.float64)
    nearest = torch.cdist(x, means).argmin(1)
    for k, (weight, covariance) in enumerate(zip((1, 2, 5), COVARIANCES, strict=True)):
        mine = x[nearest == k]
        assert len(mine) / len(x) == pytest.approx(weight / 8, abs=0.008)
        torch.testing.assert_close(mine.mean(0), means[k], atol=0.05, rtol=0)
        torch.testing.assert_close(mine.T.cov(), torch.tensor(covariance, dtype=torch.float64), atol=0.06, rtol=0.04)


def test_the_distribution_is_the_law_of_the_points():
    data = point_set("gaussian_mixture", **THREE)
    assert isinstance(data.distribution, Mixture)
    x = data.exact(50, torch.Generator().manual_seed(0)).double()
    sigma = 0.7
    wider = [torch.tensor(c, dtype=torch.float64) + sigma**2 * torch.eye(2, dtype=torch.float64) for c in COVARIANCES]
    by_scipy = sum(
        weight / 8 * multivariate_normal(mean, covariance).pdf(x)
        for weight, mean, covariance in zip(THREE["weights"], THREE["means"], wider, strict=True)
    )
    one = torch.ones(50, dtype=torch.float64)
    at = Marginal(one, sigma * one, -2 * math.log(sigma) * one)
    torch.testing.assert_close(data.distribution.log_density(x, at).exp(), torch.as_tensor(by_scipy), rtol=1e-9, atol=0)


def test_by_default_one_point_of_five_is_at_the_lower_left():
    data = point_set("gaussian_mixture")
    data.setup()
    x = data.train.points.double()
    low = x.sum(1) < 0
    assert float(low.double().mean()) == pytest.approx(0.2, abs=0.01)
    for mean, mine in ((-5, x[low]), (5, x[~low])):
        for numbers in mine.T:
            assert kstest(numbers.numpy(), "norm", (mean, 1)).pvalue > 1e-3
    assert data.sigma_data == pytest.approx(math.sqrt(17), rel=0.01)


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("weights", [0.2, 0.3, 0.5], "as many as there are means: 2"),
        ("weights", [0.0, 1.0], "positive"),
        ("weights", [-0.2, 1.2], "positive"),
        ("weights", [math.inf, 1.0], "positive"),
        ("means", [], "pairs"),
        ("means", [[1.0], [2.0]], "pairs"),
        ("means", [[1.0, 2.0], [2.0, 3.0, 4.0]], "pairs"),
        ("means", [[1.0, 2.0], [math.nan, 3.0]], "pairs"),
        ("covariances", [1.0], "as many as there are means: 2"),
        ("covariances", [1.0, -1.0], "below 0"),
        ("covariances", [1.0, [1.0, 2.0, 3.0]], "2 variances"),
        ("covariances", [1.0, [[1.0, 2.0], [2.0, 1.0]]], "below 0"),
        ("covariances", [1.0, [[1.0, 0.5], [0.0, 1.0]]], "symmetric"),
        ("covariances", [1.0, math.inf], "finite"),
        ("covariances", [1.0, [[1.0], [2.0, 1.0]]], "2 variances"),
    ],
)
def test_what_is_no_mixture_is_refused(field, value, says):
    with pytest.raises(ConfigError, match=rf"^data\.{field}: .*{says}"):
        point_set("gaussian_mixture", **{field: value})
