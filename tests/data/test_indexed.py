from itertools import islice
from types import SimpleNamespace

import pytest
import torch
from lightning import LightningModule, Trainer

from difflab.data import Images, Indexed, Scaling, Statistics
from difflab.data.batches import Gather, Order, Share
from difflab.data.indexed import Split
from difflab.errors import ConfigError


class Numbered(Indexed):
    """40 images of 1x2x3 pixels; image i holds 6 numbers from 6 i on. The last `val_size` are held out."""

    levels, bounded, scaling = 256, True, Scaling(256)

    def split(self):
        whole = Images(torch.arange(240, dtype=torch.uint8).view(40, 1, 2, 3), None)
        cut = 40 - self.val_size
        return Split(whole.part(slice(cut)), whole.part(slice(cut, None)), whole.part(slice(4)), whole)

    def measure(self, part):
        return Statistics((0.0,), (1.0,), 1.0)


def numbered(**changes):
    data = Numbered(**{"batch_size": 8, "val_size": 7, "workers": 0, "flip": False, "seed": 0} | changes)
    data.setup()
    return data


def loaders(data, ranks, done=0):
    """What each of several processes would load after `done` steps."""
    for rank in range(ranks):
        data.trainer = SimpleNamespace(global_step=done, accumulate_grad_batches=1, global_rank=rank, world_size=ranks)
        yield data.train_dataloader(), data.val_dataloader()


def indices(shares):
    return [i for share in shares for i in share.indices]


def numbers(batches):
    return torch.cat([batch.values for batch in batches])[:, 0, 0, 0].div(6).long().tolist()


@pytest.mark.parametrize("start", [1, 4, 5, 23])
def test_batches_from_a_step_on_are_those_of_an_uninterrupted_pass(start):
    whole = list(islice(Order(33, 8, seed=3, start=0, rank=0, ranks=1), start + 12))
    assert list(islice(Order(33, 8, seed=3, start=start, rank=0, ranks=1), 12)) == whole[start:]


@pytest.mark.parametrize("ranks", [2, 4])
def test_shares_of_the_ranks_make_up_the_batch_of_one(ranks):
    whole = islice(Order(33, 8, seed=3, start=2, rank=0, ranks=1), 10)
    shares = zip(*(islice(Order(33, 8, 3, 2, rank, ranks), 10) for rank in range(ranks)), strict=True)
    for one, parts in zip(whole, shares, strict=True):
        assert one.indices == indices(parts)
        assert [part.first for part in parts] == list(range(0, 8, 8 // ranks))
        assert {(part.step, part.total) for part in parts} == {(one.step, 8)}


def test_every_epoch_is_another_permutation():
    order = iter(Order(32, 8, seed=0, start=0, rank=0, ranks=1))
    epochs = [indices(islice(order, 4)) for _ in range(3)]
    for epoch in epochs:
        assert sorted(epoch) == list(range(32))
    assert len({tuple(epoch) for epoch in [*epochs, range(32)]}) == 4
    assert next(iter(Order(32, 8, seed=1, start=0, rank=0, ranks=1))).indices != epochs[0][:8]


def test_images_left_over_are_not_repeated_within_an_epoch():
    order = islice(Order(30, 8, seed=0, start=0, rank=0, ranks=1), 3)
    assert len(set(indices(order))) == 24


def test_flips_are_a_function_of_seed_step_and_index():
    pixels = torch.arange(64 * 6, dtype=torch.int16).view(64, 1, 2, 3)
    all_64 = list(range(64))
    whole = Gather(pixels, None, 5)[Share(9, all_64, 0, 64)].values
    mirrored = (whole != pixels).flatten(1).any(1)
    assert torch.equal(whole[mirrored], pixels[mirrored].flip(-1))
    assert 16 < mirrored.sum() < 48
    for first in range(0, 64, 16):
        share = Gather(pixels, None, 5)[Share(9, all_64[first : first + 16], first, 64)].values
        assert torch.equal(share, whole[first : first + 16])
    for other in (Gather(pixels, None, 6)[Share(9, all_64, 0, 64)], Gather(pixels, None, 5)[Share(8, all_64, 0, 64)]):
        assert not torch.equal(other.values, whole)
    assert torch.equal(pixels, torch.arange(64 * 6, dtype=torch.int16).view(64, 1, 2, 3))


def test_batches_say_where_they_stand():
    train, _ = list(loaders(numbered(), 2, done=6))[1]
    batch = next(iter(train))
    assert (batch.step, batch.first, batch.total, batch.values.shape) == (6, 4, 8, (4, 1, 2, 3))
    assert batch.values.dtype == torch.uint8


@pytest.mark.parametrize("ranks", [1, 2, 3, 6])
@pytest.mark.parametrize(("batch_size", "val_size"), [(6, 6), (6, 7), (6, 25), (12, 7)])
def test_ranks_share_every_validation_batch(ranks, batch_size, val_size):
    data = numbered(batch_size=batch_size, val_size=val_size)
    shares = [list(val) for _, val in loaders(data, ranks)]
    assert len({len(batches) for batches in shares}) == 1
    assert all(len(batch.values) > 0 for batches in shares for batch in batches)
    assert numbers(batch for batches in zip(*shares, strict=True) for batch in batches) == list(
        range(40 - val_size, 40)
    )
    for batches in zip(*shares, strict=True):
        assert sum(len(batch.values) for batch in batches) == batches[0].total
        assert batches[-1].first + len(batches[-1].values) == batches[0].total


def test_a_batch_that_the_processes_cannot_share_is_refused():
    with pytest.raises(ConfigError, match=r"data.batch_size: 8 .* 3 processes; allowed are multiples of 3"):
        next(loaders(numbered(), 3))


def test_more_processes_than_validation_images_are_refused():
    with pytest.raises(ConfigError, match=r"data.val_size: 1 for 2 processes"):
        next(loaders(numbered(val_size=1), 2))


@pytest.mark.parametrize("changes", [{"batch_size": 0}, {"val_size": 0}, {"val_size": -3}, {"workers": -1}])
def test_sizes_that_are_none_are_refused(changes):
    with pytest.raises(ConfigError, match=f"data.{next(iter(changes))}: {next(iter(changes.values()))}"):
        numbered(**changes)


def test_the_fingerprint_is_of_the_content():
    data, same, other = numbered(), numbered(seed=1, val_size=3), numbered()
    other.reference = Images(other.reference.pixels.flip(0), None)
    assert data.fingerprint() == same.fingerprint() != other.fingerprint()


class Watcher(LightningModule):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.trained, self.validated = [], []

    def training_step(self, batch, _):
        self.trained.append(batch)
        return self.weight

    def validation_step(self, batch, _):
        self.validated.append(batch)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


@pytest.mark.parametrize("workers", [0, 2])
def test_lightning_trains_on_these_batches(workers):
    data, watcher = numbered(workers=workers), Watcher()
    trainer = Trainer(accelerator="cpu", max_steps=9, barebones=True, num_sanity_val_steps=0)
    trainer.fit(watcher, datamodule=data)
    order = islice(Order(33, 8, seed=0, start=0, rank=0, ranks=1), 9)
    assert [batch.step for batch in watcher.trained] == list(range(9))
    assert numbers(watcher.trained) == indices(order)
