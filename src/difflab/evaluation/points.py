"""What is computed of points in the plane when: two-sample tests, the weights of modes, densities."""

import time
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from difflab.data import Indexed, PointData
from difflab.distributions import Mixture
from difflab.errors import ConfigError
from difflab.evaluation.densities import of_model, of_samples, stderr
from difflab.evaluation.evaluation import Drawing, Evaluation, Metrics
from difflab.evaluation.likelihood import Likelihood, Scores
from difflab.evaluation.pictures import decoded
from difflab.evaluation.space import FeatureSpace
from difflab.evaluation.strip import strip
from difflab.features import Extractor
from difflab.likelihood import ProbabilityFlow
from difflab.metrics import (
    binomial_stderr,
    energy_distance,
    energy_p_value,
    mode_weights,
    sliced_wasserstein,
    sliced_wasserstein_p_value,
)
from difflab.prediction import Denoiser
from difflab.progress import Progress
from difflab.randomness import torch_seed

FLOORS = 5  # fresh sets of points behind each floor


class PointProtocol(Metrics):
    """Samples against points of the test part, and what as many fresh points of the law reach as the floor.

    Densities are in nats of a point. `nll` is the model's own, by the probability-flow ODE with the exact trace. The
    flow ends at t_min, so that it is the density of x_{t_min} / alpha = x_0 + (sigma / alpha) eps at the point x_0:
    of data with the finest noise of the schedule on it, which counts where sigma(t_min) is not far below the details
    of the law. Where the law is a mixture of Gaussians, its exact density at the same points is the floor of `nll`, and
    `nll_of_samples` is -log of it at the samples, whose floor is the entropy of the law.

    Args:
        samples: points that are drawn, and points of the test part that they are compared with, at most.
        directions: of the sliced Wasserstein distance.
        permutations: of each two-sample test; a p-value is at least 1 / (1 + permutations).
        nll: test points whose density under the model is computed; None for none.
        rtol, atol: of the ODE.
        pictures: samples in a picture.
        every, budget: as in `Metrics`.

    Raises:
        ConfigError: for samples=None, and for tolerances outside (0, 1).
    """

    def __init__(
        self,
        samples: int,
        directions: int,
        permutations: int,
        nll: int | None,
        rtol: float,
        atol: float,
        pictures: int,
        every: int | None,
        budget: float,
    ) -> None:
        if samples is None:  # which images may be
            raise ConfigError("metrics.samples: null; allowed are whole numbers from 1")
        super().__init__(False, pictures, every, budget)
        self.samples, self.directions, self.permutations, self.nll = samples, directions, permutations, nll
        self.flow = ProbabilityFlow(rtol, atol, None)

    def prepare(self, extractor: Extractor, data: Indexed, cache: Path, device: torch.device) -> None:
        self.check(data)

    def check(self, data: Indexed) -> PointData:
        """The data, where it has points.

        Raises:
            ConfigError: where it has images.
        """
        if not isinstance(data, PointData):
            name = type(data).__name__
            raise ConfigError(f"metrics: figures of points; allowed for data of {name} are default, full, none")
        return data

    def score(self, denoise: Denoiser, data: Indexed, likelihood: Likelihood, seed: int) -> Scores:
        raise ConfigError(f"likelihood: {type(data).__name__} has no levels, and so no bits per dimension")

    def evaluate(
        self,
        denoise: Denoiser,
        data: Indexed,
        likelihood: Likelihood,
        drawing: Drawing,
        space: FeatureSpace | None,
        scores: Scores | None = None,
    ) -> Evaluation:
        begun = time.monotonic()
        points = self.check(data)
        denoise.eval()
        wanted = max(self.samples, self.pictures)
        drawn, calls = drawing.draw(denoise, data, wanted)
        every = decoded(drawn, data)
        samples = every[: self.samples]
        generator = torch.Generator().manual_seed(torch_seed(drawing.seed, "floor"))
        fresh = points.exact(FLOORS * len(samples), generator)
        figures: dict[str, float] = {"network_calls": calls, "samples": len(samples)}
        figures |= self.distances(samples, fresh, points.test.values[: self.samples], drawing.seed)
        if isinstance(points.distribution, Mixture):
            figures |= modes(samples, fresh, points.distribution) | of_samples(samples, points)
        if self.nll is not None:
            figures |= of_model(self.flow, denoise, points, self.nll)
        named = {f"test/{name}": value for name, value in figures.items()}
        pictures = {}
        if self.pictures:
            pictures["samples"] = self.picture(every[: self.pictures], data)
            pictures["denoising"] = strip(denoise, drawing.sampler, data, drawing.seed, drawing.asked)
        named["seconds/evaluate"] = time.monotonic() - begun
        return Evaluation(named, pictures=pictures)

    def distances(self, samples: Tensor, fresh: Tensor, test: Tensor, seed: int) -> dict[str, float]:
        """Both distances to points of the test part, their p-values, and their means over fresh sets of as many."""
        directions, permutations = self.directions, self.permutations
        found = {}
        with Progress("two-sample tests", 4) as progress:
            for name, distance in (
                ("energy_distance", energy_distance),
                ("sliced_wasserstein", partial(sliced_wasserstein, directions=directions, seed=seed)),
            ):
                floors = torch.tensor([distance(one, test) for one in fresh.chunk(FLOORS)], dtype=torch.float64)
                found |= {name: distance(samples, test), f"{name}_floor": float(floors.mean())}
                found[f"{name}_floor_stderr"] = stderr(floors)
                progress.advance()
            found["energy_p_value"] = energy_p_value(samples, test, permutations, seed)
            progress.advance()
            found["sliced_wasserstein_p_value"] = sliced_wasserstein_p_value(
                samples, test, directions, permutations, seed
            )
            progress.advance()
        return found


def modes(samples: Tensor, fresh: Tensor, law: Mixture) -> dict[str, float]:
    """The share of the samples nearest to the mean of each component, and that of fresh points of the law."""
    shares, real = mode_weights(samples, law.means), mode_weights(fresh, law.means)
    errors = binomial_stderr(shares, len(samples))
    found = {}
    for k, (share, error, exact) in enumerate(zip(shares.tolist(), errors.tolist(), real.tolist(), strict=True)):
        found |= {f"mode_weight_{k}": share, f"mode_weight_{k}_stderr": error, f"mode_weight_{k}_real": exact}
    return found
