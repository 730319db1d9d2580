"""Dropout with cheap coins is dropout."""

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from difflab.models.dropout import SIDES, Dropout

P = 0.1


def test_the_share_that_stays_and_the_mean_are_right():
    torch.manual_seed(0)
    n = 4_000_000
    y = Dropout(P)(torch.ones(n))
    share = float((y != 0).double().mean())
    assert abs(share - (1 - P)) < 4 * (P * (1 - P) / n) ** 0.5 + 1 / (2 * SIDES)
    assert y.unique().tolist() == pytest.approx([0, 1 / (1 - P)], abs=1e-4)
    assert abs(float(y.double().mean()) - 1) < 4 * (P / (1 - P) / n) ** 0.5


def test_numbers_drop_independently_of_their_neighbours():
    torch.manual_seed(1)
    kept = (Dropout(0.5)(torch.ones(64, 4096)) != 0).double() - 0.5
    for shift in (1, 2, 3, 4, 8):
        together = float((kept[:, shift:] * kept[:, :-shift]).mean()) * 4
        assert abs(together) < 4 / (64 * 4096) ** 0.5


def test_it_is_a_function_of_torchs_seed():
    x = torch.randn(1000)
    torch.manual_seed(5)
    first, second = Dropout(P)(x), Dropout(P)(x)
    torch.manual_seed(5)
    assert torch.equal(Dropout(P)(x), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["NCHW", "NHWC"])
def test_the_layout_stays_and_the_gradient_goes_where_the_number_went(layout):
    torch.manual_seed(0)
    x = torch.rand(2, 8, 4, 6).add(1).contiguous(memory_format=layout).requires_grad_()
    y = Dropout(0.3)(x)
    assert y.is_contiguous(memory_format=layout)
    y.sum().backward()
    assert torch.allclose(x.grad * x, y)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)
def test_every_precision_drops_the_same_and_scales_what_stays(dtype):
    x = torch.rand(2000).add(1).to(dtype).requires_grad_()
    torch.manual_seed(0)
    y = Dropout(0.25)(x)
    torch.manual_seed(0)
    stays = Dropout(0.25)(torch.ones(2000)) != 0
    assert y.dtype == dtype
    expected = torch.where(stays, x / 0.75, 0)
    torch.testing.assert_close(y, expected, rtol=2**-8 if dtype == torch.bfloat16 else 1e-6, atol=0)
    (once,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
    (twice,) = torch.autograd.grad(once.sum(), x)
    torch.testing.assert_close(twice.double(), torch.where(stays, 2 / 0.75**2, 0.0).double(), rtol=0.02, atol=0)


def test_what_is_computed_again_drops_the_same():
    torch.manual_seed(0)
    layer, x = Dropout(0.5), torch.randn(1000, requires_grad=True)
    y = checkpoint(lambda x: layer(x).square(), x, use_reentrant=False)
    y.sum().backward()
    assert torch.allclose(x.grad[x != 0], (2 * y / x)[x != 0])


def test_without_training_and_at_the_ends_it_is_pytorchs():
    x = torch.randn(100)
    assert torch.equal(Dropout(P).eval()(x), x)
    assert torch.equal(Dropout(0.0)(x), x)
    assert torch.equal(Dropout(1.0)(x), torch.zeros(100))
    assert isinstance(Dropout(P), nn.Dropout)  # what asks for dropout finds it
