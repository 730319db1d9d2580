"""What the LightningModule makes of a batch."""

import pytest
import torch

from difflab.data import Batch, Scaling
from difflab.times import Uniform
from difflab.training import Diffusion
from tests.conftest import Formula, option


@pytest.fixture
def module():
    from difflab.prediction import Denoiser

    denoise = Denoiser(Formula(lambda x, t: x), option("schedule", "linear"), option("prediction", "eps"))
    return Diffusion(denoise, option("loss", "simple"), Uniform(), option("optim", "adamw"), Scaling(256), 5)


def batch(step=3, rows=slice(0, 8)):
    values = torch.arange(48, dtype=torch.uint8).view(8, 1, 2, 3)[rows]
    return Batch(values, step, rows.start, 8)


def test_two_processes_draw_the_rows_of_one(module):
    """Noise, times and the numbers of each call, whatever the order of the calls elsewhere."""
    _, whole, _ = module.noised(batch(), "train", Uniform())
    shares = [module.noised(batch(rows=rows), "train", Uniform())[1] for rows in (slice(0, 3), slice(3, 8))]
    for i in range(4):
        assert torch.equal(torch.cat([share[i] for share in shares]), whole[i])
    second = [share.normal() for share in reversed(shares)]
    assert torch.equal(torch.cat(second[::-1]), first := whole.normal())
    assert torch.equal(torch.cat([share.normal() for share in shares]), another := whole.normal())
    assert not torch.equal(first, another)


def test_the_numbers_are_fresh_and_come_again(module):
    _, found, _ = module.noised(batch(), "train", Uniform())
    _, again, _ = module.noised(batch(), "train", Uniform())
    numbers = found.normal()
    assert torch.equal(numbers, again.normal())
    assert numbers.shape == found.x0.shape and numbers.dtype == torch.float32
    others = [found.eps, found.normal(), module.noised(batch(step=4), "train", Uniform())[1].normal()]
    others.append(module.noised(batch(), "val", Uniform())[1].normal())
    module.seed = 6
    others.append(module.noised(batch(), "train", Uniform())[1].normal())
    for i, one in enumerate([numbers, *others]):
        for other in [numbers, *others][:i]:
            assert not torch.equal(one, other)
