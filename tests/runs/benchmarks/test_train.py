"""The rows of training, on one image and few steps; what they find is not asserted."""

from inspect import getclosurevars

import pytest
import torch

from difflab.runs.benchmarks import peak as peaks
from difflab.runs.benchmarks.networks import PARAMETERS, SHAPE, ours, random_images, theirs
from difflab.runs.benchmarks.peak import peak
from difflab.runs.benchmarks.train import as_its_example, batch, operations, train, tuned
from difflab.runs.flops import count

pytest.importorskip("diffusers")


def test_both_networks_are_the_published_one():
    assert sum(p.numel() for p in ours(1).parameters()) == sum(p.numel() for p in theirs().parameters()) == PARAMETERS


@pytest.mark.slow
def test_operations_are_those_of_the_forward_pass_and_of_two_gradients():
    forward = count(ours(1, winograd=False).network.to("meta"), SHAPE).flops
    first = 2 * 32 * 32 * 9 * 3 * 128  # nobody asks for the gradient of the image
    assert operations() == pytest.approx(3 * forward, rel=0.05) and operations() > 2.9 * forward - first


@pytest.mark.slow
def test_peers_train():
    """A step moves their weights, and leaves numbers."""
    data = random_images(1)
    for made in (as_its_example, lambda data: tuned(data, "float32")):
        torch.manual_seed(0)
        step = made(data)
        network = getclosurevars(step).nonlocals["network"]
        before = [p.detach().clone() for p in network.parameters()]
        step()
        assert all(p.isfinite().all() for p in network.parameters())
        assert any(not torch.equal(p, old) for p, old in zip(network.parameters(), before, strict=True))
    assert batch(data).shape == (1, *SHAPE)


def test_the_machine_computes(monkeypatch):
    monkeypatch.setattr(peaks, "SIDE", 64)
    assert min(peak(1)) > 0


@pytest.mark.slow
def test_rows_say_what_was_measured(monkeypatch):
    monkeypatch.setattr(peaks, "SIDE", 64)
    rows = {row.name: row for row in train({"batch_size": 1, "steps": 1, "repetitions": 1})}
    assert rows.keys() == {"train", "train, tuned peer", "utilisation", "trainer"}
    assert all(row.ratio == pytest.approx(row.ours / row.peer) for row in rows.values())
    assert rows["train"].ours == rows["train, tuned peer"].ours
    assert rows["train"].met == (rows["train"].ratio >= 2) and rows["trainer"].met == (rows["trainer"].ratio <= 1.03)
