"""Every picture."""

from difflab.plots.bound import bound_terms
from difflab.plots.grid import image_grid
from difflab.plots.sampler_errors import Line, sampler_errors

__all__ = ["Line", "bound_terms", "image_grid", "sampler_errors"]
