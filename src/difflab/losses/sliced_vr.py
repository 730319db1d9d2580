"""Sliced score matching with less variance."""

from jaxtyping import Float
from torch import Tensor

from difflab.losses.by_parts import half_square
from difflab.losses.sliced import Sliced


class SlicedVR(Sliced):
    """sigma^power (v^T (ds/dx) v + |s|^2 / 2): (v^T s)^2 is replaced by its mean over v (Song et al., 2019, Eq. 9).

    What is left to vary with v is the trace; with random signs only the part of ds/dx beside its diagonal. With normal
    directions that may be no gain: where the trace is negative, the two parts of `Sliced` cancel some of their noise.
    """

    def square(self, score: Float[Tensor, "batch *shape"], v: Float[Tensor, "batch *shape"]) -> Float[Tensor, " batch"]:
        return half_square(score)
