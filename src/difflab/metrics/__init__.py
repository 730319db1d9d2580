"""Distances between sets of images: pure functions and their streaming state."""

from difflab.metrics.frechet import Moments, frechet_distance

__all__ = ["Moments", "frechet_distance"]
