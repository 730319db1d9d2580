"""Group normalisation through kernels for float32, and with SiLU after it, is group normalisation, and SiLU."""

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from difflab.models import group_norm
from difflab.models.group_norm import GroupNorm, Normed, pays

SHAPES = [(5, 8, 6, 4), (3, 64, 32, 32), (2, 512, 40, 40)]  # below and from 1024 pixels; more images than go at once


def layer(channels, silu=False):
    torch.manual_seed(0)
    found = GroupNorm(4, channels, 1e-6, silu)
    nn.init.normal_(found.weight, 1, 0.3)
    nn.init.normal_(found.bias)
    return found


def images(shape, dtype=torch.bfloat16):
    x = torch.randn(shape).mul(2).add(0.5).to(dtype).contiguous(memory_format=torch.channels_last)
    return x.requires_grad_(), torch.randn(shape).to(dtype).contiguous(memory_format=torch.channels_last)


def plain(norm, x, dtype=None):
    """The same by PyTorch's own functions, in another precision if asked for."""
    x, weight, bias = (part.to(dtype) if dtype else part for part in (x, norm.weight, norm.bias))
    y = functional.group_norm(x, 4, weight, bias, 1e-6)
    return functional.silu(y) if norm.silu else y


@pytest.fixture
def few_are_many(monkeypatch):
    """Norm and SiLU together for small images too."""
    monkeypatch.setattr(group_norm, "MANY", 1)


@pytest.mark.usefixtures("few_are_many")
@pytest.mark.parametrize("silu", [False, True], ids=["norm", "silu"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_it_equals_float64_to_the_rounding_of_bfloat16(shape, silu):
    norm = layer(shape[1], silu)
    x, grad = images(shape)
    assert pays(x, silu)
    y = norm(x)
    assert y.dtype == torch.bfloat16 and y.is_contiguous(memory_format=torch.channels_last)
    exact = plain(norm, x, torch.float64)
    assert (y - exact).abs().max() <= exact.abs().max() / 2**8
    wanted = (x, norm.weight, norm.bias)
    found = torch.autograd.grad(y, wanted, grad)
    expected = torch.autograd.grad(exact, wanted, grad.double())
    assert found[0].dtype == torch.bfloat16
    assert (found[0].double() - expected[0].double()).abs().max() <= expected[0].abs().max() / 2**8
    for one, other in zip(found[1:], expected[1:], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4 * float(other.abs().max()))


def test_its_gradients_round_no_more_than_pytorchs():
    norm = layer(64)
    x, grad = images((4, 64, 32, 32))
    exact = functional.group_norm(x.double(), 4, norm.weight.double(), norm.bias.double(), 1e-6)
    expected = torch.autograd.grad(exact, x, grad.double())[0].double()
    theirs = torch.autograd.grad(plain(norm, x), x, grad)[0].double()
    ours = torch.autograd.grad(norm(x), x, grad)[0].double()
    assert (ours - expected).norm() <= 1.01 * (theirs - expected).norm()


@pytest.mark.parametrize("shape", SHAPES[:2], ids=str)
def test_weights_in_bfloat16_get_gradients_in_bfloat16(shape):
    norm = layer(shape[1]).bfloat16()
    x, grad = images(shape)
    y = norm(x)
    exact = functional.group_norm(x.double(), 4, norm.weight.double(), norm.bias.double(), 1e-6)
    assert (y - exact).abs().max() <= exact.abs().max() / 2**7
    y.backward(grad)
    assert {x.grad.dtype, norm.weight.grad.dtype, norm.bias.grad.dtype} == {torch.bfloat16}
    (expected,) = torch.autograd.grad(exact, norm.weight, grad.double())
    assert (norm.weight.grad - expected).abs().max() <= 0.02 * expected.abs().max()


def test_images_that_go_a_few_at_a_time_give_the_same_gradients(monkeypatch):
    norm = layer(16)
    x, grad = images((7, 16, 32, 32))
    together = torch.autograd.grad(norm(x), (x, norm.weight, norm.bias), grad)
    monkeypatch.setattr(group_norm, "AT_ONCE", 3 * x[0].numel())
    apart = torch.autograd.grad(norm(x), (x, norm.weight, norm.bias), grad)
    assert torch.equal(together[0], apart[0])
    for one, other in zip(together[1:], apart[1:], strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.usefixtures("few_are_many")
@pytest.mark.parametrize("shape", [(5, 8, 6, 4), (3, 16, 32, 32), (2, 512, 40, 40)], ids=str)
def test_with_silu_in_float32_it_keeps_only_what_it_was_given(shape):
    """The way forward bit for bit as PyTorch's two layers, gradients to rounding, and half as much is kept for them."""
    norm = layer(shape[1], silu=True)
    x, grad = images(shape, torch.float32)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        y = norm(x)
    assert torch.equal(y, plain(norm, x))
    assert [one.shape for one in kept if one.numel() >= x.numel()] == [x.shape]
    wanted = (x, norm.weight, norm.bias)
    exact = torch.autograd.grad(plain(norm, x, torch.float64), wanted, grad.double())
    for one, other in zip(torch.autograd.grad(y, wanted, grad), exact, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5 * float(other.abs().max()))


def test_with_silu_without_a_graph_it_is_the_two_layers_and_leaves_its_input():
    norm = layer(16, silu=True)
    x, _ = images((2, 16, 8, 8), torch.float32)
    before = x.detach().clone()
    with torch.no_grad():
        assert torch.equal(norm(x), plain(norm, x))
    assert torch.equal(x, before)


@pytest.mark.usefixtures("few_are_many")
@pytest.mark.parametrize("silu", [False, True], ids=["norm", "silu"])
def test_its_gradient_can_be_differentiated(silu):
    norm = layer(8, silu)
    x, grad = images((2, 8, 4, 4))

    def second(y):
        (first,) = torch.autograd.grad(y, x, grad, create_graph=True)
        return torch.autograd.grad(first.float().square().sum(), (x, norm.weight))

    for one, other in zip(second(norm(x)), second(plain(norm, x)), strict=True):
        torch.testing.assert_close(one, other, rtol=0.05, atol=0.05 * float(other.abs().max()))
        assert other.abs().max() > 0


def test_weights_that_are_not_trained_get_no_gradient():
    norm = layer(8).requires_grad_(False)
    x, grad = images((2, 8, 4, 4))
    norm(x).backward(grad)
    assert x.grad is not None and norm.weight.grad is None


@pytest.mark.usefixtures("few_are_many")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
def test_it_is_computed_again_for_a_checkpoint(dtype):
    norm = layer(8, silu=True)
    x, grad = images((2, 8, 4, 4), dtype)
    (once,) = torch.autograd.grad(norm(x), x, grad)
    (again,) = torch.autograd.grad(checkpoint(norm, x, use_reentrant=False), x, grad)
    assert torch.equal(once, again)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
def test_few_numbers_go_through_the_norm_then_through_silu(dtype):
    norm, alone = layer(8, silu=True), layer(8)
    x, grad = images((2, 8, 4, 4), dtype)
    y, apart = norm(x), functional.silu(alone(x))
    assert torch.equal(y, apart)
    assert torch.equal(*(torch.autograd.grad(one, x, grad)[0] for one in (y, apart)))


@pytest.mark.usefixtures("few_are_many")
@pytest.mark.parametrize("silu", [False, True], ids=["norm", "silu"])
@pytest.mark.parametrize("x", [torch.randn(2, 8, 4, 4), torch.randn(2, 8, 5).bfloat16()], ids=["float32", "no image"])
def test_the_rest_is_pytorchs(x, silu, monkeypatch):
    monkeypatch.setattr(Normed, "apply", None)
    norm = layer(8, silu)
    assert torch.equal(norm(x), plain(norm, x))
