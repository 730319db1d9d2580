"""What a network is told beside x_t and the time: classes, an image, how an image was augmented."""

from difflab.condition.condition import UNKNOWN, Condition, joined
from difflab.condition.conditioning import NUMBERS, Classes, Conditioning, Unconditional

__all__ = ["NUMBERS", "UNKNOWN", "Classes", "Condition", "Conditioning", "Unconditional", "joined"]
