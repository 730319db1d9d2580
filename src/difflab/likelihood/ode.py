"""The probability-flow ODE, and the density that it gives."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torchdiffeq import odeint

from difflab.prediction import Prediction
from difflab.schedules import Schedule


class Course:
    """The probability-flow ODE from one time of a schedule to another, earlier or later.

    d(x_t / alpha) = eps_hat d(sigma / alpha) (Song, Meng & Ermon, 2021, Eq. 14) in the variables
    y = x_t / sqrt(alpha^2 + sigma^2) and w = asinh(alpha / sigma) is

        dy/dw = x0_hat - tanh(w) y,

    where nothing is infinite and nothing is divided, on any schedule, alpha = 0 (w = 0) included. w moves like the
    angle atan(alpha / sigma) where there is mostly noise and like log_snr / 2 where there is little. To images, a
    solver needs fewer calls in it than in either: on Gaussian mixtures at tolerance 1e-5, 62 to 98 calls where the
    angle takes 74 to 152 and log_snr 98 to 140, at the same error.

    Args:
        schedule: alpha and sigma.
        times: where it starts and where it ends.
        device: of the state.
    """

    def __init__(self, schedule: Schedule, times: Float[Tensor, " 2"], device: torch.device) -> None:
        self.schedule = schedule
        at = schedule.marginal(times.to(device))
        self.norms = torch.sqrt(at.alpha**2 + at.sigma**2)
        self.ends = torch.asinh(at.alpha / at.sigma)

    def at(self, w: Float[Tensor, ""]) -> tuple[Tensor, Tensor]:
        """The time at w and sqrt(alpha^2 + sigma^2) there; never beyond the ends, where a solver may try."""
        w = w.clamp(self.ends.min(), self.ends.max())
        t = self.schedule.time(2 * torch.log(torch.sinh(w)))
        alpha, sigma, _ = self.schedule.marginal(t)
        return t, torch.sqrt(alpha**2 + sigma**2)

    def share(self, w: Float[Tensor, ""]) -> float:
        """How much of the way lies behind, in [0, 1]."""
        return float((w - self.ends[0]) / (self.ends[1] - self.ends[0]))

    def solve(self, drift: Callable[[Tensor, Any], Any], state: Any, rtol: float, atol: float) -> Any:
        """The state (a tensor, or a tuple of them) at the end, by the pair of Dormand & Prince (1980)."""
        options = {"step_t": self.ends[1:].clone()}  # steps onto the end, not past it and back
        path = odeint(drift, state, self.ends, rtol=rtol, atol=atol, method="dopri5", options=options)
        return path[-1] if isinstance(state, Tensor) else tuple(part[-1] for part in path)


def check_tolerances(group: str, rtol: float, atol: float) -> None:
    """Whether a solver can keep these.

    Raises:
        ValueError: where it cannot.
    """
    for field, value in (("rtol", rtol), ("atol", atol)):
        if not 0 < value < 1:
            raise ValueError(f"{group}.{field}: {value}; allowed are numbers between 0 and 1")


class ProbabilityFlow:
    """The log-density of x at t_min, or at a later time, under the model whose samples the probability-flow ODE makes.

    log p(x) = log prior(x_1) plus the integral of the drift's divergence from there to 1 (Song et al., 2021, Eq. 39),
    with the trace of d x0_hat / dx either exact, by a backward pass for each dimension, or estimated without bias as
    v^T (d x0_hat / dx) v with random signs v (Hutchinson; Grathwohl et al., 2019). Solved in float64 around a network
    that keeps the dtype of x. The error norm couples a batch: its examples agree with those solved alone within the
    tolerances only.

    Args:
        rtol, atol: of each step, for y as in `Course` and for nats per dimension.
        probes: how many v; None for the exact trace.

    Raises:
        ValueError: for tolerances outside (0, 1), and fewer than one probe.
    """

    def __init__(self, rtol: float, atol: float, probes: int | None) -> None:
        check_tolerances("likelihood", rtol, atol)
        if probes is not None and probes < 1:
            raise ValueError(
                f"likelihood.probes: {probes}; allowed are whole numbers from 1, and null for the exact trace"
            )
        self.rtol, self.atol, self.probes = rtol, atol, probes

    def log_density(
        self,
        denoise: Callable[[Tensor, Tensor], Prediction],
        schedule: Schedule,
        x: Float[Tensor, "batch *shape"],
        noise: Callable[[], Tensor],
        start: float | None = None,
        watch: Callable[[float], None] | None = None,
    ) -> Float[Tensor, "probes batch"]:
        """Nats of each example, all dimensions together, float64: one row for each probe, or one with the exact trace.

        The mean over rows is the estimate, their spread its error. Callers may be in `inference_mode`.

        Args:
            denoise: the bare denoiser. A wrapper that synchronises processes would hang: they need different numbers
                of calls.
            schedule: what it was trained on.
            x: states at `start`: not data but alpha x_0 + sigma eps.
            noise: standard normal numbers of the shape of x; the signs of one draw are a probe, the same all the way.
            start: the time of x; None for t_min.
            watch: called before each call of the network with the share of the way that lies behind, in [0, 1].
        """
        with torch.inference_mode(False), torch.no_grad():
            first = schedule.t_min if start is None else start
            course = Course(schedule, torch.tensor([first, 1.0], dtype=torch.float64), x.device)
            signs = [torch.where(noise() < 0, -1.0, 1.0).to(x.device, torch.float64) for _ in range(self.probes or 0)]
            size = x[0].numel()

            def drift(w: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
                t, norm = course.at(w)
                if watch is not None:
                    watch(course.share(w))
                with torch.enable_grad():
                    y = state[0].detach().requires_grad_()
                    x0 = denoise((norm * y).to(x.dtype), t.expand(len(y))).x0.double()
                    traces = torch.stack([quadratic(x0, y, v) for v in signs or basis(y)])
                if not signs:
                    traces = traces.sum(0, keepdim=True)
                return x0.detach() - w.tanh() * y.detach(), traces / size - w.tanh()

            state = x.double() / course.norms[0], x.new_zeros(max(len(signs), 1), len(x), dtype=torch.float64)
            end, change = course.solve(drift, state, self.rtol, self.atol)
            z = (course.norms[1] / schedule.prior_std * end).flatten(1)
            prior = -0.5 * (z**2 + math.log(2 * math.pi)).sum(1) - size * math.log(schedule.prior_std)
            return prior + size * (change + torch.log(course.norms[1] / course.norms[0]))


def basis(y: Float[Tensor, "batch *shape"]) -> Iterator[Float[Tensor, "batch *shape"]]:
    """The unit vectors, one at a time."""
    for j in range(y[0].numel()):
        v = torch.zeros_like(y)
        v.view(len(y), -1)[:, j] = 1
        yield v


def quadratic(
    x0: Float[Tensor, "batch *shape"], y: Float[Tensor, "batch *shape"], v: Float[Tensor, "batch *shape"]
) -> Float[Tensor, " batch"]:
    """v^T (d x0 / dy) v of each example."""
    (row,) = torch.autograd.grad(x0, y, v, retain_graph=True)
    return (row * v).flatten(1).sum(1)


def bits_per_dim(log_p: Tensor, dimensions: int, levels: int) -> Tensor:
    """Bits per dimension of data on `levels` values, dequantised, from its log-density in nats.

    A level k lies at 2k/(levels - 1) - 1, so a bin of the data is 2/(levels - 1) wide and holds the density times that
    in each dimension: -log2 p / D + log2((levels - 1)/2). `log_p` is of x_0's own units. From a density of
    x at t_min it is log p(x_{t_min}) + D log alpha(t_min), the density of x_{t_min} / alpha = x_0 + (sigma/alpha) eps.
    """
    return -log_p / (dimensions * math.log(2)) + math.log2((levels - 1) / 2)
