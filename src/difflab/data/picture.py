"""One encoded picture as levels of one size."""

from io import BytesIO
from math import ceil, sqrt
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from difflab.data.pixels import File
from difflab.errors import ConfigError

SUFFIXES = (".jpg", ".jpeg", ".png", ".apng", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp", ".gif")
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
SEVERAL = ("MPO",)  # what cameras write beside their photograph are previews and views of it, not pictures of a film


class Fit(NamedTuple):
    """From a picture to uint8 [C, height, width].

    It is turned as its EXIF data say and brought to the channels; the largest part of the asked proportions in its
    middle is resized with antialiasing; one that has the size already is not touched. A JPEG is decoded at a half, a
    quarter or an eighth of its size where four times what is asked for is left, which takes that much less time.
    Without a channel for it, transparency is laid on white. 16-bit grey becomes 8-bit by its range, of 16-bit colours
    the decoder gives the upper 8 bits.

    Attributes:
        height, width: of the result.
        channels: 1 grey, 2 grey and opacity, 3 colour, 4 colour and opacity.
        crop: side of the square in the middle that is cut out first; None for nothing.
        filter: of the resizing.
    """

    height: int
    width: int
    channels: int
    crop: int | None = None
    filter: Image.Resampling = Image.Resampling.BICUBIC

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.channels, self.height, self.width

    def __call__(self, file: File) -> np.ndarray:
        """One picture as uint8 [C, height, width].

        Raises:
            ConfigError: for content that is not one whole image, by its name.
        """
        try:
            with Image.open(BytesIO(file.content)) as image:
                frames = getattr(image, "n_frames", 1)
                if frames > 1 and image.format not in SEVERAL:
                    raise ValueError(f"{frames} frames or pages")
                if image.format == "JPEG" and self.crop is None:
                    image.draft(None, (4 * max(self.height, self.width),) * 2)
                image.load()
                ImageOps.exif_transpose(image, in_place=True)
                picture = eight_bit(image)
            if picture.has_transparency_data and self.channels % 2:
                picture = picture.convert("RGBA")
                picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
            picture = as_mode(picture, MODES[self.channels])
            if self.crop is not None:
                picture = central(picture, self.crop)
            if picture.size != (self.width, self.height):
                picture = ImageOps.fit(picture, (self.width, self.height), self.filter)
        except Exception as error:  # decoders have no error in common: a damaged file raises whatever its format has
            reason = "not an image" if isinstance(error, UnidentifiedImageError) else " ".join(str(error).split())
            raise ConfigError(
                f"{file.field}: {file.name} cannot be read ({reason or type(error).__name__}); allowed under this name "
                f"are whole images, one a file; remove or rename it"
            ) from error
        return np.asarray(picture).reshape(self.height, self.width, self.channels).transpose(2, 0, 1)


class Paths:
    """Files as a source of pictures.

    Args:
        paths: of all of them.
    """

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, i: int) -> File:
        return File(str(self.paths[i]), contents(self.paths[i]))


def contents(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"data.root: {path} cannot be read ({error.strerror}); allowed are files to read") from error


def eight_bit(image: Image.Image) -> Image.Image:
    """Pillow cuts deeper grey images off at 255 on conversion: 16 bits are scaled here, others have no range."""
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) / 257).round().astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError(f"pixels of mode {image.mode}, neither 8 nor 16 bits")
    return image


def as_mode(picture: Image.Image, mode: str) -> Image.Image:
    """The picture in a mode; grey with opacity by way of colours, for not every mode leads there."""
    if picture.mode == mode:
        return picture
    return picture.convert("RGBA").convert(mode) if mode == "LA" else picture.convert(mode)


def central(picture: Image.Image, side: int) -> Image.Image:
    """The square in the middle.

    Raises:
        ValueError: for a picture that is smaller.
    """
    if side > min(picture.size):
        raise ValueError(f"{picture.width}x{picture.height} pixels, smaller than the square of data.crop = {side}")
    left, top = round((picture.width - side) / 2), round((picture.height - side) / 2)
    return picture.crop((left, top, left + side, top + side))


def on_white(pictures: Tensor) -> Tensor:
    """8-bit pictures without their last channel, which is opacity, as they look on white: uint8 [N, C - 1, H, W]."""
    colour, opacity = pictures[:, :-1].float(), pictures[:, -1:].float() / 255
    return (255 + opacity * (colour - 255)).round().to(torch.uint8)


def panels(pictures: Tensor) -> Tensor:
    """The channels of 8-bit pictures side by side, in rows about as long as high: grey, uint8 [N, 1, H', W']."""
    n, c, h, w = pictures.shape
    columns = ceil(sqrt(c))
    canvas = pictures.new_full((n, 1, ceil(c / columns) * (h + 1) - 1, columns * (w + 1) - 1), 64)
    for i in range(c):
        top, left = i // columns * (h + 1), i % columns * (w + 1)
        canvas[:, 0, top : top + h, left : left + w] = pictures[:, i]
    return canvas
