"""One picture file as a square of levels."""

from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from difflab.errors import ConfigError

SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


def contents(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"data.root: {path} cannot be read ({error.strerror}); allowed are files to read") from error


def square(path: Path, content: bytes, size: int, channels: int) -> np.ndarray:
    """One picture as uint8 [C, size, size].

    Raises:
        ConfigError: for content that is not a whole image, by its path.
    """
    try:
        with Image.open(BytesIO(content)) as image:
            picture = eight_bit(ImageOps.exif_transpose(image))
        if picture.has_transparency_data:
            picture = picture.convert("RGBA")
            picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
        picture = picture.convert("RGB" if channels == 3 else "L")
        picture = ImageOps.fit(picture, (size, size), Image.Resampling.BICUBIC)
    except Exception as error:  # decoders have no error in common: what a damaged file raises depends on its format
        reason = "not an image" if isinstance(error, UnidentifiedImageError) else " ".join(str(error).split())
        raise ConfigError(
            f"data.root: {path} cannot be read ({reason or type(error).__name__}); allowed under this name "
            f"are whole images; remove or rename it"
        ) from error
    return np.asarray(picture).reshape(size, size, channels).transpose(2, 0, 1)


def eight_bit(image: Image.Image) -> Image.Image:
    """Pillow cuts deeper grey images off at 255 on conversion: 16 bits are scaled here, others have no range."""
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) / 257).round().astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError(f"pixels of mode {image.mode}, neither 8 nor 16 bits")
    return image
