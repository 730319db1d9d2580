"""Samples in fixed chunks: sample number i is the same picture whatever n, and however many processes draw."""

from math import ceil
from typing import NamedTuple

import torch
from torch import Tensor

from difflab.evaluation.processes import gather, rank_and_size
from difflab.prediction import Denoiser
from difflab.progress import Progress
from difflab.randomness import SampleNoise
from difflab.samplers import Sampler, State


class Generation(NamedTuple):
    """Samples, [n, *shape], float32 on the CPU, in the model's range, and the network calls that a sample took."""

    samples: Tensor
    calls: int


@torch.inference_mode()
def generate(
    denoise: Denoiser, sampler: Sampler, shape: tuple[int, ...], n: int, seed: int, chunk: int, first: int = 0
) -> Generation:
    """Samples number `first` .. `first + n - 1` of the seed.

    The network always sees `chunk` samples at once, the last chunk filled up with samples that are thrown away: a
    forward pass gives the same bits only for the same batch size. With a solver that chooses its own steps the calls
    are those of the chunk that took the most.

    Args:
        denoise: the denoiser, in evaluation mode, with the weights to sample from.
        shape: of one sample.
        chunk: samples in one batch; another value changes the samples by rounding errors.
    """
    rank, size = rank_and_size()
    chunks = range(first // chunk, ceil((first + n) / chunk))
    mine = [c for c in chunks if c % size == rank]
    known = sampler.calls(denoise.schedule)
    a_chunk = known or 100  # percent, where nobody knows how many calls it will take
    share: dict[int, tuple[Tensor, int]] = {}
    with Progress("sampling", a_chunk * len(mine)) as progress:

        def watch(state: State) -> None:
            done = state.calls if known else round(a_chunk * state.share)
            progress.advance(len(share) * a_chunk + done - progress.done, f"{state.calls} network calls")
            calls[0] = state.calls

        for c in mine:
            calls = [0]
            noise = SampleNoise(seed, range(c * chunk, (c + 1) * chunk), shape, denoise.device)
            x = sampler.sample(denoise, denoise.schedule, noise, watch)
            share[c] = x.float().cpu(), calls[0]
    pieces = list(gather(share).values())
    skip = first - chunks[0] * chunk
    return Generation(torch.cat([x for x, _ in pieces])[skip : skip + n], max(calls for _, calls in pieces))
