"""Images side by side."""

from math import ceil, sqrt
from pathlib import Path

from jaxtyping import UInt8
from PIL import Image
from torch import Tensor
from torchvision.utils import make_grid

from difflab.files import unfinished

SHORTEST = 512
PAIRED = 8  # columns, of pictures that belong together two by two


def image_grid(pictures: UInt8[Tensor, "n c h w"], path: Path, columns: int | None = None) -> None:
    """A PNG of the pictures, square unless told, enlarged by a whole number so that small ones can be seen."""
    if pictures.shape[1] == 2 or pictures.shape[1] > 3:
        pictures = pictures[:, :1]
    columns = columns or ceil(sqrt(len(pictures)))
    grid = make_grid(pictures, columns, padding=1, pad_value=128).permute(1, 2, 0).contiguous()
    image = Image.fromarray(grid.numpy())
    factor = max(1, SHORTEST // min(image.size))
    image = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    path.parent.mkdir(parents=True, exist_ok=True)
    with unfinished(path) as new:
        image.save(new, "PNG")
