"""torch-fidelity's Inception, with the same resize in a quarter of the work."""

import torch
from jaxtyping import Float32, UInt8
from torch import Tensor
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

LAYERS = [
    "Conv2d_1a_3x3",
    "Conv2d_2a_3x3",
    "Conv2d_2b_3x3",
    "MaxPool_1",
    "Conv2d_3b_1x1",
    "Conv2d_4a_3x3",
    "MaxPool_2",
    "Mixed_5b",
    "Mixed_5c",
    "Mixed_5d",
    "Mixed_6a",
    "Mixed_6b",
    "Mixed_6c",
    "Mixed_6d",
    "Mixed_6e",
    "Mixed_7a",
    "Mixed_7b",
    "Mixed_7c",
    "AvgPool",
]


class Network(FeatureExtractorInceptionV3):
    """Pictures to (features after the last pooling, logits without the bias): bit for bit what torch-fidelity gives."""

    def forward(
        self, pictures: UInt8[Tensor, "n 3 h w"]
    ) -> tuple[Float32[Tensor, "n 2048"], Float32[Tensor, "n 1008"]]:
        x = resized(pictures.float(), self.INPUT_IMAGE_SIZE).sub_(128).div_(128)
        for name in LAYERS:
            x = self.get_submodule(name)(x)
        features = x.flatten(1)
        return features, features.mm(self.fc.weight.T)


def resized(x: Float32[Tensor, "n c h w"], side: int) -> Float32[Tensor, "n c side side"]:
    """Bilinear as TensorFlow 1: pixel i of the result lies at i h / side of the picture, and corners do not match.

    Columns are mixed first, in the rows of the picture alone: the rows of the result mix those, where torch-fidelity
    mixes the columns of each of its two neighbours anew.
    """
    return along(along(x, 3, side), 2, side)


def along(x: Float32[Tensor, "n c h w"], dim: int, side: int) -> Float32[Tensor, "n c h_ w_"]:
    """The resize of one dimension."""
    length = x.shape[dim]
    at = torch.arange(side, dtype=torch.float32, device=x.device) * (length / side)
    low = at.long()
    share = (at - low).view(-1, *[1] * (3 - dim))
    below = x.index_select(dim, low)
    return x.index_select(dim, (low + 1).clamp(max=length - 1)).sub_(below).mul_(share).add_(below)
