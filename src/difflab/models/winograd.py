"""3x3 convolutions by minimal filtering, F(4x4, 3x3): a quarter of the multiplications (Lavin & Gray, 2016, section 4).

An image is cut into tiles of 6x6 pixels that overlap by two; after a linear transform of tiles and of filters each of
the 36 places is a matrix product over the channels, and another transform gives 4x4 pixels of the output. All three are
products with constant matrices, and images go through them a few at a time, so that what lies between stays in the
cache. Rounding is that of float32 times about ten.
"""

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from difflab.models.scratch import scratch

INNER, TILE = 4, 6  # sides of what a tile gives and of what it sees
NARROWEST = 128  # channels, below which the transforms cost what they save
FEWEST = 16  # tiles, below which the transform of the filters does
CACHED = 32 * 1024  # tiles times channels that are transformed at a time
MOST = 4 * CACHED  # of one image: of larger ones nothing stays in the cache


def both_axes(one_axis: list[list[float]]) -> Float[Tensor, "out_squared in_squared"]:
    """A transform of rows and of columns as one matrix."""
    matrix = torch.tensor(one_axis, dtype=torch.float64, device="cpu")
    return torch.kron(matrix, matrix).float()


# B^T, G and A^T of their section 4.3.
OF_TILES = both_axes(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ]
)
OF_FILTERS = both_axes(
    [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ]
)
TO_PIXELS = both_axes([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]])


class Tiles:
    """Images, a few at a time, as transformed tiles.

    Args:
        x: images, [N, C, H, W], H and W divisible by 4.
        most: channels of the widest tensor that takes part.
    """

    def __init__(self, x: Tensor, most: int) -> None:
        n, c, h, w = x.shape
        self.images = x.permute(0, 2, 3, 1)
        self.across = (h // INNER, w // INNER)
        self.at_once = max(1, min(n, CACHED // (h // INNER * (w // INNER) * most)))
        self.padded = scratch("padded", self.at_once, h + 2, w + 2, c)
        for border in (self.padded[:, :: h + 1], self.padded[:, :, :: w + 1]):
            border.zero_()
        self.cut = scratch("cut", TILE, TILE, self.at_once, *self.across, c)
        self.transformed = scratch("tiles", TILE * TILE, self.cut[0, 0].numel())
        of_image, of_row, of_pixel, of_channel = self.padded.stride()
        steps = (of_row, of_pixel, of_image, INNER * of_row, INNER * of_pixel, of_channel)
        self.overlapping = self.padded.as_strided(self.cut.shape, steps)

    def __iter__(self) -> Iterator[tuple[slice, Float[Tensor, "places tiles channels"]]]:
        """Which images, and their tiles; those of no image are zero."""
        for first in range(0, len(self.images), self.at_once):
            some = self.images[first : first + self.at_once]
            self.padded[: len(some), 1:-1, 1:-1].copy_(some)
            self.padded[len(some) :].zero_()  # where images have run out: what lies there may be no number
            self.cut.copy_(self.overlapping)
            torch.mm(OF_TILES, self.cut.view(TILE * TILE, -1), out=self.transformed)
            yield slice(first, first + len(some)), self.transformed.view(TILE * TILE, -1, self.images.shape[-1])

    def pixels(self, images: Float[Tensor, "N H W K"]) -> Float[Tensor, "4 4 N rows columns K"]:
        """A view of images by place within the tile that a pixel belongs to."""
        n, k = len(images), images.shape[-1]
        down, right = self.across
        return images.view(n, down, INNER, right, INNER, k).permute(2, 4, 0, 1, 3, 5)


def filters(weight: Float[Tensor, "K C 3 3"], transform: Float[Tensor, "36 9"]) -> Float[Tensor, "36 K C"]:
    """Transformed filters."""
    k, c = weight.shape[:2]
    plain = scratch("plain", 3, 3, k, c).copy_(weight.permute(2, 3, 0, 1))
    found = scratch("filters", TILE * TILE, k * c)
    return torch.mm(transform, plain.view(9, -1), out=found).view(TILE * TILE, k, c)


def convolved(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The convolution, padded by one pixel."""
    return filtered(x, filters(weight, OF_FILTERS).transpose(1, 2), bias)


def input_gradient(grad: Tensor, weight: Tensor) -> Tensor:
    """The gradient of the input: a convolution with the filters turned by half a circle, from outputs to inputs."""
    return filtered(grad, filters(weight, OF_FILTERS.flip(1)), None)


def filtered(x: Tensor, of_channels: Float[Tensor, "36 C K"], bias: Tensor | None) -> Tensor:
    """Images through transformed filters."""
    n, c, h, w = x.shape
    k = of_channels.shape[2]
    tiles = Tiles(x, max(c, k))
    output = torch.empty(n, k, h, w, device="cpu", memory_format=torch.channels_last)
    product = scratch("product", TILE * TILE, tiles.at_once * h * w // INNER**2, k)
    flat = scratch("flat", INNER * INNER, product[0].numel())
    grouped = flat.view(INNER, INNER, tiles.at_once, *tiles.across, k)
    for some, transformed in tiles:
        torch.bmm(transformed, of_channels, out=product)
        torch.mm(TO_PIXELS, product.view(TILE * TILE, -1), out=flat)
        found, place = grouped[:, :, : some.stop - some.start], tiles.pixels(output[some].permute(0, 2, 3, 1))
        place.copy_(found) if bias is None else torch.add(found, bias, out=place)
    return output


def weight_gradient(x: Tensor, grad: Tensor) -> Float[Tensor, "K C 3 3"]:
    """The gradient of the filters: the transposes of the three transforms."""
    k, c = grad.shape[1], x.shape[1]
    tiles, of_output = Tiles(x, max(c, k)), grad.permute(0, 2, 3, 1)
    grouped = scratch("flat", INNER, INNER, tiles.at_once, *tiles.across, k)
    spread = scratch("product", TILE * TILE, grouped[0, 0].numel())
    total = scratch("filters", TILE * TILE, k, c)
    for some, transformed in tiles:
        grouped[:, :, some.stop - some.start :].zero_()
        grouped[:, :, : some.stop - some.start].copy_(tiles.pixels(of_output[some]))
        torch.mm(TO_PIXELS.T, grouped.view(INNER * INNER, -1), out=spread)
        total.baddbmm_(spread.view(TILE * TILE, -1, k).transpose(1, 2), transformed, beta=min(some.start, 1))
    return (OF_FILTERS.T @ total.view(TILE * TILE, -1)).view(3, 3, k, c).permute(2, 3, 0, 1)


class Gradients(torch.autograd.Function):
    """The convolution's gradients by minimal filtering, and theirs by PyTorch's own; in its place for now nothing.

    What they need is kept before `Result` computes: a pass that is repeated to have it again ends there.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return x.new_empty(1).expand(len(x), len(weight), *x.shape[2:])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        grad = grads[0].contiguous(memory_format=torch.channels_last)
        of_x, of_weight, of_bias = ctx.needs_input_grad
        if torch.is_grad_enabled():  # somebody will differentiate these
            wanted, sizes = [of_x, of_weight, of_bias], [len(weight)]
            geometry: Any = ([1, 1], [1, 1], [1, 1], False, [0, 0], 1)
            return torch.ops.aten.convolution_backward(grad, x, weight, sizes, *geometry, wanted)
        return (
            input_gradient(grad, weight) if of_x else None,
            weight_gradient(x, grad) if of_weight else None,
            grad.sum((0, 2, 3)) if of_bias else None,
        )


class Result(torch.autograd.Function):
    """The convolution, in the place that `Gradients` has for it."""

    @staticmethod
    def forward(ctx: Any, place: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return convolved(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return grads[0], None, None, None


class WinogradConv2d(nn.Conv2d):
    """A 3x3 convolution of stride 1, padded by 1, that is computed so where it is faster: on CPUs, in float32.

    Args:
        plain: the layer whose weights it takes over; a state dict does not tell the two apart.
    """

    def __init__(self, plain: nn.Conv2d) -> None:
        channels = plain.in_channels, plain.out_channels
        super().__init__(*channels, 3, padding=1, bias=plain.bias is not None, device="meta")
        self.weight, self.bias = plain.weight, plain.bias
        self.train(plain.training)

    def forward(self, input: Tensor) -> Tensor:
        if not pays(input, self.weight):
            return super().forward(input)
        x = input.contiguous(memory_format=torch.channels_last)
        place = Gradients.apply(x, self.weight, self.bias)
        return Result.apply(place, x.detach(), self.weight.detach(), None if self.bias is None else self.bias.detach())


def pays(x: Tensor, weight: Tensor) -> bool:
    """Whether minimal filtering is the faster way; traced graphs keep the convolution as it is."""
    n, _, h, w = x.shape
    tiles, widest = h * w // INNER**2, max(weight.shape[:2])
    return (
        x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and min(weight.shape[:2]) >= NARROWEST
        and not h % INNER
        and not w % INNER
        and n * tiles >= FEWEST
        and tiles * widest <= MOST
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
        and not torch.onnx.is_in_onnx_export()
    )


def winograd(network: nn.Module) -> nn.Module:
    """The network with every wide 3x3 convolution of stride 1 computed so where it pays; its weights are the same."""
    for parent in list(network.modules()):
        for name, layer in parent.named_children():
            if type(layer) is nn.Conv2d and fits(layer):
                setattr(parent, name, WinogradConv2d(layer))
    return network


def fits(layer: nn.Conv2d) -> bool:
    """Whether it is a convolution that minimal filtering can compute, and wide enough."""
    plain = layer.groups == 1 and layer.padding_mode == "zeros"
    geometry = (layer.kernel_size, layer.stride, layer.padding, layer.dilation)
    wide = min(layer.in_channels, layer.out_channels) >= NARROWEST
    return plain and wide and geometry == ((3, 3), (1, 1), (1, 1), (1, 1))
