"""Which images and widths a U-Net can have."""

from collections.abc import Sequence


def check_sides(shape: Sequence[int], multipliers: Sequence[int]) -> None:
    """Refuse images that cannot be halved that often.

    Raises:
        ValueError: naming the field.
    """
    if len(shape) != 3:
        raise ValueError(f"model: a U-Net of data of shape {tuple(shape)}; allowed for points is model=mlp")
    height, width = shape[1:]
    stride = 2 ** (len(multipliers) - 1)
    if height % stride or width % stride:
        raise ValueError(
            f"model.multipliers: {len(multipliers)} levels halve the image {len(multipliers) - 1} times, "
            f"so its sides must be divisible by {stride}; the data has {height}x{width}"
        )


def check_widths(channels: int, multipliers: Sequence[int], heads: int | None, head_channels: int | None) -> None:
    """Refuse levels that cannot be shared by heads.

    Raises:
        ValueError: naming the field.
    """
    if (heads is None) == (head_channels is None):
        raise ValueError(f"model.heads: {heads} beside head_channels={head_channels}; allowed is one, the other null")
    name, number = ("heads", heads) if head_channels is None else ("head_channels", head_channels)
    if channels % 2 or any(m * channels % (number or 1) for m in multipliers):
        raise ValueError(f"model.channels: {channels} must be even and every level divisible by {name}={number}")
