"""Published weights of other libraries, in and out."""

from difflab.interop.diffusers import unet_weights

__all__ = ["unet_weights"]
