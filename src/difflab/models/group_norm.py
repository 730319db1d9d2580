"""Group normalisation, with the SiLU that mostly follows it, in the memory and the time that a CPU needs for it."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from difflab.models.scratch import scratch

FEW = 1024  # pixels, below which PyTorch takes another way forward
MANY = 2**20  # numbers, from which on it is worth computing again what lies between norm and SiLU
AT_ONCE = 2**18  # numbers, so that their float32 stays in the cache

norm_gradients = torch.ops.aten.native_group_norm_backward
silu_gradient = torch.ops.aten.silu_backward.grad_input


class GroupNorm(nn.GroupNorm):
    """torch.nn.GroupNorm, and SiLU of it where asked for; on CPUs by `Normed`.

    Args:
        groups, channels, eps: as of torch.nn.GroupNorm.
        silu: whether SiLU follows.
    """

    def __init__(self, groups: int, channels: int, eps: float, silu: bool = False) -> None:
        super().__init__(groups, channels, eps=eps)
        self.silu = silu

    def forward(self, input: Tensor) -> Tensor:
        graph = torch.is_grad_enabled()
        together = self.silu and graph and input.numel() >= MANY
        if pays(input, together) and not torch.compiler.is_compiling():
            y = Normed.apply(input, self.weight, self.bias, self.num_groups, self.eps, together)
            if together:
                return y
        else:
            y = super().forward(input)
        return functional.silu(y, inplace=not graph) if self.silu else y  # nobody else holds y


def pays(x: Tensor, silu: bool) -> bool:
    """Whether `Normed` is the faster way, or with SiLU the leaner one."""
    last = x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    return last and x.device.type == "cpu" and (x.dtype == torch.bfloat16 or (silu and x.dtype == torch.float32))


class Normed(torch.autograd.Function):
    """Group normalisation, with SiLU or without, and its gradients, by PyTorch's kernels for float32.

    Its kernels for bfloat16 convert one number after another, but for the way forward of large images: to convert
    them all before and after is several times as fast, and rounds no more. What lies between norm and SiLU is not
    kept: from x it is computed again, a few images at a time, in the cache.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float, silu: bool) -> Tensor:
        inputs = (x, weight, bias)
        if x.dtype == torch.bfloat16 and x[0, 0].numel() < FEW:
            inputs = (floats("norm's input", x), weight.float(), bias.float())
        y, mean, rstd = torch.native_group_norm(*inputs, *sizes(x), groups, eps)
        y = y.to(x.dtype)
        ctx.save_for_backward(x, weight, bias, mean, rstd)
        ctx.groups, ctx.eps, ctx.silu = groups, eps, silu
        return functional.silu(y, inplace=True) if silu else y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, mean, rstd = ctx.saved_tensors
        if torch.is_grad_enabled():  # somebody will differentiate these
            y = functional.group_norm(x, ctx.groups, weight, bias, ctx.eps)
            y = functional.silu(y) if ctx.silu else y
            inputs = [part for part, needed in zip((x, weight, bias), ctx.needs_input_grad, strict=False) if needed]
            found = iter(torch.autograd.grad(y, inputs, grads[0], create_graph=True))
            return tuple(next(found) if needed else None for needed in ctx.needs_input_grad)
        of_x, of_weight, of_bias = torch.empty_like(x), torch.zeros_like(weight), torch.zeros_like(bias)
        weight, bias = weight.float(), bias.float()
        at_once = max(1, AT_ONCE // x[0].numel())
        for *some, images in zip(*(t.split(at_once) for t in (grads[0], x, mean, rstd, of_x)), strict=True):
            grad, seen = floats("norm's gradient", some[0]), floats("norm's input", some[1])
            statistics = [t.float() for t in some[2:]]
            if ctx.silu:
                y = normed(seen, weight, bias, *statistics)
                grad = silu_gradient(grad, y, grad_input=y)
            found = norm_gradients(grad, seen, *statistics, weight, *sizes(seen), ctx.groups, [True, True, True])
            images.copy_(found[0])
            of_weight += found[1]
            of_bias += found[2]
        return of_x, of_weight, of_bias, None, None, None


def normed(x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, rstd: Tensor) -> Tensor:
    """The norm of images in float32, with statistics that are known, [images, groups]."""
    scale = rstd[..., None] * weight.view(mean.shape[1], -1)
    shift = bias.view(mean.shape[1], -1) - mean[..., None] * scale
    scale, shift = (t.reshape(*x.shape[:2], 1, 1) for t in (scale, shift))
    return torch.addcmul(shift, x, scale, out=place("norm's output", x))


def floats(name: str, x: Tensor) -> Tensor:
    """The images in float32: themselves, or where the last images of this name were."""
    return x if x.dtype == torch.float32 else place(name, x).copy_(x)


def place(name: str, x: Tensor) -> Tensor:
    """Memory for images of that shape in float32."""
    n, c, h, w = x.shape
    return scratch(name, n, h, w, c).permute(0, 3, 1, 2)


def sizes(x: Tensor) -> tuple[int, int, int]:
    """Images, channels, pixels."""
    n, c, h, w = x.shape
    return n, c, h * w
