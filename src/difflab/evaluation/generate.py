"""Samples in fixed chunks: sample number i is the same picture whatever n, and however many processes draw."""

import os
import sys
from math import ceil
from typing import NamedTuple

import torch
from torch import Tensor

from difflab.evaluation.asked import Asked
from difflab.evaluation.processes import complete, rank_and_size
from difflab.evaluation.store import Store
from difflab.guidance import View
from difflab.prediction import Denoiser
from difflab.progress import Progress
from difflab.randomness import SampleNoise
from difflab.samplers import Sampler, State

PRECISIONS = {"32-true": torch.float32, "bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


class Generation(NamedTuple):
    """Samples, [n, *shape], float32 on the CPU, in the model's range, and the network calls that a sample took.

    A guided call counts twice: the network sees the sample told and untold.
    """

    samples: Tensor
    calls: int


@torch.inference_mode()
def generate(
    denoise: Denoiser,
    sampler: Sampler,
    shape: tuple[int, ...],
    n: int,
    seed: int,
    chunk: int,
    first: int = 0,
    store: Store | None = None,
    asked: Asked | None = None,
    precision: str = "32-true",
) -> Generation:
    """Samples number `first` .. `first + n - 1` of the seed.

    The network always sees `chunk` samples at once, the last chunk filled up with samples that are thrown away: a
    forward pass gives the same bits only for the same batch size. With a solver that chooses its own steps the calls
    are those of the chunk that took the most.

    Args:
        denoise: the denoiser, in evaluation mode, with the weights to sample from.
        shape: of one sample.
        chunk: samples in one batch; another value changes the samples by rounding errors.
        asked: what is asked of each sample; None for nothing.
        precision: of the network, one of PRECISIONS: mixed ones call it under autocast, the sampler stays in float32.
        store: what an earlier call has finished is taken from here, what this one finishes is kept; whoever has used
            the samples clears it. Its key must say all that determines the samples.
    """
    rank, size = rank_and_size()
    chunks = range(first // chunk, ceil((first + n) / chunk))
    mine = [c for c in chunks if c % size == rank]
    whole = torch.zeros(len(chunks), chunk, *shape)
    calls = torch.zeros(len(chunks), 1, dtype=torch.int64)
    rows = {c: row for row, c in enumerate(chunks)}
    missing = mine if store is None else taken(store, {c: rows[c] for c in mine}, whole, calls)
    known = sampler.calls(denoise.schedule)
    a_chunk = known or 100  # percent, where nobody knows how many calls it will take
    finished = len(mine) - len(missing)
    if finished and rank == 0 and not os.environ.get("DIFFLAB_QUIET"):
        print(f"sampling: going on with {finished} of {len(mine)} chunks done before", file=sys.stderr, flush=True)
    with Progress("sampling", a_chunk * len(mine), start=a_chunk * finished) as progress:
        for c in missing:
            heard = [0]

            def watch(state: State, before: int = finished * a_chunk, heard: list[int] = heard) -> None:
                heard[0] = state.calls
                now = state.calls if known else round(a_chunk * state.share)
                progress.advance(before + now - progress.done, f"{state.calls} network calls")

            indices = range(c * chunk, (c + 1) * chunk)
            noise = SampleNoise(seed, indices, shape, denoise.device)
            seen = denoise if asked is None else asked(denoise, indices)
            dtype = PRECISIONS[precision]
            with torch.autocast(denoise.device.type, dtype, enabled=dtype != torch.float32):
                whole[rows[c]] = sampler.sample(seen, denoise.schedule, noise, watch)
            calls[rows[c]] = heard[0] + (seen.calls_beside if isinstance(seen, View) else 0)
            finished += 1
            if store is not None and whole[rows[c]].isfinite().all():
                store.keep(c, whole[rows[c]], int(calls[rows[c]]))
    complete(whole, chunks[0])
    complete(calls, chunks[0])
    return Generation(whole.flatten(0, 1)[first - chunks[0] * chunk :][:n], int(calls.max()))


def taken(store: Store, rows: dict[int, int], whole: Tensor, calls: Tensor) -> list[int]:
    """Fill the rows of those chunks that the store has; the numbers of the others."""
    missing = []
    for c, row in rows.items():
        kept = store.load(c, tuple(whole.shape[1:]))
        if kept is None:
            missing.append(c)
        else:
            whole[row], calls[row] = kept
    return missing
