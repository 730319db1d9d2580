"""Every picture."""

from difflab.plots.bound import bound_terms
from difflab.plots.grid import image_grid

__all__ = ["bound_terms", "image_grid"]
