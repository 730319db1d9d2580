"""Generation that was interrupted: what is on disk is used, and only if it is what was written."""

import pytest
import torch

from difflab.evaluation import Store, generate
from difflab.evaluation.store import identity
from difflab.prediction import Denoiser
from difflab.samplers import Ancestral, Uniform
from tests.conftest import gaussian_denoiser, option

CHUNK, SHAPE, STEPS = 4, (1, 3, 3), 5


class Interrupted(Exception):
    pass


class Counting(torch.nn.Module):
    """A network that counts its calls, and fails at one of them."""

    def __init__(self, network: torch.nn.Module, last: float = float("inf")) -> None:
        super().__init__()
        self.network, self.last, self.calls = network, last, 0

    def c_noise(self, schedule, t):
        return self.network.c_noise(schedule, t)

    def forward(self, x, t):
        if self.calls == self.last:
            raise Interrupted
        self.calls += 1
        return self.network(x, t)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path, "key")


@pytest.fixture
def draw(store):
    """Samples by a sampler that draws noise at every step, and the calls that the network had."""
    sampler = Ancestral(Uniform(), STEPS, clip=False, variance=option("variance", "posterior"))
    exact = gaussian_denoiser(option("schedule", "linear", "schedule.T=40"), 0.3, 0.5)

    def draw(n, first=0, last=float("inf"), store=store):
        network = Counting(exact.network, last)
        denoise = Denoiser(network, exact.schedule, exact.parameterisation)
        try:
            return generate(denoise, sampler, SHAPE, n, 0, CHUNK, first, store), network.calls
        except Interrupted:
            return None, network.calls

    return draw


@pytest.mark.parametrize("n", [3, 8, 10, 14])
@pytest.mark.parametrize("finished", [0, 1, 2])
def test_what_was_interrupted_goes_on_to_the_same_bits(draw, store, n, finished):
    chunks = -(-n // CHUNK)
    finished = min(finished, chunks - 1)
    expected, calls = draw(n, store=None)
    assert calls == chunks * STEPS
    cut, calls = draw(n, last=finished * STEPS + 2)
    assert (cut, calls) == (None, finished * STEPS + 2)
    assert len(list(store.folder.glob("chunk_*.safetensors")) if store.folder.exists() else []) == finished
    whole, calls = draw(n)
    assert calls == (chunks - finished) * STEPS
    assert torch.equal(whole.samples, expected.samples) and whole.calls == expected.calls == STEPS
    assert draw(n)[1] == 0
    store.clear()
    assert not store.folder.exists()
    assert draw(n)[1] == chunks * STEPS


def test_more_samples_and_others_begin_with_those_that_are_there(draw):
    draw(10)
    more, calls = draw(13, first=3)
    assert calls == STEPS
    assert torch.equal(more.samples, draw(16, store=None)[0].samples[3:])


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:-1],
        lambda content: content[:20],
        lambda content: content + b"x",
        lambda content: content[:-5] + bytes([content[-5] ^ 1]) + content[-4:],
        lambda content: content.replace(b'"calls":"5"', b'"calls":"x"'),
        lambda content: content.replace(b"F32", b"I32"),
        lambda content: b"no tensors at all",
    ],
    ids=["empty", "cut", "short", "long", "one bit", "calls", "type", "text"],
)
def test_a_damaged_chunk_is_drawn_again(draw, store, damage):
    expected, _ = draw(10)
    before = store.path(1).read_bytes()
    assert damage(before) != before
    store.path(1).write_bytes(damage(before))
    assert store.load(1, (CHUNK, *SHAPE)) is None
    again, calls = draw(10)
    assert calls == STEPS
    assert torch.equal(again.samples, expected.samples)
    assert torch.equal(store.load(1, (CHUNK, *SHAPE))[0], expected.samples[CHUNK : 2 * CHUNK])


def test_chunks_of_another_shape_and_half_written_files_do_not_count(draw, store):
    draw(4)
    assert store.load(0, (CHUNK, 3, 3, 1)) is None and store.load(1, (CHUNK, *SHAPE)) is None
    store.path(0).rename(store.path(0).with_suffix(".123"))
    assert draw(4)[1] == STEPS


def test_every_bit_of_a_chunk_comes_back(store):
    odd = torch.tensor([0.0, -0.0, 1e-45, float("inf"), -1 / 3]).repeat(4, 1)
    store.keep(7, odd, 12)
    found, calls = store.load(7, (4, 5))
    assert torch.equal(found.view(torch.int32), odd.view(torch.int32)) and calls == 12


def test_samples_that_are_no_numbers_are_not_kept(store):
    schedule = option("schedule", "linear", "schedule.T=40")
    sampler = Ancestral(Uniform(), STEPS, clip=False, variance=option("variance", "posterior"))
    generate(gaussian_denoiser(schedule, float("nan"), 0.5), sampler, SHAPE, 4, 0, CHUNK, store=store)
    assert not store.folder.exists()


def test_the_key_is_that_of_all_that_determines_the_samples():
    weights = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(1, dtype=torch.bfloat16)}
    settings = {"sampler": {"steps": 5, "eta": 0.0}, "shape": (1, 2, 2), "seed": 0}
    key = identity(weights, settings)
    assert identity(dict(reversed(weights.items())), dict(reversed(settings.items()))) == key
    changed = weights["a"].clone()
    changed.view(torch.int32)[0, 1] ^= 1
    others = [
        (weights | {"a": changed}, settings),
        (weights | {"a": weights["a"].reshape(3, 2)}, settings),
        ({"b": weights["a"], "a": weights["b"]}, settings),
        (weights | {"c": torch.zeros(0)}, settings),
        (weights, settings | {"seed": 1}),
        (weights, settings | {"sampler": {"steps": 5, "eta": 0.5}}),
        (weights, settings | {"chunk": 4}),
    ]
    assert len({key, *(identity(*other) for other in others)}) == 1 + len(others)
