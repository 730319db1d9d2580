"""A network in slices: what each process holds, and what the slices give together."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from difflab.training import constant_ema
from difflab.training.sharding import blocks
from tests.conftest import option

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "runs"))
from children import context
from shared_network import T, module, process, trained


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    """What each of two processes saw."""
    folder = tmp_path_factory.mktemp("two")
    started = [context.Process(target=process, args=(rank, folder)) for rank in range(2)]
    for one in started:
        one.start()
    for one in started:
        one.join(120)
        one.kill()
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.slow
def test_each_process_holds_half_of_weights_moments_and_average(seen):
    whole = sum(p.numel() for p in module().parameters())
    for one in seen:
        assert one["held"] == {"weights": whole / 2, "moments": whole, "average": whole / 2}


@pytest.mark.slow
def test_two_processes_train_and_average_as_one_does(seen):
    made, ema = module(), constant_ema(0.5, warmup=False)
    trained(made, slice(0, 8), ema)
    x = torch.ones(8, 1, 4, 4)
    with torch.no_grad():
        own = made.denoiser(x, T).x0
        with ema.averaged(made):
            averaged = made.denoiser(x, T).x0
    assert not torch.allclose(own, averaged, atol=1e-3)
    for one in seen:
        torch.testing.assert_close(one["with weights"], own, atol=1e-5, rtol=0)
        torch.testing.assert_close(one["with average"], averaged, atol=1e-5, rtol=0)
    assert torch.equal(seen[0]["with average"], seen[1]["with average"])
    assert seen[0]["average"].keys() == ema.average.keys()
    for name, w in seen[0]["average"].items():
        torch.testing.assert_close(w, ema.average[name], atol=1e-5, rtol=0)


@pytest.mark.slow
def test_the_first_process_alone_collects_and_slices_are_taken_again(seen):
    assert seen[0]["average"] and not seen[1]["average"]
    assert all(type(w) is torch.Tensor for w in seen[0]["average"].values())
    assert all(one["again"] for one in seen)


def test_blocks_are_the_elements_of_lists_from_so_many_parameters_on():
    network = option("model", "unet", shape=(1, 8, 8))
    lists = [*network.down, *network.middle, *network.up]
    sizes = [sum(p.numel() for p in element.parameters()) for element in lists]
    for least in (1, 20_000, 60_000, 10**9):
        assert len(blocks(network, least)) == sum(size >= least for size in sizes)
    assert set(blocks(network, 1)) == set(lists)


def test_inner_blocks_come_first():
    inner = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
    outer = nn.Module()
    outer.inner = inner
    network = nn.Sequential(nn.ModuleList([outer]), nn.Linear(2, 2))
    assert blocks(network, 1) == [inner[0], inner[1], outer]
