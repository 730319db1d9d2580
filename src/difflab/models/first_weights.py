"""The first weights of DDPM (Ho et al., 2020, in their code)."""

import math

from torch import nn

from difflab.models.unet_blocks import Attention, Residual


def start_as_ddpm(network: nn.Module, last: nn.Module) -> None:
    """First weights from Glorot & Bengio's uniform law, no biases; what is zero stays zero.

    Queries, keys and values are a layer each in DDPM: their fan is that of a square.

    Args:
        network: a U-Net.
        last: its last layer, zero as the last of every residual branch.
    """
    attentions = [module for module in network.modules() if isinstance(module, Attention)]
    silent = {module.conv2 for module in network.modules() if isinstance(module, Residual)}
    silent |= {attention.out for attention in attentions} | {last}
    square = {attention.qkv for attention in attentions}
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear) and module not in silent:
            nn.init.xavier_uniform_(module.weight, gain=math.sqrt(2) if module in square else 1.0)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
