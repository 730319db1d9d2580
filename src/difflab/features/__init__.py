"""Feature extractors: 8-bit pictures to [N, d]."""

from difflab.features.classifier import Classifier
from difflab.features.clip import CLIP
from difflab.features.custom import Custom
from difflab.features.dinov2 import DINOv2
from difflab.features.efficientnet_lite0 import EfficientNetLite0
from difflab.features.extractor import Extracted, Extractor, Labelled
from difflab.features.inception import Inception

__all__ = [
    "CLIP",
    "Classifier",
    "Custom",
    "DINOv2",
    "EfficientNetLite0",
    "Extracted",
    "Extractor",
    "Inception",
    "Labelled",
]
