import pytest
import torch
from scipy.linalg import sqrtm
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

from difflab.errors import ConfigError
from difflab.metrics import Moments, Reference, frechet_distance, moments
from difflab.metrics.frechet import BLOCK, between_triangles


def gaussian(seed, d):
    draw = torch.Generator().manual_seed(seed)
    root = torch.randn(d, d, dtype=torch.float64, generator=draw)
    return torch.randn(d, dtype=torch.float64, generator=draw), root @ root.T / d


@pytest.mark.parametrize("d", [1, 2, 7, 64])
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


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_moments_of_processes_are_merged(features):
    """What torchmetrics gathers are the states of all; one of the processes had nothing to do."""
    parts = [Moments(8, sync_on_compute=False) for _ in range(2)]
    for state, part in zip(parts, features.split(300), strict=True):
        state.update(part)

    def gather(state, group):
        return [parts[0].sums, state, parts[1].sums]

    idle = Moments(8, dist_sync_fn=gather, distributed_available_fn=lambda: True)
    for ours, theirs in zip(idle.compute(), moments(features), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", [1, 7, 500])
def test_what_features_have_in_common_cancels(features, size):
    """Beside an offset of 1e6 sums of plain squares keep no digit of variances of 1e-6."""
    features = features.double()
    expected = (1e-3 * features).T.cov()
    state = Moments(8)
    for part in (1e6 + 1e-3 * features).split(size):
        state.update(part)
    torch.testing.assert_close(state.compute()[1], expected, rtol=1e-5, atol=1e-11)


def test_reset_forgets(features):
    state = Moments(8)
    state.update(1000 * features)
    state.reset()
    state.update(features)
    torch.testing.assert_close(state.compute()[0], features.double().mean(0), rtol=1e-12, atol=0)


@pytest.mark.parametrize("n", [2, 7, 8])
def test_as_few_images_as_features_are_refused_unless_forced(features, n):
    with pytest.raises(ConfigError, match=rf"metrics\.samples: {n} images; .* 8 features .*metrics\.force=true"):
        moments(features[:n])
    _, covariance = moments(features[:n], force=True)
    torch.testing.assert_close(covariance, features[:n].double().T.cov(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("force", [True, False])
def test_one_image_has_no_covariance(features, force):
    with pytest.raises(ConfigError, match=r"metrics\.samples: 1 images"):
        moments(features[:1], force=force)


def test_one_image_more_than_features_is_enough(features):
    mean, covariance = moments(features[:9])
    torch.testing.assert_close(mean, features[:9].double().mean(0), rtol=1e-12, atol=0)
    torch.testing.assert_close(covariance, features[:9].double().T.cov(), rtol=1e-9, atol=1e-9)


def test_more_images_than_a_batch_are_counted_through(features, monkeypatch):
    monkeypatch.setattr("difflab.metrics.frechet.BATCH", 64)
    torch.testing.assert_close(moments(features)[1], features.double().T.cov(), rtol=1e-9, atol=1e-9)
    features[[400, 450], 3] = torch.nan
    with pytest.raises(ConfigError, match=r"2 of the 500 rows .*row 400;"):
        moments(features)


@pytest.mark.parametrize(("n", "d"), [(500, 8), (300, 64), (40, 64)])
def test_it_equals_torch_fidelity(n, d):
    """On the same features, also where covariances have not full rank."""
    draw = torch.Generator().manual_seed(d)
    mix = torch.randn(d, d, generator=draw) / d**0.5
    ours = [torch.randn(n, d, generator=draw), (torch.randn(n, d, generator=draw) @ mix + 0.1).relu()]
    theirs = fid_statistics_to_metric(*(fid_features_to_statistics(f) for f in ours), verbose=False)
    found = frechet_distance(*moments(ours[0], force=True), *moments(ours[1], force=True))
    assert found == pytest.approx(theirs["frechet_inception_distance"], rel=1e-5)


def test_a_reference_serves_many_distances():
    reference = Reference(*gaussian(0, 16))
    for seed in (1, 2):
        expected = frechet_distance(*gaussian(seed, 16), *gaussian(0, 16))
        assert reference.distance(*gaussian(seed, 16)) == pytest.approx(expected, rel=1e-12)


def test_the_threads_of_the_caller_are_given_back():
    torch.set_num_threads(2)
    try:
        frechet_distance(*gaussian(0, 4), *gaussian(1, 4))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


@pytest.mark.parametrize("d", [7, BLOCK, 2 * BLOCK + 3])
def test_products_of_triangles_leave_nothing_out(d):
    draw = torch.Generator().manual_seed(0)
    half = torch.randn(d, d, generator=draw, dtype=torch.float64)
    cov, lower = half @ half.T, torch.randn(d, d, generator=draw, dtype=torch.float64).tril()
    torch.testing.assert_close(between_triangles(lower, cov).tril(), (lower.T @ cov @ lower).tril())
