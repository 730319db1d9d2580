"""Group normalisation in bfloat16 through float32 is group normalisation."""

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from difflab.models import group_norm
from difflab.models.group_norm import GroupNorm, InFloat32, pays

SHAPES = [(5, 8, 6, 4), (3, 64, 32, 32), (2, 512, 40, 40)]  # below and from 1024 pixels; more images than go at once


def layer(channels):
    torch.manual_seed(0)
    found = GroupNorm(4, channels, eps=1e-6)
    nn.init.normal_(found.weight, 1, 0.3)
    nn.init.normal_(found.bias)
    return found


def images(shape):
    x = torch.randn(shape).mul(2).add(0.5).bfloat16().contiguous(memory_format=torch.channels_last)
    return x.requires_grad_(), torch.randn(shape).bfloat16().contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_it_equals_float64_to_the_rounding_of_bfloat16(shape):
    norm = layer(shape[1])
    x, grad = images(shape)
    assert pays(x)
    y = norm(x)
    assert y.dtype == torch.bfloat16 and y.is_contiguous(memory_format=torch.channels_last)
    exact_weight, exact_bias = norm.weight.double(), norm.bias.double()
    exact = functional.group_norm(x.double(), 4, exact_weight, exact_bias, 1e-6)
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
    plain = functional.group_norm(x, 4, norm.weight, norm.bias, 1e-6)
    theirs = torch.autograd.grad(plain, x, grad)[0].double()
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


def test_its_gradient_can_be_differentiated():
    norm = layer(8)
    x, grad = images((2, 8, 4, 4))

    def second(y):
        (first,) = torch.autograd.grad(y, x, grad, create_graph=True)
        return torch.autograd.grad(first.float().square().sum(), (x, norm.weight))

    for one, other in zip(
        second(norm(x)), second(functional.group_norm(x, 4, norm.weight, norm.bias, 1e-6)), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=0.05, atol=0.05 * float(other.abs().max()))
        assert other.abs().max() > 0


def test_weights_that_are_not_trained_get_no_gradient():
    norm = layer(8).requires_grad_(False)
    x, grad = images((2, 8, 4, 4))
    norm(x).backward(grad)
    assert x.grad is not None and norm.weight.grad is None


def test_it_is_computed_again_for_a_checkpoint():
    norm = layer(8)
    x, grad = images((2, 8, 4, 4))
    (plain,) = torch.autograd.grad(norm(x), x, grad)
    (again,) = torch.autograd.grad(checkpoint(norm, x, use_reentrant=False), x, grad)
    assert torch.equal(plain, again)


@pytest.mark.parametrize("x", [torch.randn(2, 8, 4, 4), torch.randn(2, 8, 5).bfloat16()], ids=["float32", "no image"])
def test_the_rest_is_pytorchs(x, monkeypatch):
    monkeypatch.setattr(InFloat32, "apply", None)
    norm = layer(8)
    assert torch.equal(norm(x), functional.group_norm(x, 4, norm.weight, norm.bias, 1e-6))
