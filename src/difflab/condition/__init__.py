"""What a network is told beside x_t and the time: classes, an image, how an image was augmented."""

from difflab.condition.condition import UNKNOWN, Condition, joined
from difflab.condition.conditioning import NUMBERS, Classes, Conditioning, Unconditional
from difflab.condition.inpainting import Inpainting
from difflab.condition.super_resolution import SuperResolution

__all__ = [
    "NUMBERS",
    "UNKNOWN",
    "Classes",
    "Condition",
    "Conditioning",
    "Inpainting",
    "SuperResolution",
    "Unconditional",
    "joined",
]
