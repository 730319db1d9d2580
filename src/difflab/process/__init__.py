"""The Gaussian process of any schedule: its transitions and posteriors, and the variances of its reverse steps."""

from difflab.process.conditionals import Transition, between, diffuse, expand, transition
from difflab.process.variance import Analytic, Forward, Learned, Posterior, Variance

__all__ = [
    "Analytic",
    "Forward",
    "Learned",
    "Posterior",
    "Transition",
    "Variance",
    "between",
    "diffuse",
    "expand",
    "transition",
]
