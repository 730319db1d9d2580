"""The rows of sampling, on one image; what they find is not asserted."""

import pytest
import torch

from difflab.evaluation import generate
from difflab.runs.benchmarks import peak as peaks
from difflab.runs.benchmarks.networks import SHAPE, ours
from difflab.runs.benchmarks.sampling import CALLS, SAMPLERS, pipeline, sampler, sampler_of, sampling

pytest.importorskip("diffusers")


@pytest.mark.slow
def test_both_call_the_network_equally_often():
    denoise, calls = ours(1).eval(), []
    denoise.network.register_forward_hook(lambda *_: calls.append("ours"))
    generate(denoise, sampler_of("ddim", 2), SHAPE, 1, 0, 1)
    peer = pipeline(channels_last=True)
    peer.unet.register_forward_hook(lambda *_: calls.append("theirs"))
    assert peer(batch_size=1, num_inference_steps=2, output_type="np").images.shape == (1, 32, 32, 3)
    assert calls == 2 * ["ours"] + 2 * ["theirs"]
    assert peer.unet.conv_in.weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.slow
def test_rows_say_what_was_measured(monkeypatch):
    monkeypatch.setattr(peaks, "SIDE", 64)
    default, tuned = sampling({"batch_size": 1, "repetitions": 1})
    assert default.ratio == default.ours / default.peer and tuned.ours == default.ours
    assert f"{CALLS} network calls" in default.how
    (row,) = sampler({"batch_size": 1, "repetitions": 1, "steps": 2})
    assert row.ratio >= 1 and all(name in row.how for name in SAMPLERS)
