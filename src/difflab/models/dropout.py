"""Dropout whose coins cost a CPU little."""

import numpy as np
import torch
from torch import Tensor, nn

SIDES = 2**16


class Dropout(nn.Dropout):
    """torch.nn.Dropout; on CPUs with 16 random bits a number, seeded by torch's own generator.

    There PyTorch draws one number after another from a generator made for 32 bits, which takes as long as a
    convolution. The chance is p to within 1/131,072, and what stays is scaled by the chance that it stays.
    """

    def forward(self, input: Tensor) -> Tensor:
        if not (self.training and 0 < self.p < 1) or input.device.type != "cpu" or torch.compiler.is_compiling():
            return super().forward(input)
        gone = round(self.p * SIDES)
        stays = torch.from_numpy(coins(input.numel()) >= gone).view(input.permute(*stored(input)).shape)
        stays = stays.permute(*np.argsort(stored(input)).tolist())
        return input * stays * (SIDES / (SIDES - gone))


def coins(count: int) -> np.ndarray:
    """So many uint16, from a Philox generator with a seed of torch's."""
    seed = int(torch.randint(2**63 - 1, ()))
    return np.random.Philox(seed).random_raw(-(-count // 4)).view(np.uint16)[:count]


def stored(x: Tensor) -> list[int]:
    """Its dimensions in the order in which they lie in memory."""
    return sorted(range(x.dim()), key=x.stride, reverse=True)
