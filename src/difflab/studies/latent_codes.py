"""DDIM's codes: images to codes and back, what lies between two codes, and the ODE that the steps follow."""

import csv
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from difflab.condition import Unconditional
from difflab.data import ImageData
from difflab.errors import ConfigError
from difflab.evaluation.pictures import as_seen
from difflab.plots.code_errors import code_errors
from difflab.plots.interpolations import Strips, interpolations
from difflab.progress import Progress
from difflab.randomness import normal, stream
from difflab.runs.assemble import Parts
from difflab.runs.build import build
from difflab.runs.load import Run, option
from difflab.samplers import Sampler, slerp
from difflab.studies.ve_ode import solve


class LatentCodes:
    """Round trips, interpolation and the probability-flow ODE (Song et al., 2021, DDIM, sections 4.3, 5.3 and 5.4).

    Args:
        steps: network calls of DDIM with eta = 0, each way.
        images: of the test part that are encoded and decoded.
        pairs: of codes between which there is a strip, drawn from the prior, and as many of test images.
        between: images of a strip, its ends included.
        strip_steps: network calls for each of them.
        codes: from which DDIM is compared with the solution of the ODE.
        tolerance: relative and absolute, of a step of that solution.
        seed: of the codes.

    Raises:
        ConfigError: for numbers that cannot be.
    """

    of_sweep = False

    def __init__(
        self,
        steps: Sequence[int],
        images: int,
        pairs: int,
        between: int,
        strip_steps: int,
        codes: int,
        tolerance: float,
        seed: int,
    ) -> None:
        least = {"images": 1, "pairs": 1, "between": 3, "strip_steps": 2, "codes": 1}
        values = {"images": images, "pairs": pairs, "between": between, "strip_steps": strip_steps, "codes": codes}
        for field, value in values.items():
            if value < least[field]:
                raise ConfigError(f"study.{field}: {value}; allowed are whole numbers from {least[field]}")
        if between % 2 == 0:
            raise ConfigError(f"study.between: {between}; allowed are odd numbers from 3")
        if len(set(steps)) < 3 or min(steps) < 2:
            raise ConfigError(f"study.steps: {list(steps)}; allowed are three or more whole numbers from 2")
        if not 0 < tolerance < 1:
            raise ConfigError(f"study.tolerance: {tolerance}; allowed are numbers between 0 and 1")
        self.steps, self.images, self.pairs, self.between = sorted(set(steps)), images, pairs, between
        self.strip_steps, self.codes, self.tolerance, self.seed = strip_steps, codes, tolerance, seed

    def check(self, parts: Parts, config: Mapping[str, Any]) -> None:
        if not isinstance(parts.data, ImageData):
            raise ConfigError("study: latent_codes; it draws and counts pixels; allowed with data of images")
        if not isinstance(parts.denoiser.conditioning, Unconditional):
            raise ConfigError(
                "study: latent_codes; codes of the prior have no class and no image to be told: "
                "allowed with condition=none"
            )
        schedule, most = parts.denoiser.schedule, len(parts.data.test)
        for field, value in (("images", self.images), ("pairs", 2 * self.pairs)):
            if value > most:
                raise ConfigError(f"study.{field}: needs {value} test images; allowed are as many as there are, {most}")
        if not float(schedule.marginal(torch.ones((), dtype=torch.float64)).log_snr) > -float("inf"):
            raise ConfigError("study: latent_codes; sigma/alpha must be finite; allowed with alpha > 0 at t = 1")
        for field, value in (("steps", max(self.steps)), ("strip_steps", self.strip_steps)):
            if schedule.T is not None and value > schedule.T:
                raise ConfigError(f"study.{field}: {value}; allowed are 2 to schedule.T = {schedule.T}")

    def __call__(self, runs: Sequence[Run], folder: Path) -> dict[str, float]:
        (run,) = runs
        there, level = self.round_trips(run)
        flow = self.against_ode(run)
        slope, stderr = slope_of(self.steps, flow)
        with (folder / "latent_codes.csv").open("w", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(["steps", "round_trip_rms", "round_trip_same_level", "rms_to_ode"])
            rows = zip(self.steps, there, level, flow, strict=True)
            table.writerows([n, *(f"{value:.6g}" for value in values)] for n, *values in rows)
        data = run.parts.data
        assert isinstance(data, ImageData)
        code_errors(self.steps, there, level, flow, (slope, stderr), 2 / (data.levels - 1), folder / "errors.png")
        interpolations(self.strips(run), folder / "interpolations.png")
        found = {}
        for n, *values in zip(self.steps, there, level, flow, strict=True):
            names = ("round_trip_rms", "round_trip_same_level", "rms_to_ode")
            found |= {f"latent_codes/{name}_{n}": value for name, value in zip(names, values, strict=True)}
        return found | {"latent_codes/ode_slope": slope, "latent_codes/ode_slope_stderr": stderr}

    def round_trips(self, run: Run) -> tuple[list[float], list[float]]:
        """By steps: RMS per pixel between test images and what their codes decode to, in the model's numbers (-1 to 1),
        and the share of pixels that are on the same level again."""
        data = run.parts.data
        levels = data.test.values[: self.images]
        x = data.scaling.encode(levels)
        rms, same = [], []
        with Progress("images to codes and back", 2 * sum(self.steps)) as progress:
            for n in self.steps:
                again = run.decode(run.encode(x, steps=n), steps=n)
                rms.append(float((again - x).double().square().mean().sqrt()))
                same.append(float((data.scaling.decode(again) == levels).double().mean()))
                progress.advance(2 * n, f"{n} steps")
        return rms, same

    @torch.inference_mode()
    def against_ode(self, run: Run) -> list[float]:
        """By steps: RMS per pixel between DDIM's images and those of the ODE from the same codes, in float64."""
        denoise = deepcopy(run.parts.denoiser).double()
        schedule = denoise.schedule
        codes = schedule.prior_std * self.drawn(run, self.codes).double().to(denoise.device)
        exact = solve(denoise, codes, self.tolerance)
        errors = []
        with Progress("DDIM against the ODE", sum(self.steps)) as progress:
            for n in self.steps:
                x = sampler(run, n).sample(denoise, schedule, lambda: torch.zeros_like(codes), start=codes)
                errors.append(float((x - exact).square().mean().sqrt()))
                progress.advance(n, f"{n} steps")
        return errors

    def strips(self, run: Run) -> Strips:
        """Images along slerps between codes of the prior, and between codes of test images with these at the ends."""
        data, shares = run.parts.data, torch.linspace(0, 1, self.between, dtype=torch.float64)
        assert isinstance(data, ImageData)
        ends = data.test.values[: 2 * self.pairs]
        drawn = run.parts.denoiser.schedule.prior_std * self.drawn(run, 2 * self.pairs)
        found = run.encode(data.scaling.encode(ends), steps=self.strip_steps)
        rows = torch.cat([slerp(a, b, shares) for codes in (drawn, found) for a, b in codes.unflatten(0, (-1, 2))])
        pictures = as_seen(run.decode(rows, steps=self.strip_steps), data).unflatten(0, (-1, self.between))
        real = data.viewed(data.scaling.picture(ends)).unflatten(0, (-1, 2))
        return Strips(pictures[: self.pairs], pictures[self.pairs :], real)

    def drawn(self, run: Run, n: int) -> Tensor:
        """Standard normal numbers for n codes."""
        return torch.stack([normal(stream(self.seed, "codes", i), run.parts.data.shape) for i in range(n)])


def sampler(run: Run, steps: int) -> Sampler:
    """DDIM with eta = 0 on the run's grid, x0 not clipped: clipped steps follow another ODE."""
    node = option("sampler", "ddim", run.config, steps=steps, eta=0.0, clip=False)
    return build(node, "sampler", run.config["targets"])


def slope_of(steps: Sequence[int], errors: Sequence[float]) -> tuple[float, float]:
    """The slope of log error over log steps by least squares, and its standard error: -1 is first order."""
    x, y = (torch.tensor(values, dtype=torch.float64).log() for values in (steps, errors))
    away = x - x.mean()
    slope = float((away * y).sum() / away.square().sum())
    rest = y - y.mean() - slope * away
    return slope, float((rest.square().sum() / (len(x) - 2) / away.square().sum()).sqrt())
