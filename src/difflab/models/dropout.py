"""Dropout whose coins cost a CPU little."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor, nn

SIDES = 2**16
ONE_IN_BFLOAT16 = np.uint16(0x3F80)


class Dropout(nn.Dropout):
    """torch.nn.Dropout; on CPUs with 16 random bits a number, seeded by torch's own generator.

    There PyTorch draws one number after another from a generator made for 32 bits, which takes as long as a
    convolution. The chance is p to within 1/131,072, and what stays is scaled by the chance that it stays.
    """

    def forward(self, input: Tensor) -> Tensor:
        if not (self.training and 0 < self.p < 1) or input.device.type != "cpu" or torch.compiler.is_compiling():
            return super().forward(input)
        gone = round(self.p * SIDES)
        order = sorted(range(input.dim()), key=input.stride, reverse=True)  # as they lie in memory
        lying = input.permute(order)
        stays = torch.from_numpy(coins(input.numel()) >= gone).view(lying.shape)
        kept = Kept.apply(lying, stays, SIDES / (SIDES - gone))
        return kept.permute(*np.argsort(order).tolist())


class Kept(torch.autograd.Function):
    """x where it stays, times a scale; zero elsewhere. By numbers: products with bool take six times as long."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, stays: Bool[Tensor, "..."], scale: float) -> Tensor:
        ctx.save_for_backward(stays)
        ctx.scale = scale
        return numbers(stays, x.dtype).mul_(x).mul_(scale)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (stays,) = ctx.saved_tensors
        return Kept.apply(grads[0], stays, ctx.scale), None, None


def coins(count: int) -> np.ndarray:
    """So many uint16, from a generator with a seed of torch's."""
    seed = int(torch.randint(2**63 - 1, ()))
    return np.random.SFC64(seed).random_raw(-(-count // 4)).view(np.uint16)[:count]


def numbers(stays: Bool[Tensor, "..."], dtype: torch.dtype) -> Tensor:
    """0 and 1; by NumPy, which turns bool into numbers faster than PyTorch does."""
    if dtype == torch.bfloat16:
        return torch.from_numpy(stays.numpy() * ONE_IN_BFLOAT16).view(dtype)
    return torch.from_numpy(stays.numpy().astype(np.float32)).to(dtype)
