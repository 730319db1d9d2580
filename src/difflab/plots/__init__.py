"""Every picture."""

from difflab.plots.bound import bound_terms
from difflab.plots.curves import Curve
from difflab.plots.ema_lengths import ema_lengths
from difflab.plots.estimates import Rows, estimates
from difflab.plots.grid import PAIRED, image_grid
from difflab.plots.quality import quality
from difflab.plots.sampler_errors import Line, sampler_errors

__all__ = [
    "PAIRED",
    "Curve",
    "Line",
    "Rows",
    "bound_terms",
    "ema_lengths",
    "estimates",
    "image_grid",
    "quality",
    "sampler_errors",
]
