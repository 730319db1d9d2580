import pytest
import torch

from difflab.prediction import X0, Denoiser
from difflab.samplers.sampler import Walk
from difflab.samplers.threshold import Clip, Dynamic, threshold
from tests.conftest import Formula, option


@pytest.fixture
def images():
    """One within the range, one far out of it."""
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return x * torch.tensor([0.1, 2.0], dtype=torch.float64).reshape(-1, 1, 1, 1)


def test_true_clips_false_does_nothing_and_a_number_is_a_percentile():
    assert isinstance(threshold(True), Clip)
    assert threshold(False) is None
    dynamic = threshold(0.9)
    assert isinstance(dynamic, Dynamic)
    assert dynamic.percentile == 0.9


def test_clip_moves_to_the_nearest_end(images):
    torch.testing.assert_close(Clip()(images), images.maximum(-torch.ones(())).minimum(torch.ones(())))


@pytest.mark.parametrize("percentile", [0.5, 0.9, 0.995])
def test_dynamic_is_relative_to_the_percentile_of_each_image(images, percentile):
    found = Dynamic(percentile)(images)
    assert torch.equal(found[0], images[0])
    size = images[1].abs().flatten().sort().values
    position = percentile * (len(size) - 1)
    s = torch.lerp(size[int(position)], size[int(position) + 1], position - int(position))
    assert s > 1
    torch.testing.assert_close(found[1], images[1].clamp(-s, s) / s, rtol=1e-6, atol=1e-6)
    assert found.abs().max() <= 1
    share = float((found[1].abs() > 1 - 1e-6).double().mean())
    assert share == pytest.approx(1 - percentile, abs=0.02)


def test_dynamic_does_not_mix_images(images):
    torch.testing.assert_close(Dynamic(0.9)(images)[1:], Dynamic(0.9)(images[1:]))


@pytest.mark.parametrize("clip", [True, 0.9])
def test_the_noise_is_recomputed_from_what_is_left_of_x0(images, clip):
    schedule = option("schedule", "linear")
    denoise = Denoiser(Formula(lambda x, t: 3 * x), schedule, X0())
    t = torch.tensor(0.3, dtype=torch.float64)
    prediction = Walk(denoise, schedule, threshold(clip), None).call(images, t)
    alpha, sigma, _ = schedule.marginal(t)
    assert prediction.x0.abs().max() <= 1
    torch.testing.assert_close(alpha * prediction.x0 + sigma * prediction.eps, images)


@pytest.mark.parametrize("clip", [0.0, 1.0, -0.1, 1.5])
def test_percentiles_outside_of_0_and_1_are_refused(clip):
    with pytest.raises(ValueError, match=rf"sampler\.clip: {clip}; "):
        threshold(clip)
    with pytest.raises(ValueError, match=r"sampler\.clip: "):
        option("sampler", "ddim", f"sampler.clip={clip}")
