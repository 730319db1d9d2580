"""The other library's network as a denoiser of ours, against that library's own formulas."""

import math
from types import SimpleNamespace

import pytest
import torch

pytest.importorskip("denoising_diffusion_pytorch")

from difflab.data import Scaling
from difflab.likelihood import Bound
from difflab.process import Posterior, diffuse
from difflab.runs.benchmarks.denoising_diffusion import denoiser, diffusion, library, until, write


@pytest.fixture(scope="module")
def theirs():
    """Its process with first weights, and no gradients."""
    torch.manual_seed(0)
    return diffusion(8).eval().requires_grad_(False)


def test_the_schedule_is_its_own(theirs):
    ours = denoiser(theirs).schedule
    t = torch.arange(1, 1001, dtype=torch.float64) / 1000
    at = ours.marginal(t)
    torch.testing.assert_close(at.alpha.square(), theirs.alphas_cumprod.double(), rtol=2e-5, atol=1e-6)
    torch.testing.assert_close(at.sigma, theirs.sqrt_one_minus_alphas_cumprod.double(), rtol=1e-6, atol=0)


def test_the_denoiser_predicts_what_it_predicts(theirs):
    k = torch.tensor([1, 2, 70, 500, 999, 1000])
    x = torch.randn(len(k), 1, 8, 8)
    predicted = theirs.model_predictions(x, k - 1)
    ours = denoiser(theirs)(x, k.double() / 1000)
    torch.testing.assert_close(ours.x0, predicted.pred_x_start, rtol=0, atol=1e-5)
    assert (ours.x0[1:] - ours.x0[:-1]).abs().amax((1, 2, 3)).min() > 0.1  # they do differ


def test_the_bound_is_the_divergence_of_its_own_reverse_steps(theirs):
    k = torch.tensor([2, 3, 50, 400, 999])
    x0 = Scaling(17).encode(torch.randint(17, (len(k), 1, 8, 8)))
    ours = denoiser(theirs)
    t = k.double() / 1000
    x_t = diffuse(ours.schedule, x0, torch.randn_like(x0), t)
    bits = Bound(ours.schedule, Posterior(), True, 17).terms(x0, ours(x_t, t).x0, k)
    mean, variance, _ = theirs.q_posterior(x0, x_t, k - 1)
    predicted, *_ = theirs.p_mean_variance(x_t, k - 1, clip_denoised=True)
    nats = ((mean - predicted).double().square() / (2 * variance.double())).flatten(1).mean(1)
    torch.testing.assert_close(bits, nats / math.log(2), rtol=2e-3, atol=1e-9)


def test_it_reads_the_same_numbers(tmp_path, theirs):
    levels = torch.arange(128, dtype=torch.uint8).remainder(17).view(2, 1, 8, 8)
    write(tmp_path / "images", levels, 17)
    read = library().Dataset(tmp_path / "images", theirs.image_size, convert_image_to="F")
    assert [path.stem for path in sorted(read.paths)] == ["00000", "00001"]
    images = torch.stack([read[read.paths.index(path)] for path in sorted(read.paths)])
    assert torch.equal(theirs.normalize(images), Scaling(17).encode(levels))


def test_its_loop_ends_with_the_time():
    def loop(seconds: float) -> int:
        """As its Trainer counts."""
        trainer = SimpleNamespace(step=0, train_num_steps=5)
        batches = until(trainer, iter([torch.zeros(1)] * 5), seconds)
        while trainer.step < trainer.train_num_steps:
            next(batches)
            trainer.step += 1
        return trainer.step

    assert (loop(0.0), loop(1e9)) == (1, 5)
