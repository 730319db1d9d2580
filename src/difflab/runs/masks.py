"""Masks by name and from files: which pixels of an image are made anew."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor

from difflab.condition import NUMBERS, Conditioning, Inpainting
from difflab.errors import ConfigError
from difflab.randomness import stream
from difflab.runs.build import build
from difflab.runs.load import option

Parts = tuple[slice, slice]
WHOLE = slice(None)
NAMED: dict[str, Callable[[int, int], Parts]] = {
    "center": lambda h, w: (slice(h // 4, h - h // 4), slice(w // 4, w - w // 4)),
    "left": lambda h, w: (WHOLE, slice(w // 2)),
    "right": lambda h, w: (WHOLE, slice(w // 2, w)),
    "top": lambda h, w: (slice(h // 2), WHOLE),
    "bottom": lambda h, w: (slice(h // 2, h), WHOLE),
}


def masks(
    name: str, shape: tuple[int, ...], n: int, seed: int, conditioning: Conditioning, config: Mapping[str, Any]
) -> Bool[Tensor, "n 1 h w"]:
    """True where pixels are to be made, for n images.

    Args:
        name: of a part of the image, random for masks as `condition=inpainting` draws them, or a file.
        shape: of an image.
        seed: of random masks: that of image i is a function of it and of i.
        conditioning: of the network: where it was trained on masks, random ones are like those.
        config: of the run.

    Raises:
        ConfigError: for a file that is no picture of the size of the images, or has no white pixel.
    """
    height, width = shape[-2:]
    if name == "random":
        own = isinstance(conditioning, Inpainting)
        chosen = conditioning if own else build(option("condition", "inpainting", dict(config)), "condition")
        numbers = [torch.from_numpy(stream(seed, "mask", i).random(NUMBERS)) for i in range(n)]
        return chosen.known(torch.stack(numbers), height, width) == 0
    if name in NAMED:
        mask = torch.zeros(height, width, dtype=torch.bool)
        mask[NAMED[name](height, width)] = True
    else:
        mask = of_file(Path(name), height, width)
    return mask.expand(n, 1, -1, -1)


def of_file(path: Path, height: int, width: int) -> Bool[Tensor, "h w"]:
    """True where a picture is nearer to white than to black."""
    if not path.is_file():
        raise ConfigError(f"mask: {path}; allowed are {', '.join(NAMED)}, random, and files of pictures")
    try:
        with Image.open(path) as picture:
            found = pil_to_tensor(picture.convert("L"))[0] > 127
    except (UnidentifiedImageError, OSError) as error:
        raise ConfigError(f"mask: {path} is not a picture that can be read; allowed are PNG files") from error
    if found.shape != (height, width):
        size = f"{found.shape[1]}x{found.shape[0]}"
        raise ConfigError(f"mask: {path} is {size} pixels; allowed is the size of the images, {width}x{height}")
    if not found.any():
        raise ConfigError(f"mask: {path} has no white pixel: nothing is to be made; allowed are masks with some")
    return found
