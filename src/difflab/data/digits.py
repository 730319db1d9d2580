"""The 8x8 handwritten digits that ship inside scikit-learn: real images without a download."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from difflab.data.image_data import ImageData, Images


class Digits(ImageData):
    """1,797 images of 8x8 pixels with 17 grey levels in 10 classes (Alpaydin & Kaynak, 1998).

    Split once for all by a fixed permutation: 1,437 for training, 360 for testing.
    """

    levels = 17
    classes = 10
    class_names = tuple("0123456789")
    form = "1 x 8 x 8"
    kinds = "10: the digits"
    division = "fixed permutation: 1,437 training, 360 test"
    licence = "CC BY 4.0"
    where = "none: inside scikit-learn"

    def read(self) -> tuple[Images, Images]:
        rows = table()
        rows = rows[np.random.RandomState(0).permutation(len(rows))]
        pixels = torch.from_numpy(rows[:, :-1].astype(np.uint8)).unflatten(1, (1, 8, 8))
        labels = torch.from_numpy(rows[:, -1].astype(np.int64))
        whole = Images(pixels, labels)
        return whole.part(slice(1437)), whole.part(slice(1437, None))


def table() -> Float[np.ndarray, "1797 65"]:
    """64 pixels and a label in each row. scikit-learn's own reader would import pandas, which takes a second."""
    package = find_spec("sklearn")
    file = Path(str(package and package.origin)).parent / "datasets" / "data" / "digits.csv.gz"
    if file.is_file():
        return np.loadtxt(file, delimiter=",")
    from sklearn.datasets import load_digits  # of a version that keeps them elsewhere

    digits = load_digits()
    return np.column_stack([digits.data, digits.target])
