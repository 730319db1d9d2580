"""Attention by plain products is attention."""

import pytest
import torch
from torch.nn import functional

from difflab.models import attention
from difflab.models.attention import LONGEST, attend


def drawn(*shape, dtype=torch.bfloat16):
    torch.manual_seed(0)
    return [torch.randn(shape).to(dtype).requires_grad_() for _ in range(3)]


@pytest.mark.parametrize("shape", [(2, 4, 64, 16), (3, 1, 256, 48), (2, 16, 8)], ids=str)
def test_it_equals_float64_to_the_rounding_of_bfloat16(shape, monkeypatch):
    q, k, v = drawn(*shape)
    exact = functional.scaled_dot_product_attention(q.double(), k.double(), v.double())
    monkeypatch.setattr(attention, "functional", None)  # by the other way there is none
    found = attend(q, k, v)
    assert found.dtype == torch.bfloat16
    assert (found - exact).norm() <= 0.01 * exact.norm()
    grad = torch.randn_like(exact)
    ours = torch.autograd.grad(found, (q, k, v), grad.bfloat16())
    for one, other in zip(ours, torch.autograd.grad(exact, (q, k, v), grad), strict=True):
        assert (one.double() - other.double()).norm() <= 0.02 * other.double().norm()


@pytest.mark.parametrize(
    ("n", "dtype"), [(16, torch.float32), (LONGEST + 1, torch.bfloat16)], ids=["float32", "a long sequence"]
)
def test_the_rest_is_pytorchs(n, dtype):
    q, k, v = drawn(1, 2, n, 8, dtype=dtype)
    assert torch.equal(attend(q, k, v), functional.scaled_dot_product_attention(q, k, v))
