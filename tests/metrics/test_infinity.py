import pytest
import torch

from difflab.errors import ConfigError
from difflab.metrics import Reference, frechet_at_infinity, frechet_distance, moments


def gaussian(seed, d):
    draw = torch.Generator().manual_seed(seed)
    root = torch.randn(d, 2 * d, dtype=torch.float64, generator=draw)
    return 0.3 * torch.randn(d, dtype=torch.float64, generator=draw), root @ root.T / (2 * d)


def like(mean, cov):
    """Another Gaussian that is nearly, and one that is just this one."""
    return {"far": gaussian(1, len(mean)), "near": (mean + 0.1, 1.1 * cov), "equal": (mean, cov)}


def trials(kind, n, d, sets):
    """Error of the plain distance, error at infinity and standard error, of simulated sets."""
    reference = gaussian(0, d)
    mean, cov = like(*reference)[kind]
    truth, root = frechet_distance(mean, cov, *reference), torch.linalg.cholesky(cov)
    draw, found = torch.Generator().manual_seed(2), []
    for seed in range(sets):
        samples = mean + torch.randn(n, d, dtype=torch.float64, generator=draw) @ root.T
        value, stderr = frechet_at_infinity(samples, *reference, seed=seed)
        found.append((Reference(*reference).distance(*moments(samples)) - truth, value - truth, stderr))
    return torch.tensor(found, dtype=torch.float64).T


def check(kind, n, d, sets, least):
    """The bias goes, and two standard errors cover the truth as they should."""
    plain, error, stderr = trials(kind, n, d, sets)
    assert error.mean().abs() < 3 * error.std() / sets**0.5 + 0.05 * plain.mean()
    assert ((error.abs() < 2 * stderr).double().mean()) >= least
    assert 0.8 < stderr.mean() / error.std() < 1.8
    return plain, error, stderr


@pytest.mark.parametrize("kind", ["far", "near", "equal"])
def test_the_bias_goes_and_the_error_is_honest(kind):
    plain, error, _ = check(kind, n=400, d=8, sets=40, least=0.85)
    if kind != "far":
        assert plain.mean() > 10 * error.mean().abs()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["far", "near", "equal"])
@pytest.mark.parametrize(("n", "d"), [(400, 8), (2000, 8), (400, 32), (2000, 32), (140, 64)])
def test_two_standard_errors_cover_the_truth(kind, n, d):
    plain, error, stderr = check(kind, n, d, sets=200, least=0.88 if n > 3 * d else 0.85)
    covered = (error.abs() < 2 * stderr).double().mean()
    print(
        f"{kind} n={n} d={d}: bias {plain.mean():.4f} -> {error.mean():.4f}, "
        f"spread {error.std():.4f}, stderr {stderr.mean():.4f}, covered {covered:.3f}"
    )


def test_it_is_a_function_of_the_seed():
    reference, samples = gaussian(0, 4), torch.randn(99, 4, generator=torch.Generator().manual_seed(0))
    first, again, other = (frechet_at_infinity(samples, *reference, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other


@pytest.mark.parametrize(("n", "d"), [(32, 16), (39, 2), (40, 20), (41, 20)])
def test_too_few_samples_are_refused(n, d):
    with pytest.raises(ConfigError, match=rf"metrics\.samples: {n}; .* on {d} features needs {max(2 * d + 2, 40)} or"):
        frechet_at_infinity(torch.randn(n, d), *gaussian(0, d), seed=0)


@pytest.mark.parametrize(("n", "d", "force"), [(42, 20, False), (40, 20, True), (40, 50, True)])
def test_enough_samples_or_force_give_a_figure(n, d, force):
    samples = torch.randn(n, d, generator=torch.Generator().manual_seed(0))
    value, stderr = frechet_at_infinity(samples, *gaussian(0, d), seed=0, force=force)
    assert value < Reference(*gaussian(0, d)).distance(*moments(samples, force=True))
    assert stderr > 0
