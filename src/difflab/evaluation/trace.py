"""The reverse process of some samples, as states on the way: for strips and films."""

from typing import NamedTuple

import torch
from torch import Tensor

from difflab.data import Indexed
from difflab.evaluation.asked import Asked
from difflab.prediction import Denoiser
from difflab.process import expand
from difflab.progress import Progress
from difflab.randomness import SampleNoise
from difflab.samplers import Sampler, State


class Moment(NamedTuple):
    """The samples at one time, [n, *shape], on the CPU; t is None for the finished ones."""

    t: float | None
    x: Tensor


@torch.inference_mode()
def trace(
    denoise: Denoiser,
    sampler: Sampler,
    shape: tuple[int, ...],
    n: int,
    seed: int,
    most: int | None = None,
    asked: Asked | None = None,
) -> list[Moment]:
    """The states of samples number 0 .. n-1 of the seed, from the prior at t = 1 to the finished samples.

    All of them are in one batch, so that they differ by rounding errors from those of `generate` in other chunks.

    Args:
        denoise: the denoiser, in evaluation mode.
        shape: of one sample.
        most: how many states, evenly spaced on the way; None for all.
        asked: of each sample; None for nothing.
    """
    noise = SampleNoise(seed, range(n), shape, denoise.device)
    start = denoise.schedule.prior_std * noise()
    moments = [Moment(1.0, start.cpu())]
    with Progress("sampling", 100) as progress:

        def watch(state: State) -> None:
            progress.advance(round(100 * state.share) - progress.done, f"{state.calls} network calls")
            if most is None or state.t is None or state.share * (most - 1) >= len(moments):
                moments.append(Moment(state.t, state.x.cpu()))

        seen = denoise if asked is None else asked(denoise, range(n))
        sampler.sample(seen, denoise.schedule, noise, watch, start)
    return moments


def shown(
    denoise: Denoiser, sampler: Sampler, data: Indexed, n: int, seed: int, most: int, asked: Asked | None = None
) -> list[Moment]:
    """The same for pictures: each state as wide as the data at every noise level, so that noise neither fades nor
    leaves the picture."""
    moments = trace(denoise, sampler, data.shape, n, seed, most, asked)
    return [Moment(moment.t, scaled(moment, denoise, data.sigma_data)) for moment in moments]


def scaled(moment: Moment, denoise: Denoiser, sigma_data: float) -> Tensor:
    """x_t over sqrt(alpha^2 + sigma^2/sd^2): at every noise level as wide as the data, on any schedule."""
    if moment.t is None:
        return moment.x
    at = denoise.schedule.marginal(torch.tensor([moment.t], dtype=torch.float64))
    return moment.x / expand((at.alpha**2 + (at.sigma / sigma_data) ** 2).sqrt(), moment.x)
