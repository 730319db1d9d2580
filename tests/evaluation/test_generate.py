import sys
from pathlib import Path

import pytest
import torch

from difflab.evaluation import Store, generate, measure
from difflab.prediction import Denoiser
from difflab.runs.together import together
from tests.conftest import every, option

sys.path.insert(0, str(Path(__file__).parents[1] / "runs"))
from members import one_by_one

CHUNK = 4
FEW = ("sampler.steps=6", "sampler.inner=1", "sampler.rtol=1e-3", "sampler.atol=1e-3")


@pytest.fixture(scope="module")
def denoise():
    """A small U-Net that says something: convolutions are what differs between batch sizes."""
    torch.manual_seed(0)
    network = option("model", "unet", "model.channels=8", "model.groups=4", shape=(1, 8, 8))
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():
                parameter.normal_(0, 0.05)
    return Denoiser(network, option("schedule", "cosine", "schedule.T=40"), option("prediction", "v")).eval()


@pytest.fixture(params=every("sampler", *FEW))
def sampler(denoise, request):
    data = option("data", "digits")
    data.setup()
    measure(request.param, denoise, data)
    return request.param


@pytest.fixture
def draw(denoise, sampler):
    return lambda n, chunk=CHUNK, seed=0, first=0: generate(denoise, sampler, (1, 8, 8), n, seed, chunk, first).samples


@pytest.mark.slow
def test_sample_i_is_the_same_bits_whatever_the_number_of_samples(draw):
    whole = draw(3 * CHUNK + 2)
    assert whole.shape == (3 * CHUNK + 2, 1, 8, 8)
    assert (whole.dtype, whole.device.type) == (torch.float32, "cpu")
    assert len(whole.flatten(1).unique(dim=0)) == len(whole)
    for n in (1, 5, CHUNK):
        assert torch.equal(draw(n), whole[:n])


@pytest.mark.slow
@pytest.mark.parametrize("first", [1, CHUNK, 7])
def test_sample_i_is_the_same_bits_wherever_it_begins(draw, first):
    assert torch.equal(draw(5, first=first), draw(3 * CHUNK)[first : first + 5])


def test_a_network_in_mixed_precision_draws_about_the_same(denoise):
    """Of 8 bits of mantissa; the sampler stays in float32, so that the difference does not grow with its steps."""
    ddim = option("sampler", "ddim", "sampler.steps=6")
    full, again, mixed = (
        generate(denoise, ddim, (1, 8, 8), 8, 0, CHUNK, precision=precision).samples
        for precision in ("32-true", "32-true", "bf16-mixed")
    )
    assert torch.equal(full, again) and mixed.dtype == torch.float32
    away = float((mixed - full).abs().max())
    assert 0 < away < 0.05, away


@pytest.mark.slow
@pytest.mark.parametrize("chunk", [1, 3, 14, 64])
def test_other_chunks_change_samples_by_rounding_only(denoise, sampler, draw, chunk):
    """An adaptive solver chooses its steps for the whole chunk: there its tolerance takes the place of rounding."""
    atol = 1e-4 if sampler.calls(denoise.schedule) else 100 * sampler.rtol
    torch.testing.assert_close(draw(14, chunk=chunk), draw(14), rtol=0, atol=atol)


def test_the_calls_are_those_that_the_network_had(denoise, sampler):
    heard = []
    handle = denoise.network.register_forward_hook(lambda *_: heard.append(1))
    found = generate(denoise, sampler, (1, 8, 8), CHUNK, 0, CHUNK)
    handle.remove()
    assert found.calls == len(heard)
    assert sampler.calls(denoise.schedule) in (len(heard), None)


def test_another_seed_gives_other_samples(draw):
    assert (draw(4, seed=1) - draw(4)).abs().mean() > 0.1


def test_nothing_else_random_plays_a_part(draw):
    torch.manual_seed(1)
    first = draw(3)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    assert torch.equal(draw(3), first)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.slow
def test_two_processes_draw_the_bits_of_one(denoise, tmp_path):
    """Ragged numbers, fewer chunks than processes, and chunks that are there already."""
    sampler = option("sampler", "ddim", "sampler.steps=6", "sampler.eta=1")
    store = Store(tmp_path, "key")
    generate(denoise, sampler, (1, 8, 8), CHUNK, 0, CHUNK, store=store)
    cases = ((1, 0, None), (3 * CHUNK - 1, 3, store))
    calls = [(denoise, sampler, (1, 8, 8), n, 0, CHUNK, first, kept) for n, first, kept in cases]
    for call, found in zip(calls, together(2, one_by_one, generate, calls), strict=True):
        alone = generate(*call[:-1])
        assert torch.equal(found.samples, alone.samples) and found.calls == alone.calls == 6
    assert sorted(path.name for path in store.folder.iterdir()) == [store.path(c).name for c in range(4)]
