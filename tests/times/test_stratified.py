import pytest
import torch

from difflab.times import Stratified
from tests.conftest import Exploding, option


@pytest.mark.parametrize("batch", [1, 7, 128])
def test_every_batch_covers_every_stratum(batch):
    schedule = Exploding()
    for offset in (0.0, 0.123, 0.77, 0.9999):
        u = torch.full((batch,), offset, dtype=torch.float64)
        stratum = (Stratified()(u, schedule).t * batch).floor().clamp(max=batch - 1)
        assert sorted(stratum.tolist()) == list(range(batch))


def test_a_batch_as_large_as_the_chain_holds_each_step_once():
    schedule = option("schedule", "linear", "schedule.T=128")
    u = torch.rand(128, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    k = (Stratified()(u, schedule).t * 128).round().long()
    assert sorted(k.tolist()) == list(range(1, 129))
