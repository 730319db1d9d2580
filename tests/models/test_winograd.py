"""Minimal filtering gives the convolution of PyTorch, and its gradients, to rounding."""

import pytest
import torch
from torch import nn

from difflab.models import StepIndex, UNet
from difflab.models.scratch import scratch
from difflab.models.winograd import CACHED, WinogradConv2d, convolved, pays, weight_gradient, winograd
from tests.conftest import option

WIDE = 128


def layers(c_in=WIDE, c_out=WIDE, bias=True):
    """PyTorch's layer and ours with the same weights."""
    torch.manual_seed(0)
    plain = nn.Conv2d(c_in, c_out, 3, padding=1, bias=bias)
    return plain, WinogradConv2d(plain)


def images(n=4, channels=WIDE, height=16, width=16):
    return torch.randn(n, channels, height, width, generator=torch.Generator().manual_seed(1))


def relative(a, b):
    return float((a - b).detach().abs().max() / b.detach().abs().max())


@pytest.mark.parametrize(
    ("n", "c_in", "c_out", "height", "width"),
    [(4, 128, 128, 16, 16), (7, 128, 256, 16, 12), (3, 256, 128, 32, 32), (70, 128, 128, 4, 4), (1, 128, 128, 32, 32)],
    ids=["plain", "wider", "narrower, remainder", "one tile each", "one image"],
)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["NCHW", "NHWC"])
def test_outputs_and_gradients_are_those_of_the_convolution(n, c_in, c_out, height, width, layout):
    plain, fast = layers(c_in, c_out)
    x = images(n, c_in, height, width).contiguous(memory_format=layout)
    assert pays(x, fast.weight)
    reference = plain.double()
    exact_x = x.double().requires_grad_()
    exact = reference(exact_x)
    grad = images(n, c_out, height, width)
    exact.backward(grad.double())
    weights = [p.grad.clone() for p in reference.parameters()]
    reference.float(), reference.zero_grad(set_to_none=True)
    own_x = x.clone().requires_grad_()
    own = fast(own_x)
    own.backward(grad)
    assert relative(own.double(), exact) < 2e-5
    assert relative(own_x.grad.double(), exact_x.grad) < 2e-5
    for found, expected in zip(fast.parameters(), weights, strict=True):
        assert relative(found.grad.double(), expected) < 2e-5


def test_images_are_kept_and_shifted_by_kernels_of_one_number():
    x, weight = images(1, 128, 8, 8), torch.zeros(128, 128, 3, 3)
    weight[range(128), range(128), 1, 1] = 1.0  # the identity
    assert relative(convolved(x.contiguous(memory_format=torch.channels_last), weight, None), x) < 1e-5
    shifted = torch.zeros(128, 128, 3, 3)
    shifted[range(128), range(128), 0, 2] = 1.0  # looks up and to the right
    moved = convolved(x.contiguous(memory_format=torch.channels_last), shifted, None)
    assert relative(moved[:, :, 1:, :-1], x[:, :, :-1, 1:]) < 1e-5
    assert moved[:, :, 0].abs().max() < 1e-5 and moved[:, :, :, -1].abs().max() < 1e-5


def test_gradients_of_gradients_are_pytorchs():
    plain, fast = layers()
    found = []
    for layer in (plain, fast):
        x = images(16).requires_grad_()
        (slope,) = torch.autograd.grad(layer(x).square().sum(), x, create_graph=True)
        found.append(torch.autograd.grad(slope.square().sum(), [x, layer.weight]))
    for own, expected in zip(found[1], found[0], strict=True):
        assert relative(own, expected) < 1e-4


def test_the_last_block_of_images_does_not_see_the_one_before():
    _, fast = layers()
    a_block = CACHED // (16 * WIDE)
    x = images(a_block + 1)
    alone, together = fast(images(a_block + 1)[-1:].repeat(a_block, 1, 1, 1)), fast(x)
    assert relative(together[-1], alone[-1]) < 1e-5
    grads = images(a_block + 1)
    grads[:-1] = 0
    x, grads = (t.contiguous(memory_format=torch.channels_last) for t in (x, grads))
    one = weight_gradient(x[-1:], grads[-1:])
    assert relative(weight_gradient(x, grads), one) < 1e-5


def test_what_others_left_in_memory_does_no_harm():
    _, fast = layers()
    x = images(CACHED // (16 * WIDE) + 1).requires_grad_()
    fast(x).sum().backward()
    before = [fast.weight.grad.clone(), x.grad.clone()]
    for held in scratch.held.values():
        held.fill_(torch.nan)
    fast.zero_grad(), x.grad.zero_()
    fast(x).sum().backward()
    for found, expected in zip([fast.weight.grad, x.grad], before, strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x[:, :, :, :14],
        lambda x: x.double(),
        lambda x: x[:1, :, :8, :8],
        lambda x: x.to("meta"),
    ],
    ids=["sides not of tiles", "float64", "few tiles", "another device"],
)
def test_elsewhere_the_convolution_is_pytorchs(change):
    plain, fast = layers()
    x = change(images())
    assert not pays(x, fast.weight)
    if x.dtype == torch.float32 and x.device.type == "cpu":
        assert torch.equal(fast(x), plain(x))


def test_mixed_precision_keeps_to_pytorch():
    _, fast = layers()
    with torch.autocast("cpu", torch.bfloat16):
        assert not pays(images(), fast.weight)


def test_a_network_keeps_its_weights_and_their_names():
    torch.manual_seed(0)
    with torch.device("meta"):
        network = option("model", "unet_cifar10", shape=(3, 32, 32))
    names, weights = list(network.state_dict()), list(network.parameters())
    changed = winograd(network)
    assert list(changed.state_dict()) == names
    assert all(a is b for a, b in zip(changed.parameters(), weights, strict=True))
    fast = [m for m in changed.modules() if isinstance(m, WinogradConv2d)]
    kept = [m for m in changed.modules() if type(m) is nn.Conv2d]
    assert len(fast) == 47 and all(m.in_channels >= WIDE and m.out_channels >= WIDE for m in fast)
    assert all(m.kernel_size == (1, 1) or m.stride == (2, 2) or min(m.in_channels, m.out_channels) == 3 for m in kept)


def test_a_narrow_network_is_as_it_was():
    network = option("model", "unet", shape=(1, 8, 8))
    assert not any(isinstance(m, WinogradConv2d) for m in winograd(network).modules())


def test_a_training_step_is_that_of_plain_convolutions():
    """Loss and gradients of a U-Net of 128 channels on the same noise."""
    found = []
    for fast in (False, True):
        torch.manual_seed(0)
        network = UNet((3, 16, 16), StepIndex(), 128, [1], 1, [], 1, 0.0, 32)
        for parameter in network.parameters():
            nn.init.normal_(parameter, 0, 0.03) if parameter.dim() > 1 else None
        network = winograd(network) if fast else network
        assert any(isinstance(m, WinogradConv2d) for m in network.modules()) == fast
        x = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(2))
        loss = (network(x, torch.arange(4.0)) - x).square().mean()
        loss.backward()
        found.append((loss.detach(), [p.grad for p in network.parameters()]))
    assert float(found[1][0] / found[0][0] - 1) == pytest.approx(0, abs=1e-5)
    for own, expected in zip(found[1][1], found[0][1], strict=True):
        assert (own - expected).abs().max() <= 1e-4 * expected.abs().max() + 1e-9
