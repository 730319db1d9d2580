"""A process on points of the plane, forward and learned in reverse: Figure 1 of Sohl-Dickstein et al. (2015)."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from difflab.data import PointData
from difflab.errors import ConfigError
from difflab.evaluation import measure
from difflab.evaluation.trace import Moment, trace
from difflab.metrics import energy_distance, energy_p_value
from difflab.plots.points import Window, scatter
from difflab.plots.strips import Strip, frames, strips, trajectories
from difflab.prediction import Denoiser
from difflab.process import diffuse
from difflab.randomness import torch_seed
from difflab.runs.assemble import Parts
from difflab.runs.build import build
from difflab.runs.load import Run, option
from difflab.samplers import Sampler
from difflab.studies.plane import plane

ARROWS = 17  # along a side
SHOWN = 2000  # points in a panel
WAYS = 60
SMOOTH = 200  # steps of a way where the schedule has none of its own


class SwissRoll:
    """Strips of the forward and the learned reverse process, and whether the samples could be held-out points.

    Args:
        times: of the panels, rising, in (0, 1); data and noise are added on either side.
        samples: that are compared with as many held-out points.
        permutations: of the test that both are of one law.
        floors: sets of fresh exact points for the energy distance that exact samples have.

    Raises:
        ConfigError: for numbers that cannot be.
    """

    of_sweep = False

    def __init__(self, times: Sequence[float], samples: int, permutations: int, floors: int) -> None:
        if list(times) != sorted(set(times)) or not all(0 < t < 1 for t in times):
            raise ConfigError(f"study.times: {list(times)}; allowed are rising numbers between 0 and 1")
        for field, value, least in (("samples", samples, 2), ("permutations", permutations, 1), ("floors", floors, 2)):
            if value < least:
                raise ConfigError(f"study.{field}: {value}; allowed are whole numbers from {least}")
        self.times, self.samples, self.permutations, self.floors = list(times), samples, permutations, floors

    def check(self, parts: Parts, config: Mapping[str, Any]) -> None:
        held_out = len(plane(parts, "swiss_roll").test)
        if self.samples > held_out:
            raise ConfigError(f"study.samples: {self.samples}; allowed are 2 to data.test_size = {held_out}")

    @torch.inference_mode()
    def __call__(self, runs: Sequence[Run], folder: Path) -> dict[str, float]:
        (run,) = runs
        data, denoise = plane(run.parts, "swiss_roll"), run.parts.denoiser
        measure(run.parts.sampler, denoise, data)
        seed = run.config["generation"]["seed"]
        moments = trace(denoise, run.parts.sampler, data.shape, self.samples, seed)
        samples, held_out = moments[-1].x, data.test.points[: self.samples]
        strips(self.rows(denoise, data, moments), folder / "swiss_roll.png")
        ways = torch.stack([m.x for m in trace(denoise, flow(run), data.shape, WAYS, seed)])
        title = f"{WAYS} ways along the learned probability flow (DDIM)"
        trajectories(ways, held_out[:SHOWN], title, folder / "trajectories.png")
        scatter(samples, held_out, folder / "samples.png")
        floors = [
            energy_distance(data.exact(self.samples, generator("floor", i)), held_out) for i in range(self.floors)
        ]
        figures = {
            "swiss_roll/energy_distance": energy_distance(samples, held_out),
            "swiss_roll/energy_p_value": energy_p_value(samples, held_out, self.permutations, seed),
            "swiss_roll/energy_distance_floor": fmean(floors),
            "swiss_roll/energy_distance_floor_stderr": stdev(floors) / self.floors**0.5,
        }
        with (folder / "swiss_roll.csv").open("w", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerows([["figure", "value"], *[[key, f"{value:.6g}"] for key, value in figures.items()]])
        return figures

    def rows(self, denoise: Denoiser, data: PointData, moments: Sequence[Moment]) -> list[Strip]:
        """Forward, reverse, and where the network sees the data from: x0_hat - x_t, along the score."""
        times = [0.0, *self.times, 1.0]
        x0 = data.test.points[:SHOWN]
        forward = [x0 if t == 0 else noised(x0, t, denoise) for t in times]
        reverse = [moments[-1].x[:SHOWN] if t == 0 else at_time(moments, t).x[:SHOWN] for t in times]
        windows = frames([list(points) for points in zip(forward, reverse, strict=True)])
        earliest = denoise.schedule.t_min
        arrows = [drift(denoise, window, max(t, earliest)) for t, window in zip(times, windows, strict=True)]
        titles = ["data", *[f"t = {t:g}" for t in self.times], "t = 1, noise"]
        return [
            Strip("forward, from left to right", titles, forward, x0.norm(dim=1)),
            Strip("learned reverse, from right to left", titles, reverse, reverse[0].norm(dim=1)),
            Strip("learned drift to the data", titles, reverse, None, arrows),
        ]


def generator(*path: str | int) -> torch.Generator:
    """The generator of one purpose of this study."""
    return torch.Generator().manual_seed(torch_seed(0, "swiss_roll", *path))


def noised(x0: Float[Tensor, "n 2"], t: float, denoise: Denoiser) -> Float[Tensor, "n 2"]:
    """The forward process: the same noise at all times, so that every point goes its way."""
    eps = torch.randn(x0.shape, generator=generator("forward"))
    return diffuse(denoise.schedule, x0, eps, torch.full((len(x0),), t, dtype=torch.float64))


def flow(run: Run) -> Sampler:
    """DDIM without noise: the ways of a sampler that draws noise would cover each other."""
    steps = run.parts.denoiser.schedule.T or SMOOTH
    node = option("sampler", "ddim", run.config, steps=steps, clip=False)
    return build(node, "sampler", run.config["targets"])


def at_time(moments: Sequence[Moment], t: float) -> Moment:
    """The state on the way that is nearest in time."""
    return min((m for m in moments if m.t is not None), key=lambda m: abs((m.t or 0.0) - t))


def drift(denoise: Denoiser, window: Window, t: float) -> Float[np.ndarray, "side side 2"]:
    """x0_hat - x_t / alpha = (sigma^2 / alpha) score on the lattice of the square."""
    places = torch.from_numpy(window.lattice(ARROWS)).reshape(-1, 2).float().to(denoise.device)
    said = denoise(places, torch.full((len(places),), t, dtype=torch.float64))
    return (said.x0 - places / said.alpha).reshape(ARROWS, ARROWS, 2).cpu().double().numpy()
