"""Group normalisation that costs a CPU little in bfloat16."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from difflab.models.scratch import scratch

FEW = 1024  # pixels, below which PyTorch takes another way forward
AT_ONCE = 2**18  # numbers, so that their float32 stays in the cache


class GroupNorm(nn.GroupNorm):
    """torch.nn.GroupNorm; on CPUs bfloat16 images that lie channels last go through PyTorch's kernels for float32.

    Its kernels for bfloat16 convert one number after another, but for the way forward of large images: to convert
    them all before and after is several times as fast, and rounds no more.
    """

    def forward(self, input: Tensor) -> Tensor:
        if not (self.affine and pays(input)) or torch.compiler.is_compiling():
            return super().forward(input)
        return InFloat32.apply(input, self.weight, self.bias, self.num_groups, self.eps)


def pays(x: Tensor) -> bool:
    """Whether it is faster so."""
    last = x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    return last and x.device.type == "cpu" and x.dtype == torch.bfloat16


kernel = torch.ops.aten.native_group_norm_backward


class InFloat32(torch.autograd.Function):
    """Group normalisation and its gradients by PyTorch's kernels for float32, and theirs by autograd."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float) -> Tensor:
        inputs = (x, weight, bias)
        if x[0, 0].numel() < FEW:
            inputs = (floats("norm's input", x), weight.float(), bias.float())
        y, mean, rstd = torch.native_group_norm(*inputs, *sizes(x), groups, eps)
        ctx.save_for_backward(x, weight, bias, mean, rstd)
        ctx.groups, ctx.eps = groups, eps
        return y.to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, mean, rstd = ctx.saved_tensors
        if torch.is_grad_enabled():  # somebody will differentiate these
            y = functional.group_norm(x, ctx.groups, weight, bias, ctx.eps)
            inputs = [part for part, needed in zip((x, weight, bias), ctx.needs_input_grad, strict=False) if needed]
            found = iter(torch.autograd.grad(y, inputs, grads[0], create_graph=True))
            return tuple(next(found) if needed else None for needed in ctx.needs_input_grad)
        of_x, of_weight, of_bias = torch.empty_like(x), torch.zeros_like(weight), torch.zeros_like(bias)
        at_once = max(1, AT_ONCE // x[0].numel())
        for *some, place in zip(*(t.split(at_once) for t in (grads[0], x, mean, rstd, of_x)), strict=True):
            grad, seen, *statistics = some
            images = (floats("norm's gradient", grad), floats("norm's input", seen))
            numbers = [t.float() for t in (*statistics, weight)]
            found = kernel(*images, *numbers, *sizes(place), ctx.groups, [True, True, True])
            place.copy_(found[0])
            of_weight += found[1]
            of_bias += found[2]
        return of_x, of_weight, of_bias, None, None


def floats(name: str, x: Tensor) -> Tensor:
    """The images in float32, where the last images of this name were."""
    n, c, h, w = x.shape
    return scratch(name, n, h, w, c).permute(0, 3, 1, 2).copy_(x)


def sizes(x: Tensor) -> tuple[int, int, int]:
    """Images, channels, pixels."""
    n, c, h, w = x.shape
    return n, c, h * w
