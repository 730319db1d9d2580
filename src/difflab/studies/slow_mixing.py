"""Langevin dynamics does not find the weights of modes far apart, annealed it does: Song & Ermon (2019), Figure 3."""

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from difflab.distributions import Mixture
from difflab.errors import ConfigError
from difflab.metrics import binomial_stderr, mode_weights
from difflab.models import Oracle
from difflab.plots.points import Panel, Window, beside
from difflab.prediction import X0, Denoiser
from difflab.progress import Progress
from difflab.randomness import torch_seed
from difflab.runs.assemble import Parts
from difflab.runs.load import Run
from difflab.samplers import Langevin, PlainLangevin, Sampler, State
from difflab.schedules import Geometric, Marginal
from difflab.studies.plane import mixture

NEARLY_NONE = 0.01  # of the finest level: noise at which the score is that of the data
PLACES = 161  # along a side of the heat map
SHOWN = 2000  # points in a panel
BESIDE = 3.3  # standard deviations, from the middle of a mode to where its share is written


class Drawn(NamedTuple):
    """Samples of one way, [n, 2], with the share of the lightest mode.

    Attributes:
        name: in figures.
        title: in the picture.
        shares: of all modes.
        spread: standard deviation of a coordinate about the mean of the nearest mode.
    """

    name: str
    title: str
    samples: Tensor
    shares: Tensor
    spread: float


class SlowMixing:
    """Exact samples; plain Langevin, annealed Langevin with the exact score; and annealed with the learned one.

    Annealing is the sampler of the run on the schedule of the run. Plain Langevin has the score of the data without
    noise, the same start, and as many steps.

    Args:
        samples: of each way.
        step_size: of plain Langevin, eps of x + eps/2 score + sqrt(eps) z.
        seed: of all draws.

    Raises:
        ConfigError: for numbers that cannot be.
    """

    of_sweep = False

    def __init__(self, samples: int, step_size: float, seed: int) -> None:
        if samples < 2:
            raise ConfigError(f"study.samples: {samples}; allowed are whole numbers from 2")
        if not step_size > 0:
            raise ConfigError(f"study.step_size: {step_size}; allowed are positive numbers")
        self.samples, self.step_size, self.seed = samples, step_size, seed

    def check(self, parts: Parts, config: Mapping[str, Any]) -> None:
        most = 4 * mixture(parts, "slow_mixing").least_variance
        if self.step_size >= most:
            raise ConfigError(f"study.step_size: {self.step_size}; allowed are numbers below {most:g}: others diverge")
        if not isinstance(parts.sampler, Langevin) or isinstance(parts.sampler, PlainLangevin):
            name = type(parts.sampler).__name__.lower()
            raise ConfigError(f"sampler: {name}; study=slow_mixing compares annealed Langevin: allowed is langevin")

    @torch.inference_mode()
    def __call__(self, runs: Sequence[Run], folder: Path) -> dict[str, float]:
        (run,) = runs
        parts = run.parts
        law, learned = mixture(parts, "slow_mixing"), parts.denoiser
        assert isinstance(parts.sampler, Langevin)
        drawn = self.draw(law, learned, parts.sampler)
        figures: dict[str, float] = {"slow_mixing/true_weight": float(law.weights.min())}
        light = int(law.weights.argmin())
        for one in drawn:
            errors = binomial_stderr(one.shares, self.samples)
            figures |= {
                f"slow_mixing/{one.name}_weight": float(one.shares[light]),
                f"slow_mixing/{one.name}_weight_stderr": float(errors[light]),
                f"slow_mixing/{one.name}_std": one.spread,
            }
        picture(law, drawn, folder / "slow_mixing.png")
        write(drawn, folder / "slow_mixing.csv")
        return figures

    def draw(self, law: Mixture, learned: Denoiser, annealed: Langevin) -> list[Drawn]:
        """All four, as far as the learned score goes on the schedule of the run."""
        schedule = learned.schedule
        law = law.to(learned.device)
        exact = Denoiser(Oracle(law, X0()), schedule, X0())
        finest = float((-schedule.marginal(torch.tensor(schedule.t_min, dtype=torch.float64)).log_snr / 2).exp())
        bare = Geometric(NEARLY_NONE * finest, schedule.prior_std, None)
        clean = Denoiser(Oracle(law, X0()), bare, X0())
        calls = annealed.calls(schedule)
        plain = PlainLangevin(False, calls, self.step_size, None, schedule.prior_std, False, law.least_variance)
        ways: list[tuple[str, str, Denoiser, Sampler]] = [
            ("langevin_exact", "Langevin, exact score", clean, plain),
            ("annealed_exact", "annealed Langevin, exact score", exact, annealed),
            ("annealed_learned", "annealed Langevin, learned score", learned, annealed),
        ]
        found = [self.of(law, "exact", "exact samples", law.sample(self.samples, self.generator("exact")).float())]
        with Progress("Langevin dynamics", calls * len(ways)) as progress:
            for i, (name, title, denoise, sampler) in enumerate(ways):
                noise = self.noise(name, denoise.device)

                def watch(state: State, before: int = i * calls, title: str = title) -> None:
                    progress.advance(before + state.calls - progress.done, title)

                samples = sampler.sample(denoise, denoise.schedule, noise, watch)
                found.append(self.of(law, name, title, samples.float()))
        return found

    def generator(self, name: str) -> torch.Generator:
        """Of the draws of one way."""
        return torch.Generator().manual_seed(torch_seed(self.seed, "slow_mixing", name))

    def noise(self, name: str, device: torch.device) -> Callable[[], Tensor]:
        """Standard normal numbers of one way."""
        draws = self.generator(name)
        return lambda: torch.randn(self.samples, 2, generator=draws).to(device)

    def of(self, law: Mixture, name: str, title: str, samples: Float[Tensor, "n 2"]) -> Drawn:
        """Samples with what is asked of them."""
        means = law.means.to(samples)
        middle = means[torch.cdist(samples, means).argmin(1)]
        spread = float((samples - middle).double().square().mean().sqrt())
        return Drawn(name, title, samples.cpu(), mode_weights(samples, means).cpu(), spread)


def picture(law: Mixture, drawn: Sequence[Drawn], path: Path) -> None:
    """The four sets over the density of the data, with the shares of the modes."""
    law = law.cpu()
    window = Window.around(torch.cat([one.samples for one in drawn]))
    places = torch.from_numpy(window.lattice(PLACES)).reshape(-1, 2)
    one = torch.ones(len(places), dtype=torch.float64)
    tiny = 1e-3 * window.half
    density = law.log_density(places, Marginal(one, tiny * one, -2 * torch.log(tiny * one))).reshape(PLACES, PLACES)
    panels = []
    light = int(law.weights.argmin())
    width = law.variances.amax(1).sqrt().clamp(min=max(one.spread for one in drawn))
    inwards = torch.where(law.means[:, 1] > window.y, -1.0, 1.0)
    beside_modes = torch.stack([law.means[:, 0], law.means[:, 1] + BESIDE * inwards * width], 1).tolist()
    for row in drawn:
        error = float(binomial_stderr(row.shares, len(row.samples))[light])
        shares = row.shares.tolist()
        notes = [(x, y, f"{100 * share:.1f}%") for (x, y), share in zip(beside_modes, shares, strict=True)]
        title = f"{row.title}\nlighter mode: {100 * float(row.shares[light]):.1f} ± {100 * error:.1f}%"
        panels.append(Panel(title, row.samples[:SHOWN], notes))
    beside(panels, density.numpy(), window, path)


def write(drawn: Sequence[Drawn], path: Path) -> None:
    """Shares with their errors, and the widths of the modes, as CSV."""
    with path.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["samples", "mode", "share", "stderr", "std_of_modes"])
        for row in drawn:
            errors = binomial_stderr(row.shares, len(row.samples))
            for k, (share, error) in enumerate(zip(row.shares.tolist(), errors.tolist(), strict=True)):
                table.writerow([row.name, k, f"{share:.6g}", f"{error:.3g}", f"{row.spread:.6g}"])
