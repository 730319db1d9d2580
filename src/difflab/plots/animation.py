"""A reverse process as a film: GIF by Pillow, MP4 where imageio-ffmpeg is installed."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from difflab.errors import ConfigError
from difflab.plots.grid import SHORTEST

A_SECOND = 20  # frames
LAST = 1.0  # seconds for which the last frame is held
SUFFIXES = (".gif", ".mp4")


def check_animation(suffix: str) -> None:
    """Whether films of this kind can be made here.

    Raises:
        ConfigError: for another kind than GIF and MP4, and for MP4 without the package that writes it.
    """
    if suffix not in SUFFIXES:
        raise ConfigError(f"animation: {suffix.removeprefix('.')}; allowed are gif, mp4")
    if suffix == ".mp4":
        writer()


def writer() -> Any:
    """The package that writes MP4."""
    try:
        return import_module("imageio_ffmpeg")
    except ImportError:
        raise ConfigError("animation: mp4; it needs imageio-ffmpeg: pip install 'difflab[video]', or gif") from None


def animate(frames: UInt8[Tensor, "t *picture"], path: Path) -> None:
    """A GIF or an MP4, by the suffix; small pictures are enlarged by a whole number, the last is held for a second.

    Args:
        frames: grey [T, H, W], or [T, C, H, W] with one or three channels; of others the first is shown.
        path: of the film.

    Raises:
        ConfigError: for another suffix, and for MP4 without imageio-ffmpeg.
    """
    check_animation(path.suffix)
    pictures = [enlarged(frame) for frame in frames]
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    if path.suffix == ".gif":
        still = 1000 // A_SECOND
        durations = [still] * (len(pictures) - 1) + [round(1000 * LAST)]
        pictures[0].save(new, "GIF", save_all=True, append_images=pictures[1:], duration=durations, loop=0)
    else:
        write_mp4(pictures, new)
    new.replace(path)


def enlarged(frame: UInt8[Tensor, "*picture"]) -> Image.Image:
    """A frame as a picture of at least some hundred pixels where that takes a whole number."""
    if frame.dim() == 3:
        frame = frame.permute(1, 2, 0) if len(frame) == 3 else frame[0]
    image = Image.fromarray(frame.contiguous().numpy())
    factor = max(1, SHORTEST // min(image.size))
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)


def write_mp4(pictures: Sequence[Image.Image], path: Path) -> None:
    """H.264, whose sides are even: a last row or column is repeated where one is missing."""
    width, height = (side + side % 2 for side in pictures[0].size)
    film = writer().write_frames(
        str(path), (width, height), fps=A_SECOND, macro_block_size=2, quality=8, output_params=["-f", "mp4"]
    )
    film.send(None)
    for picture in [*pictures, *[pictures[-1]] * round(A_SECOND * LAST - 1)]:
        pixels = np.asarray(picture.convert("RGB"))
        film.send(np.pad(pixels, ((0, height - len(pixels)), (0, width - pixels.shape[1]), (0, 0)), mode="edge"))
    film.close()
