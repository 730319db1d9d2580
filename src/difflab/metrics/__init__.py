"""Distances between sets of images or of points: pure functions and their streaming state."""

from difflab.metrics.energy import energy_distance, energy_p_value
from difflab.metrics.frechet import Moments, Reference, frechet_distance, moments
from difflab.metrics.inception_score import inception_score
from difflab.metrics.infinity import frechet_at_infinity
from difflab.metrics.kernel import kernel_distance
from difflab.metrics.memorisation import copied_share, nearest
from difflab.metrics.mmd import mmd
from difflab.metrics.modes import binomial_stderr, mode_weights
from difflab.metrics.permutation import permutation_p_value
from difflab.metrics.precision_recall import precision_recall
from difflab.metrics.sliced_wasserstein import sliced_wasserstein, sliced_wasserstein_p_value

__all__ = [
    "Moments",
    "Reference",
    "binomial_stderr",
    "copied_share",
    "energy_distance",
    "energy_p_value",
    "frechet_at_infinity",
    "frechet_distance",
    "inception_score",
    "kernel_distance",
    "mmd",
    "mode_weights",
    "moments",
    "nearest",
    "permutation_p_value",
    "precision_recall",
    "sliced_wasserstein",
    "sliced_wasserstein_p_value",
]
