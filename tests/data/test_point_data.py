"""What all sets of points have in common; their laws have tests of their own."""

from itertools import islice
from types import SimpleNamespace

import pytest
import torch
from scipy.stats import ks_2samp

from difflab.data import PointData
from difflab.data.batches import Order
from difflab.errors import ConfigError
from tests.conftest import composed, options
from tests.data.point_sets import point_set

pytestmark = pytest.mark.slow  # left to make test, so that make check stays quick

SETS = [name for name in options("data") if "draw" in composed(f"data={name}").data]
PARTS = ("train", "val", "test")


def points(name, **changes):
    data = point_set(name, **{"size": 3000, "val_size": 50, "test_size": 1500} | changes)
    data.setup()
    return data


@pytest.fixture(params=SETS)
def name(request):
    return request.param


def rows(part):
    return set(map(tuple, part.points.tolist()))


def test_there_are_five():
    assert len(SETS) >= 5


def test_parts_are_what_the_rest_of_the_code_expects(name):
    data = points(name)
    assert isinstance(data, PointData)
    assert [len(getattr(data, part)) for part in (*PARTS, "reference")] == [3000, 50, 1500, 3000]
    assert (data.shape, data.levels, data.bounded, data.classes) == ((2,), None, False, None)
    assert data.train.values.dtype == torch.float32
    assert data.train.part(slice(5, 9)).points.tolist() == data.train.points[5:9].tolist()
    x = data.train.points.double()
    assert data.sigma_data == pytest.approx(float(((x - x.mean()) ** 2).mean().sqrt()), rel=1e-9)


def test_parts_are_functions_of_the_draw_alone(name):
    data, again, other = points(name), points(name, seed=7, batch_size=10), points(name, draw=1)
    for part in PARTS:
        assert torch.equal(getattr(data, part).points, getattr(again, part).points)
        assert not rows(getattr(data, part)) & rows(getattr(other, part))
    assert data.fingerprint() == again.fingerprint() != other.fingerprint() != data.fingerprint(data.test)


def test_more_points_begin_with_the_same_ones(name):
    few, many = points(name, size=1025, val_size=1, test_size=10), points(name, size=4000, val_size=600)
    for part in PARTS:
        n = len(getattr(few, part))
        assert torch.equal(getattr(few, part).points, getattr(many, part).points[:n])


def test_no_point_is_drawn_twice(name):
    data = points(name)
    assert len(rows(data.train) | rows(data.val) | rows(data.test)) == 4550


def test_parts_and_exact_samples_are_of_one_law(name):
    """Projections on four directions, between any two of them: training, test and fresh points."""
    data = points(name, size=4000, test_size=4000)
    fresh = data.exact(4000, torch.Generator().manual_seed(5))
    assert fresh.dtype == torch.float32
    assert torch.equal(fresh, data.exact(4000, torch.Generator().manual_seed(5)))
    assert not rows(data.train) & set(map(tuple, fresh.tolist()))
    for direction in ((1.0, 0.0), (0.0, 1.0), (0.6, 0.8), (0.8, -0.6)):
        train, test, new = (x @ torch.tensor(direction) for x in (data.train.points, data.test.points, fresh))
        for one, two in ((train, test), (train, new), (test, new)):
            assert ks_2samp(one.numpy(), two.numpy()).pvalue > 1e-4


@pytest.mark.parametrize("name", [name for name in SETS if name != "gaussian_mixture"])
def test_scales_are_about_one(name):
    std = points(name, size=20000).train.points.std(0)
    assert float((std**2).mean().sqrt()) == pytest.approx(1.05, abs=0.12)


def loader(data, rank=0, ranks=1, done=0):
    data.trainer = SimpleNamespace(global_step=done, accumulate_grad_batches=1, global_rank=rank, world_size=ranks)
    return data.train_dataloader()


def test_batches_are_shared_by_the_ranks_and_go_on_from_a_step():
    data = points("two_moons", size=100, batch_size=24)
    whole = list(islice(loader(data), 9))
    assert [batch.step for batch in whole] == list(range(9))
    for ranks in (2, 3):
        shares = zip(*(islice(loader(data, rank, ranks, done=3), 6) for rank in range(ranks)), strict=True)
        for one, parts in zip(whole[3:], shares, strict=True):
            assert torch.equal(torch.cat([part.values for part in parts]), one.values)
    other = next(iter(loader(points("two_moons", size=100, batch_size=24, seed=1)))).values
    assert not torch.equal(other, whole[0].values)


def test_batches_are_points_as_they_are():
    data = points("pinwheel", size=64, batch_size=32)
    order = Order(64, 32, seed=0, start=0, rank=0, ranks=1)
    for share, batch in zip(islice(order, 5), loader(data), strict=False):
        assert torch.equal(batch.values, data.train.points[share.indices])


@pytest.mark.parametrize("field", ["size", "val_size", "test_size", "batch_size"])
def test_sizes_that_are_none_are_refused(field):
    with pytest.raises(ConfigError, match=rf"data\.{field}: 0; allowed are whole numbers from 1"):
        points("checkerboard", **{field: 0})


def test_a_draw_below_0_is_refused():
    with pytest.raises(ConfigError, match=r"data\.draw: -1; "):
        points("checkerboard", draw=-1)


def test_a_batch_of_more_than_all_points_is_refused():
    points("checkerboard", size=33, batch_size=33)
    with pytest.raises(ConfigError, match=r"data\.batch_size: 34; allowed are at most data\.size = 33"):
        points("checkerboard", size=33, batch_size=34)
