import pytest
import torch

from difflab.evaluation.likelihood import bins
from difflab.likelihood import Exact, Stratified


@pytest.mark.parametrize("T", [21, 100, 1000, 4000])
@pytest.mark.parametrize("estimate", [Exact(), Stratified(8, 6, 0.2)], ids=["exact", "stratified"])
def test_stretches_of_the_chain_share_its_bits(estimate, T):
    by_step = torch.rand(T + 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = bins(by_step, estimate)
    assert [k for first, last, _ in found for k in range(first, last + 1)] == list(range(1, T + 1))
    for first, last, bits in found:
        assert bits == pytest.approx(float(by_step[first : last + 1].sum()))
    assert len(found) == T if isinstance(estimate, Exact) else len(found) <= 40
