"""Samplers: one a file, on a shared loop over a falling grid of times."""

from difflab.samplers.ancestral import Ancestral
from difflab.samplers.ddim import DDIM
from difflab.samplers.grid import Grid, Leading, Trailing, Uniform
from difflab.samplers.sampler import Noise, Sampler, Step

__all__ = ["DDIM", "Ancestral", "Grid", "Leading", "Noise", "Sampler", "Step", "Trailing", "Uniform"]
