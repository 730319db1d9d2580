import pytest
import torch
from scipy.linalg import sqrtm

from difflab.errors import ConfigError
from difflab.metrics import Moments, frechet_distance


def gaussian(seed, d):
    draw = torch.Generator().manual_seed(seed)
    root = torch.randn(d, d, dtype=torch.float64, generator=draw)
    return torch.randn(d, dtype=torch.float64, generator=draw), root @ root.T / d


@pytest.mark.parametrize("d", [1, 2, 16, 64])
def test_it_is_the_published_formula(d):
    """|a - b|^2 + tr(A + B - 2 sqrt(A B)) with the matrix root of scipy (Heusel et al., 2017, Eq. 6)."""
    (mean_a, cov_a), (mean_b, cov_b) = gaussian(0, d), gaussian(1, d)
    root = torch.as_tensor(sqrtm((cov_a @ cov_b).numpy()).real)
    expected = (mean_a - mean_b).square().sum() + (cov_a + cov_b - 2 * root).trace()
    assert frechet_distance(mean_a, cov_a, mean_b, cov_b) == pytest.approx(float(expected), rel=1e-9)
    assert frechet_distance(mean_b, cov_b, mean_a, cov_a) == pytest.approx(float(expected), rel=1e-9)


def test_of_diagonal_gaussians_it_is_the_distance_of_means_and_deviations():
    mean_a, mean_b = torch.tensor([[1.0, -2.0, 0.5], [0.0, 1.0, 0.5]], dtype=torch.float64)
    std_a, std_b = torch.tensor([[1.0, 0.1, 3.0], [2.0, 0.5, 0.0]], dtype=torch.float64)
    expected = (mean_a - mean_b).square().sum() + (std_a - std_b).square().sum()
    found = frechet_distance(mean_a, std_a.square().diag(), mean_b, std_b.square().diag())
    assert found == pytest.approx(float(expected), rel=1e-12)


@pytest.mark.parametrize("rank", [1, 5, 30])
def test_equal_gaussians_have_none_even_without_full_rank(rank):
    mean, _ = gaussian(0, 30)
    root = torch.randn(30, rank, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert frechet_distance(mean, root @ root.T, mean, root @ root.T) == pytest.approx(0, abs=1e-5)


def test_float32_moments_are_computed_with_in_float64():
    (mean_a, cov_a), (mean_b, cov_b) = gaussian(0, 16), gaussian(1, 16)
    single = frechet_distance(*(m.float() for m in (mean_a, cov_a, mean_b, cov_b)))
    assert single == pytest.approx(frechet_distance(mean_a, cov_a, mean_b, cov_b), rel=1e-5)


@pytest.fixture
def features():
    draw = torch.Generator().manual_seed(0)
    return 7 + torch.randn(500, 8, generator=draw) @ torch.randn(8, 8, generator=draw)


@pytest.mark.parametrize("size", [1, 3, 128, 500])
def test_streamed_moments_are_those_of_one_pass(features, size):
    state = Moments(8)
    for part in features.split(size):
        state.update(part)
    mean, covariance = state.compute()
    torch.testing.assert_close(mean, features.double().mean(0), rtol=1e-12, atol=0)
    torch.testing.assert_close(covariance, features.double().T.cov(), rtol=1e-9, atol=1e-9)


def test_moments_of_processes_add_up(features):
    """What torchmetrics sums over processes are these three states."""
    whole, halves = Moments(8), [Moments(8), Moments(8)]
    whole.update(features)
    for state, part in zip(halves, features.split(300), strict=True):
        state.update(part)
    merged = Moments(8)
    for name in ("count", "total", "outer"):
        setattr(merged, name, getattr(halves[0], name) + getattr(halves[1], name))
    merged.update(features[:0])
    for ours, theirs in zip(merged.compute(), whole.compute(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-9)
    assert set(whole._reductions) == {"count", "total", "outer"}
    assert all(reduce is whole._reductions["count"] for reduce in whole._reductions.values())


def test_reset_forgets(features):
    state = Moments(8)
    state.update(1000 * features)
    state.reset()
    state.update(features)
    torch.testing.assert_close(state.compute()[0], features.double().mean(0), rtol=1e-12, atol=0)


@pytest.mark.parametrize("n", [1, 7, 8])
def test_as_few_images_as_features_are_refused(features, n):
    state = Moments(8)
    state.update(features[:n])
    with pytest.raises(ConfigError, match=rf"metrics\.samples: {n} images; .* 8 features needs more than 8"):
        state.compute()


def test_one_image_more_than_features_is_enough(features):
    state = Moments(8)
    state.update(features[:9])
    _, covariance = state.compute()
    torch.testing.assert_close(covariance, features[:9].double().T.cov(), rtol=1e-9, atol=1e-9)
