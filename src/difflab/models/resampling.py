"""How a U-Net changes the resolution between its levels."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from torch import Tensor, nn
from torch.nn import functional

from difflab.models.unet_blocks import Residual

Block = Callable[..., Residual]  # of c_in, c_out and `resize`


@runtime_checkable
class Resampling(Protocol):
    """The layers between the levels, each called as layer(x, time)."""

    def down(self, channels: int, block: Block) -> nn.Module: ...

    def up(self, channels: int, block: Block) -> nn.Module: ...


class Down(nn.Module):
    """Half the resolution: a stride-2 convolution.

    Args:
        channels: of what comes in and out.
        symmetric: padded on all sides (Nichol & Dhariwal, 2021), or at the right and the bottom (Ho et al., 2020).
    """

    def __init__(self, channels: int, symmetric: bool) -> None:
        super().__init__()
        self.symmetric = symmetric
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=1 if symmetric else 0)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        return self.conv(x if self.symmetric else functional.pad(x, (0, 1, 0, 1)))


class Up(nn.Module):
    """Twice the resolution: nearest neighbours, then a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        return self.conv(functional.interpolate(x, scale_factor=2, mode="nearest"))


class Convolutions:
    """One convolution each way, which is not told the time.

    Args:
        symmetric: whether the one on the way down is padded on all sides, or only at the right and the bottom.
    """

    def __init__(self, symmetric: bool) -> None:
        self.symmetric = symmetric

    def down(self, channels: int, block: Block) -> nn.Module:
        return Down(channels, self.symmetric)

    def up(self, channels: int, block: Block) -> nn.Module:
        return Up(channels)


class ResidualBlocks:
    """A residual block each way, with the mean of 2 x 2 pixels and nearest neighbours (Dhariwal & Nichol, 2021)."""

    def down(self, channels: int, block: Block) -> nn.Module:
        return block(channels, channels, resize=nn.AvgPool2d(2))

    def up(self, channels: int, block: Block) -> nn.Module:
        return block(channels, channels, resize=nn.Upsample(scale_factor=2, mode="nearest"))
