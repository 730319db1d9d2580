"""Densities of points in nats: of samples under the law, of test points under the model and under the law."""

import torch
from torch import Tensor

from difflab.data import PointData
from difflab.distributions import Mixture
from difflab.evaluation.processes import gather, rank_and_size
from difflab.likelihood import ProbabilityFlow
from difflab.prediction import Denoiser
from difflab.progress import Progress
from difflab.schedules import Marginal

BATCH = 500  # points that the probability flow solves together


def of_model(flow: ProbabilityFlow, denoise: Denoiser, data: PointData, points: int) -> dict[str, float]:
    """The model's negative log-likelihood of the first so many test points; processes share them in fixed batches."""
    x0 = data.scaling.encode(data.test.values[:points])
    rank, size = rank_and_size()
    begins = range(0, len(x0), BATCH)
    share: dict[int, tuple[Tensor, int]] = {}
    with Progress("probability flow of test points", 100 * len(begins[rank::size])) as progress:
        for begin in begins[rank::size]:
            share[begin] = log_density(flow, denoise, x0[begin : begin + BATCH], progress, 100 * len(share))
    pieces = list(gather(share).values())
    nats = -torch.cat([log_p for log_p, _ in pieces])
    calls = sum(len(log_p) * calls for log_p, calls in pieces) / len(x0)
    found = {"nll": float(nats.mean()), "nll_stderr": stderr(nats), "nll_points": len(x0), "nll_calls": calls}
    exact = exact_density(x0, data)
    return found if exact is None else found | {"nll_floor": float(-exact.mean())}


def log_density(
    flow: ProbabilityFlow, denoise: Denoiser, x0: Tensor, progress: Progress, before: int
) -> tuple[Tensor, int]:
    """log p of each point in nats, [n], float64, and the network calls that it took."""
    schedule, calls = denoise.schedule, 0

    def watch(way: float) -> None:
        nonlocal calls
        calls += 1
        ahead = before + round(100 * way) - progress.done if way < 1 else 0  # a first trial step goes far
        progress.advance(max(ahead, 0), f"{calls} network calls")

    alpha = schedule.marginal(torch.tensor(schedule.t_min, dtype=torch.float64)).alpha
    x = (alpha * x0.double()).float().to(denoise.device)
    log_p = flow.log_density(denoise, schedule, x, lambda: torch.zeros_like(x), watch=watch)[0].cpu()
    return log_p + x0[0].numel() * alpha.log(), calls


def exact_density(x: Tensor, data: PointData) -> Tensor | None:
    """log of the law's density at each point in nats, [n], float64; None where it has none that is known."""
    law = data.distribution
    if not isinstance(law, Mixture) or not (law.variances > 0).all():
        return None
    ones = torch.ones(len(x), dtype=torch.float64)
    return law.log_density(x, Marginal(ones, 0 * ones, torch.full_like(ones, torch.inf)))


def of_samples(samples: Tensor, data: PointData) -> dict[str, float]:
    """Mean -log of the law's density at the samples, and at the points of the test part."""
    drawn, real = exact_density(samples, data), exact_density(data.test.values[:], data)
    if drawn is None or real is None:
        return {}
    name = "nll_of_samples"
    return {name: float(-drawn.mean()), f"{name}_stderr": stderr(drawn), f"{name}_floor": float(-real.mean())}


def stderr(values: Tensor) -> float:
    """Standard error of the mean of independent values; 0 for a single one."""
    return float(values.std(correction=min(1, len(values) - 1)) / len(values) ** 0.5)
