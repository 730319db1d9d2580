"""condition=super_resolution: the network is told a coarse version of the image."""

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from difflab.condition.condition import Condition
from difflab.condition.conditioning import Conditioning


class SuperResolution(Conditioning):
    """The image averaged over squares of pixels and brought back to its size (Saharia et al., 2022, SR3, section 2).

    Args:
        drop: as for every conditioning.
        factor: side of a square.
        smooth: whether coarse pixels are joined linearly (SR3: bicubic); else each becomes a square again.

    Raises:
        ValueError: for a factor below 2; of `channels`, for one that does not divide the sides of the image.
    """

    def __init__(self, drop: float, factor: int, smooth: bool) -> None:
        super().__init__(drop)
        if factor < 2:
            raise ValueError(f"condition.factor: {factor}; allowed are whole numbers from 2")
        self.factor, self.smooth = factor, smooth

    def channels(self, shape: tuple[int, ...]) -> int:
        """As many as the image has."""
        sides = shape[1:]
        if any(side % self.factor for side in sides):
            size = "x".join(map(str, sides))
            raise ValueError(f"condition.factor: {self.factor}; allowed are numbers that divide both sides of {size}")
        return shape[0]

    def coarse(self, x0: Float[Tensor, "batch c h w"]) -> Float[Tensor, "batch c h2 w2"]:
        """The small image."""
        return avg_pool2d(x0, self.factor)

    def told(self, coarse: Float[Tensor, "batch c h2 w2"]) -> Condition:
        """What is told of images of which only the small version is known."""
        if self.smooth:
            return Condition(image=interpolate(coarse, scale_factor=self.factor, mode="bilinear", align_corners=False))
        return Condition(image=interpolate(coarse, scale_factor=self.factor, mode="nearest"))

    def of(
        self, x0: Float[Tensor, "batch *shape"], labels: Int[Tensor, " batch"] | None, uniform: Float[Tensor, "batch 8"]
    ) -> Condition:
        return self.told(self.coarse(x0))
