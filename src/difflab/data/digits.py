"""The 8x8 handwritten digits that ship inside scikit-learn: real images without a download."""

import numpy as np
import torch

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
        from sklearn.datasets import load_digits

        digits = load_digits()
        order = np.random.RandomState(0).permutation(len(digits.images))
        pixels = torch.from_numpy(digits.images[order].astype(np.uint8))[:, None]
        labels = torch.from_numpy(digits.target[order].astype(np.int64))
        whole = Images(pixels, labels)
        return whole.part(slice(1437)), whole.part(slice(1437, None))
