"""likelihood=ode: bits per dimension by the density of the probability-flow ODE."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from difflab.data import ImageData
from difflab.errors import ConfigError
from difflab.evaluation.examples import Examples
from difflab.evaluation.likelihood import Scores, held_out_and_test
from difflab.evaluation.processes import gather, rank_and_size
from difflab.evaluation.quick import quick
from difflab.evaluation.score import Scorer
from difflab.evaluation.truncation import Truncation, choose
from difflab.likelihood import Cells, Estimate, ProbabilityFlow, bits_per_dim, discretised_nats
from difflab.prediction import Denoiser
from difflab.process import diffuse, expand
from difflab.progress import Progress
from difflab.randomness import normal, stream


class Start(NamedTuple):
    """Where the flow starts from: states x at time t, and what -log p(x) is short of the bits of the image, [batch]."""

    x: Tensor
    t: float
    bits: Tensor


class Solved(NamedTuple):
    """Bits per dimension of each image and draw, [N, draws], float64; forward network calls an image, all draws."""

    bits: Tensor
    calls: float

    def mean(self) -> float:
        return float(self.bits.mean())

    def stderr(self) -> float:
        """Monte-Carlo error of the mean given the images: draws of one image differ in dequantisation and probes."""
        images, draws = self.bits.shape
        return float((self.bits.var(1) / draws).sum() ** 0.5 / images)

    def image_stderr(self) -> float:
        """Standard error of the mean from the choice of the images."""
        return float(self.bits.mean(1).std() / len(self.bits) ** 0.5) if len(self.bits) > 1 else math.nan


class Dequantised:
    """x + u at t_min, u uniform over a bin: alpha (x + u) has the density of x + u over alpha^D."""

    name = "dequantised"

    def __init__(self, levels: int) -> None:
        self.levels = levels

    def __call__(self, denoise: Denoiser, x0: Tensor, streams: list[np.random.Generator]) -> Start:
        u = torch.stack([torch.from_numpy(s.random(x0.shape[1:])) for s in streams]) - 0.5
        t = torch.full((len(x0),), denoise.schedule.t_min, dtype=torch.float64)
        log_alpha = denoise.schedule.marginal(t).alpha.log()
        y = x0.double() + 2 / (self.levels - 1) * u
        return Start(expand(log_alpha.exp(), y) * y, denoise.schedule.t_min, bits_per_dim(log_alpha, 1, self.levels))


class Noised:
    """x_t at the end of a truncation, where log q(x_t|x) and the decoder are what -log p(x_t) is short of."""

    name = "noised"

    def __init__(self, bound: Cells, end: Truncation) -> None:
        self.bound, self.end = bound, end
        self.t = time_of(bound, end)

    def __call__(self, denoise: Denoiser, x0: Tensor, streams: list[np.random.Generator]) -> Start:
        eps = torch.stack([normal(s, x0.shape[1:]) for s in streams]).double()
        t = torch.full((len(x0),), self.t, dtype=torch.float64)
        sigma = denoise.schedule.marginal(t).sigma
        x = diffuse(denoise.schedule, x0.double(), eps, t)
        log_q = -0.5 * (eps.square() + math.log(2 * math.pi)).flatten(1).mean(1) - sigma.log()
        device = denoise.device
        x0_hat = denoise(x.float().to(device), t.to(device)).x0.cpu()
        x0_hat = x0_hat.clamp(-1, 1) if self.bound.clip else x0_hat
        width = torch.tensor(self.end.std, dtype=torch.float64)
        nats = log_q + discretised_nats(x0, x0_hat, width, self.bound.levels)
        return Start(x, self.t, nats / math.log(2))


def time_of(bound: Cells, end: Truncation) -> float:
    """The time at which a truncated chain of cells ends."""
    return float(bound.times(torch.tensor([end.k]), torch.ones(1, dtype=torch.float64)))


@dataclass(frozen=True)
class Ode:
    """Bits per dimension under the model whose samples the probability-flow ODE makes (Song et al., 2021, section 4.3).

    An image x on levels 2/(levels - 1) apart is dequantised, y = x + u with u uniform over one bin, and the density of
    the model is that of x_{t_min} / alpha: -E_u log p(y) is an upper bound of the bits of x. It fits badly where the
    noise at t_min is far below the width of a level. Beside it stands the bound of the flow that starts at a later
    time t, from a draw of x_t, with a discretised decoder back to x (the entropy of q(x_t|x) stands for that of u):
    E[-log p(x_t) + log q(x_t|x) - log p(x|x_t)], `truncated`.

    Args:
        rtol, atol: of the solver.
        probes: Rademacher vectors for the trace in each draw; None for the exact trace, a backward pass a dimension.
        draws: of dequantisation and probes, at least 2: they tell the Monte-Carlo error.
        images: the first ones of those that the protocol scores; None for all.
        batch: images that are solved together; another value changes figures within the solver's tolerance.
        clip: whether x0_hat is clipped in the decoder of `truncated`, and in `quick`.
        estimate, cells: of the bound of continuous time that finds the end of `truncated`, and is `quick`.

    Raises:
        ConfigError: for fewer than two draws.
    """

    rtol: float
    atol: float
    probes: int | None
    draws: int
    images: int | None
    batch: int
    clip: bool
    cells: int
    estimate: Estimate

    chain = False

    def __post_init__(self) -> None:
        self.flow()
        if self.draws < 2:
            raise ConfigError(f"likelihood.draws: {self.draws}; allowed are whole numbers from 2")

    def flow(self) -> ProbabilityFlow:
        """The solver."""
        return ProbabilityFlow(self.rtol, self.atol, self.probes)

    def bound(self, denoise: Denoiser, levels: int) -> Cells:
        """The bound of continuous time."""
        return Cells(denoise.schedule, self.cells, self.clip, levels)

    def figures(self, denoise: Denoiser, data: ImageData, images: int | None, seed: int) -> Scores:
        """Figures of the first images of the test part; `calls` are forward ones, each with `probes` backward ones."""
        first = min(n for n in (self.images, images, len(data.test)) if n is not None)
        held_out, test = held_out_and_test(denoise, data, first)
        bound = self.bound(denoise, data.levels)
        scorer = Scorer(denoise, self.estimate, [bound], seed, self.batch)
        end = choose(scorer, held_out, scorer.score(held_out, "val", scorer.plan(held_out)))
        whole = self.solve(denoise, test, "test", seed, Dequantised(data.levels))
        later = self.solve(denoise, test, "test", seed, Noised(bound, end))
        figures = {
            "bits_per_dim": whole.mean(),
            "bits_per_dim_stderr": whole.stderr(),
            "bits_per_dim_stderr_images": whole.image_stderr(),
            "bits_per_dim_calls": whole.calls,
            "bits_per_dim_images": len(test.x0),
            "bits_per_dim_truncated": later.mean(),
            "bits_per_dim_truncated_stderr": later.stderr(),
            "bits_per_dim_truncated_calls": later.calls,
            "bits_per_dim_truncated_time": time_of(bound, end),
            "bits_per_dim_truncated_width": end.std,
        }
        return Scores({name: value for name, value in figures.items() if not math.isnan(value)}, {})

    def quick(self, denoise: Denoiser, data: ImageData, calls: int, seed: int) -> dict[str, float]:
        """The bound of continuous time on held-out images: no solver is done within a number of calls."""
        return quick(denoise, data, [self.bound(denoise, data.levels)], calls, seed, self.batch)

    def of(self, denoise: Denoiser, data: ImageData, images: Examples, seed: int) -> tuple[float, float]:
        """Mean bits per dimension of any images, and its standard error, as `Likelihood.of`."""
        solved = self.solve(denoise, images, "x", seed, Dequantised(data.levels))
        return solved.mean(), solved.image_stderr() if len(images.x0) > 1 else solved.stderr()

    def solve(self, denoise: Denoiser, images: Examples, split: str, seed: int, start: Dequantised | Noised) -> Solved:
        """Every image's bits, `draws` times, in fixed batches that are shared by the processes.

        Args:
            images: on the levels of the data.
            split: its name; the random numbers of image i and draw m are a function of (seed, split, m, i).
            start: where the flow starts from.
        """
        rank, size = rank_and_size()
        units = [(m, a) for m in range(self.draws) for a in range(0, len(images.x0), self.batch)]
        share: dict[int, tuple[Tensor, int]] = {}
        mine = range(len(units))[rank::size]
        with Progress(f"probability flow of {split}", 100 * len(mine)) as progress:
            for number in mine:
                m, a = units[number]
                part = images.rows(slice(a, a + self.batch))
                streams = [stream(seed, "ode", start.name, split, m, a + i) for i in range(len(part.x0))]
                seen = part.seen_by(denoise)
                calls = [0]

                def watch(way: float, calls: list[int] = calls) -> None:
                    calls[0] += 1
                    ahead = 0  # a first trial step goes far beyond the end
                    if way < 1:
                        ahead = 100 * len(share) + round(100 * way) - progress.done
                    progress.advance(max(ahead, 0), f"{calls[0]} network calls")

                share[number] = self.bits(seen, start(seen, part.x0, streams), streams, watch), calls[0]
        solved = list(gather(share).values())
        bits = torch.cat([b for b, _ in solved]).view(self.draws, len(images.x0)).T
        return Solved(bits, sum(len(b) * calls for b, calls in solved) / len(images.x0))

    def bits(
        self, denoise: Denoiser, start: Start, streams: list[np.random.Generator], watch: Callable[[float], None]
    ) -> Tensor:
        """Bits per dimension of one batch, [batch]."""
        shape = start.x.shape[1:]

        def noise() -> Tensor:
            return torch.stack([normal(s, shape) for s in streams])

        x = start.x.float().to(denoise.device)
        log_p = self.flow().log_density(denoise, denoise.schedule, x, noise, start.t, watch).mean(0).cpu()
        return start.bits - log_p / (shape.numel() * math.log(2))
