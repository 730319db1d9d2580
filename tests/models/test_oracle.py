"""Oracles and their distributions, against quadrature, other closed forms and automatic differentiation."""

import math

import pytest
import torch
from torch.distributions import MultivariateNormal

from difflab.models import Empirical, Gaussian, GaussianOfData, Mixture, Oracle, empirical
from difflab.prediction import X0, Denoiser, V
from difflab.schedules import Marginal
from tests.conftest import Exploding, every, option


def marginal(alpha, sigma):
    alpha, sigma = torch.tensor(alpha, dtype=torch.float64), torch.tensor(sigma, dtype=torch.float64)
    return Marginal(alpha, sigma, 2 * (alpha / sigma).log())


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def covariance(dimensions, rank=None, seed=0):
    root = normal(dimensions, rank or dimensions, seed=seed)
    return root @ root.T / dimensions


# Three components in each form a covariance can have, and in all of them; then the others. Examples are 1 x 2 x 2.
MEANS = 2 * normal(3, 1, 2, 2, seed=1)
WEIGHTS = [0.2, 0.5, 1.3]
FULL = [covariance(4, seed=2), covariance(4, rank=2, seed=3), 0.1 * torch.eye(4).double()]
DIAGONAL = [[0.1, 0.2, 0.3, 0.4], [1.0, 0.0, 1.0, 2.0], [0.5, 0.5, 0.5, 0.5]]
DISTRIBUTIONS = {
    "isotropic": Mixture(WEIGHTS, MEANS, [0.1, 0.0, 2.0]),
    "diagonal": Mixture(WEIGHTS, MEANS, torch.tensor(DIAGONAL, dtype=torch.float64)),
    "full": Mixture(WEIGHTS, MEANS, torch.stack(FULL)),
    "of all forms": Mixture(WEIGHTS, MEANS, [FULL[0], DIAGONAL[1], 0.3]),
    "gaussian": Gaussian(MEANS[0], FULL[1]),
    "gaussian of data": GaussianOfData(normal(9, 1, 2, 2, seed=4)),
    "empirical": Empirical(normal(9, 1, 2, 2, seed=5)),
}
distributions = pytest.mark.parametrize("distribution", DISTRIBUTIONS.values(), ids=DISTRIBUTIONS.keys())
AT = marginal([1.0, 0.9, 0.5, 0.01, 1.0, 0.0], [0.1, 0.4, 0.8, 1.0, 50.0, 1.0])


def noisy(distribution, at, seed=7):
    """Points from the marginals."""
    x0 = distribution.sample(len(at.alpha), torch.Generator().manual_seed(seed)).double()
    return at.alpha.view(-1, 1, 1, 1) * x0 + at.sigma.view(-1, 1, 1, 1) * normal(*x0.shape, seed=seed)


def test_a_mixture_in_one_dimension_is_what_quadrature_says():
    weights, means, variances = torch.tensor([[3, 5, 2], [-10, 5, 20], [0.4, 2, 5]], dtype=torch.float64) / 10
    mixture = Mixture(weights, means[:, None], variances)
    at = marginal([1.0, 0.9, 0.5, 0.01, 1.0, 0.0], [0.05, 0.4, 0.8, 1.0, 5.0, 1.0])
    x = torch.tensor([[-1.2], [0.1], [1.5], [-0.3], [7.0], [0.4]], dtype=torch.float64)
    x0 = torch.linspace(-12, 12, 20_001, dtype=torch.float64)
    prior = (weights * torch.exp(-((x0[:, None] - means) ** 2) / (2 * variances)) / variances.sqrt()).sum(1)
    given = torch.exp(-((x - at.alpha[:, None] * x0) ** 2) / (2 * at.sigma[:, None] ** 2)) / at.sigma[:, None]
    joint = prior * given / (2 * math.pi)
    density = torch.trapezoid(joint, x0)
    mean = torch.trapezoid(joint * x0, x0) / density
    torch.testing.assert_close(mixture.x0_hat(x, at)[:, 0], mean, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(mixture.log_density(x, at), density.log(), rtol=1e-9, atol=1e-9)


@distributions
def test_the_score_and_its_jacobian_are_the_derivatives_of_the_log_density(distribution):
    x = noisy(distribution, AT).requires_grad_()
    (gradient,) = torch.autograd.grad(distribution.log_density(x, AT).sum(), x, create_graph=True)
    score = distribution.score(x, AT)
    torch.testing.assert_close(score, gradient, rtol=1e-9, atol=1e-9)
    direction = normal(*x.shape, seed=8)
    (ours,) = torch.autograd.grad((score * direction).sum(), x)
    (theirs,) = torch.autograd.grad((gradient * direction).sum(), x)
    torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(
    ("name", "matrices"),
    [
        ("isotropic", [v * torch.eye(4).double() for v in (0.1, 0.0, 2.0)]),
        ("diagonal", [torch.tensor(v, dtype=torch.float64).diag() for v in DIAGONAL]),
        ("full", FULL),
        ("of all forms", [FULL[0], torch.tensor(DIAGONAL[1], dtype=torch.float64).diag(), 0.3 * torch.eye(4).double()]),
    ],
)
def test_the_density_of_a_mixture_is_that_of_its_components_by_cholesky(name, matrices):
    x = noisy(DISTRIBUTIONS[name], AT)
    total = torch.zeros(len(x), dtype=torch.float64)
    for weight, mean, matrix in zip(WEIGHTS, MEANS, matrices, strict=True):
        alpha, sigma = AT.alpha[:, None, None], AT.sigma[:, None, None]
        law = MultivariateNormal(
            alpha[:, 0] * mean.flatten(), alpha**2 * matrix + sigma**2 * torch.eye(4, dtype=torch.float64)
        )
        total += weight / sum(WEIGHTS) * law.log_prob(x.flatten(1)).exp()
    torch.testing.assert_close(DISTRIBUTIONS[name].log_density(x, AT), total.log(), rtol=1e-9, atol=1e-9)


def test_the_denoiser_of_a_gaussian_is_linear_regression():
    mean, matrix = MEANS[0].flatten(), FULL[1]
    x = noisy(DISTRIBUTIONS["gaussian"], AT)
    alpha, sigma = AT.alpha[:, None, None], AT.sigma[:, None, None]
    noised = alpha**2 * matrix + sigma**2 * torch.eye(4, dtype=torch.float64)
    residual = x.flatten(1)[:, :, None] - alpha * mean[:, None]
    expected = mean + (alpha * matrix @ torch.linalg.solve(noised, residual))[:, :, 0]
    x0 = DISTRIBUTIONS["gaussian"].x0_hat(x, AT)
    torch.testing.assert_close(x0.flatten(1), expected, rtol=1e-9, atol=1e-9)


@distributions
def test_without_signal_there_is_the_mean_and_standard_noise(distribution):
    at = marginal([0.0] * 5, [0.7] * 5)
    x = normal(5, 1, 2, 2, seed=9)
    mean = distribution.x0_hat(x, at)
    torch.testing.assert_close(mean, mean[:1].expand_as(mean), rtol=0, atol=1e-12)
    draws = distribution.sample(20_000, torch.Generator().manual_seed(0)).double()
    assert ((draws.mean(0) - mean[0]).abs() <= 5 * draws.std(0) / math.sqrt(20_000)).all()
    noise = MultivariateNormal(torch.zeros(4, dtype=torch.float64), 0.49 * torch.eye(4, dtype=torch.float64))
    torch.testing.assert_close(distribution.log_density(x, at), noise.log_prob(x.flatten(1)), rtol=0, atol=1e-9)
    torch.testing.assert_close(distribution.score(x, at), -x / 0.49, rtol=1e-12, atol=0)


@distributions
def test_noise_levels_do_not_meet_in_a_batch(distribution):
    x = noisy(distribution, AT)
    alone = [distribution.x0_hat(x[i : i + 1], Marginal(*(a[i : i + 1] for a in AT))) for i in range(len(x))]
    torch.testing.assert_close(distribution.x0_hat(x, AT), torch.cat(alone), rtol=1e-12, atol=1e-12)


@distributions
def test_single_precision_goes_in_and_comes_out(distribution):
    x = noisy(distribution, AT).float()
    assert torch.equal(distribution.x0_hat(x, AT), distribution.x0_hat(x.double(), AT).float())
    assert torch.equal(distribution.score(x, AT), distribution.score(x.double(), AT).float())
    assert distribution.log_density(x, AT).dtype == torch.float64


@pytest.fixture
def digits():
    from sklearn.datasets import load_digits

    return torch.from_numpy(load_digits().images[:1437, None] / 8 - 1).float()


def test_the_empirical_denoiser_is_a_softmax_over_the_images(digits, monkeypatch):
    at = marginal([1.0, 1.0, 0.9, 0.3, 1.0, 0.0], [0.01, 0.2, 0.436, 0.95, 50.0, 1.0])
    x = noisy(Empirical(digits), at)
    wide = digits.double()
    distance = (x[:, None] - at.alpha.view(-1, 1, 1, 1, 1) * wide).flatten(2).square().sum(2)
    logits = -distance / (2 * at.sigma[:, None] ** 2)
    x0 = torch.einsum("bn,nchw->bchw", logits.softmax(1), wide)
    density = logits.logsumexp(1) - math.log(1437) - 64 * (at.sigma * math.sqrt(2 * math.pi)).log()
    for part in (2**22, 64 * 1000, 1):  # images widened at a time: all, a part and a smaller one, one
        monkeypatch.setattr(empirical, "PART", part)
        torch.testing.assert_close(Empirical(digits).x0_hat(x, at), x0, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(Empirical(digits).log_density(x, at), density, rtol=1e-9, atol=1e-8)


def test_under_little_noise_the_empirical_denoiser_returns_the_image(digits):
    at = marginal([1.0] * 100, [0.01] * 100)
    x = digits[:100] + 0.01 * normal(100, 1, 8, 8).float()
    torch.testing.assert_close(Empirical(digits).x0_hat(x, at), digits[:100], rtol=0, atol=1e-6)


def test_the_empirical_law_is_a_mixture_without_width():
    images = DISTRIBUTIONS["empirical"].images
    mixture = Mixture([1.0] * len(images), images, [0.0] * len(images))
    x = noisy(mixture, AT)
    for name in ("x0_hat", "score", "log_density"):
        ours, theirs = (getattr(d, name)(x, AT) for d in (DISTRIBUTIONS["empirical"], mixture))
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


def test_the_gaussian_of_data_has_its_mean_and_covariance(digits, monkeypatch):
    monkeypatch.setattr(empirical, "PART", 64 * 1000)
    ours, flat = GaussianOfData(digits), digits.double().flatten(1)
    assert ours.axes is not None
    torch.testing.assert_close(ours.means, flat.mean(0, keepdim=True), rtol=0, atol=1e-12)
    matrix = ours.axes[0] * ours.variances[0] @ ours.axes[0].T
    torch.testing.assert_close(matrix, torch.cov(flat.T, correction=0), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["diagonal", "full", "of all forms", "gaussian"])
def test_draws_have_the_moments_of_a_mixture(name):
    law, n = DISTRIBUTIONS[name], 40_000
    draws = law.sample(n, torch.Generator().manual_seed(1))
    assert draws.shape == (n, 1, 2, 2)
    axes = torch.eye(4).double().expand(len(law.means), 4, 4) if law.axes is None else law.axes
    second = torch.einsum("kde,ke,kfe->kdf", axes, law.variances, axes)
    second = torch.einsum("k,kdf->df", law.weights, second + law.means[:, :, None] * law.means[:, None, :])
    products = draws.flatten(1)[:, :, None] * draws.flatten(1)[:, None, :]
    assert ((products.mean(0) - second).abs() < 5 * products.std(0) / math.sqrt(n)).all()
    assert torch.equal(draws, law.sample(n, torch.Generator().manual_seed(1)))


def test_draws_of_the_empirical_law_are_its_images_in_equal_shares():
    law = DISTRIBUTIONS["empirical"]
    draws = law.sample(9000, torch.Generator().manual_seed(1))
    counts = torch.stack([(draws == image).flatten(1).all(1).sum() for image in law.images])
    assert counts.sum() == 9000
    assert ((counts - 1000).abs() < 5 * math.sqrt(1000)).all()


@pytest.mark.parametrize("parameterisation", every("prediction", sigma_data=0.5))
@pytest.mark.parametrize("name", ["of all forms", "empirical"])
@pytest.mark.parametrize(
    "schedule",
    [option("schedule", "linear"), option("schedule", "cosine"), Exploding()],
    ids=["linear", "cosine", "ve"],
)
def test_a_denoiser_with_an_oracle_is_exact_in_every_prediction(schedule, name, parameterisation):
    law = DISTRIBUTIONS[name]
    t = torch.linspace(schedule.t_min, 1, 40, dtype=torch.float64)
    at = schedule.marginal(t)
    x = noisy(law, at)
    said = Denoiser(Oracle(law, parameterisation), schedule, parameterisation)(x, t)
    torch.testing.assert_close(said.x0, law.x0_hat(x, at), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(said.score, law.score(x, at), rtol=1e-9, atol=1e-9)


def test_an_oracle_has_nothing_to_train_and_nothing_to_save():
    oracle = Oracle(DISTRIBUTIONS["of all forms"], X0())
    assert not list(oracle.parameters())
    assert not oracle.state_dict()
    assert list(oracle.buffers())  # they move with the module


@pytest.mark.parametrize(("name", "law"), [("oracle", Empirical), ("oracle_gaussian", GaussianOfData)])
def test_an_option_is_the_oracle_of_the_images_it_is_given(name, law, digits):
    oracle = option("model", name, images=digits, parameterisation=V(), shape=(1, 8, 8))
    schedule = option("schedule", "cosine")
    t = torch.tensor([0.1, 0.5, 1.0], dtype=torch.float64)
    at = schedule.marginal(t)
    x = noisy(law(digits), at)
    torch.testing.assert_close(
        Denoiser(oracle, schedule, V())(x, t).x0, law(digits).x0_hat(x, at), rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize(
    ("field", "weights", "covariances"),
    [
        ("weights", [1.0, 0.0], [1.0, 1.0]),
        ("weights", [1.0], [1.0, 1.0]),
        ("weights", [math.nan, 1.0], [1.0, 1.0]),
        ("covariances", [1.0, 1.0], [1.0]),
        ("covariances", [1.0, 1.0], [1.0, -1.0]),
        ("covariances", [1.0, 1.0], [1.0, [1.0, 1.0, 1.0]]),
        ("covariances", [1.0, 1.0], [1.0, [[1.0, 2.0], [2.0, 1.0]]]),
        ("covariances", [1.0, 1.0], [1.0, [[1.0, 0.5], [0.0, 1.0]]]),
    ],
)
def test_what_is_no_mixture_is_refused(field, weights, covariances):
    with pytest.raises(ValueError, match=rf"distribution\.{field}: .*; allowed "):
        Mixture(weights, [[0.0, 0.0], [1.0, 1.0]], covariances)


def test_no_images_are_refused():
    with pytest.raises(ValueError, match=r"distribution\.images: none; "):
        Empirical(torch.zeros(0, 1, 2, 2))
