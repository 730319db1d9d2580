"""Samples in fixed chunks: sample number i is the same picture whatever n, and however many processes draw."""

from math import ceil

import torch
from torch import Tensor

from difflab.evaluation.processes import gather, rank_and_size
from difflab.prediction import Denoiser
from difflab.progress import Progress
from difflab.randomness import SampleNoise
from difflab.samplers import Sampler


@torch.inference_mode()
def generate(
    denoise: Denoiser, sampler: Sampler, shape: tuple[int, ...], n: int, seed: int, chunk: int, first: int = 0
) -> Tensor:
    """Samples number `first` .. `first + n - 1` of the seed, [n, *shape], float32 on the CPU, in the model's range.

    The network always sees `chunk` samples at once, the last chunk filled up with samples that are thrown away: a
    forward pass gives the same bits only for the same batch size.

    Args:
        denoise: the denoiser, in evaluation mode, with the weights to sample from.
        shape: of one sample.
        chunk: samples in one batch; another value changes the samples by rounding errors.
    """
    device = next(denoise.parameters()).device
    rank, size = rank_and_size()
    chunks = range(first // chunk, ceil((first + n) / chunk))
    mine = [c for c in chunks if c % size == rank]
    calls = len(sampler.times(denoise.schedule))
    share = {}
    with Progress("sampling", calls * len(mine)) as progress:
        for c in mine:
            noise = SampleNoise(seed, range(c * chunk, (c + 1) * chunk), shape, device)
            x = sampler.sample(denoise, denoise.schedule, noise, lambda *_: progress.advance(1))
            share[c] = x.float().cpu()
    samples = torch.cat(list(gather(share).values()))
    skip = first - chunks[0] * chunk
    return samples[skip : skip + n]
