"""Every picture."""

from difflab.plots.animation import animate
from difflab.plots.bound import bound_terms
from difflab.plots.curves import Curve
from difflab.plots.ema_lengths import ema_lengths
from difflab.plots.estimates import Rows, estimates
from difflab.plots.grid import PAIRED, image_grid
from difflab.plots.points import Panel, Window, beside, scatter
from difflab.plots.quality import quality
from difflab.plots.sampler_errors import Line, sampler_errors
from difflab.plots.score_field import Errors, Field, score_fields
from difflab.plots.strips import Strip, picture_strips, strips, trajectories

__all__ = [
    "PAIRED",
    "Curve",
    "Errors",
    "Field",
    "Line",
    "Panel",
    "Rows",
    "Strip",
    "Window",
    "animate",
    "beside",
    "bound_terms",
    "ema_lengths",
    "estimates",
    "image_grid",
    "picture_strips",
    "quality",
    "sampler_errors",
    "scatter",
    "score_fields",
    "strips",
    "trajectories",
]
