"""Distances between sets of images: pure functions and their streaming state."""

from difflab.metrics.frechet import Moments, Reference, frechet_distance, moments
from difflab.metrics.inception_score import inception_score
from difflab.metrics.infinity import frechet_at_infinity
from difflab.metrics.kernel import kernel_distance
from difflab.metrics.memorisation import copied_share, nearest
from difflab.metrics.mmd import mmd
from difflab.metrics.precision_recall import precision_recall

__all__ = [
    "Moments",
    "Reference",
    "copied_share",
    "frechet_at_infinity",
    "frechet_distance",
    "inception_score",
    "kernel_distance",
    "mmd",
    "moments",
    "nearest",
    "precision_recall",
]
