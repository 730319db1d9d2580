"""Weights named and shaped as those of improved-diffusion and guided-diffusion."""

import math

import pytest
import torch

from difflab.errors import ConfigError
from difflab.interop import openai
from difflab.interop.openai_layout import PUBLISHED, Untold, untold
from difflab.models import StepIndex
from difflab.models.unet_blocks import Attention
from difflab.runs.build import build

CIFAR10 = {"width": 128, "multipliers": (1, 2, 2, 2), "blocks": 3, "rates": (2, 4), "outputs": 6}
SMALL = {"width": 32, "multipliers": (1, 2), "blocks": 1, "rates": (2,), "outputs": 6}


def convolution(name, c_in, c_out, *kernel):
    yield f"{name}.weight", (c_out, c_in, *kernel)
    yield f"{name}.bias", (c_out,)


def norm(name, c):
    yield f"{name}.weight", (c,)
    yield f"{name}.bias", (c,)


def residual(name, c_in, c_out, c_time):
    """Scale and shift: the embedding becomes twice as many numbers."""
    yield from norm(f"{name}.in_layers.0", c_in)
    yield from convolution(f"{name}.in_layers.2", c_in, c_out, 3, 3)
    yield from convolution(f"{name}.emb_layers.1", c_time, 2 * c_out)
    yield from norm(f"{name}.out_layers.0", c_out)
    yield from convolution(f"{name}.out_layers.3", c_out, c_out, 3, 3)
    if c_in != c_out:
        yield from convolution(f"{name}.skip_connection", c_in, c_out, 1, 1)


def attention(name, c):
    yield from norm(f"{name}.norm", c)
    yield from convolution(f"{name}.qkv", c, 3 * c, 1)
    yield from convolution(f"{name}.proj_out", c, c, 1)


def theirs(width, multipliers, blocks, rates, outputs, residual_resampling=False, classes=None, inputs=3):
    """Names and shapes, block by block as their forward pass goes; attention by the rate of downsampling."""
    c_time, c, rate = 4 * width, int(multipliers[0] * width), 1
    yield from convolution("time_embed.0", width, c_time)
    yield from convolution("time_embed.2", c_time, c_time)
    if classes:
        yield "label_emb.weight", (classes, c_time)
    yield from convolution("input_blocks.0.0", inputs, c, 3, 3)
    widths = [c]
    for multiplier in multipliers:
        for _ in range(blocks):
            block, c_out = f"input_blocks.{len(widths)}", int(multiplier * width)
            yield from residual(f"{block}.0", c, c_out, c_time)
            if rate in rates:
                yield from attention(f"{block}.1", c_out)
            c = c_out
            widths.append(c)
        if rate < 2 ** (len(multipliers) - 1):
            block = f"input_blocks.{len(widths)}.0"
            yield from residual(block, c, c, c_time) if residual_resampling else convolution(f"{block}.op", c, c, 3, 3)
            widths.append(c)
            rate *= 2
    yield from residual("middle_block.0", c, c, c_time)
    yield from attention("middle_block.1", c)
    yield from residual("middle_block.2", c, c, c_time)
    number = 0
    for multiplier in reversed(multipliers):
        for i in range(blocks + 1):
            block, c_out = f"output_blocks.{number}", int(multiplier * width)
            yield from residual(f"{block}.0", c + widths.pop(), c_out, c_time)
            if rate in rates:
                yield from attention(f"{block}.1", c_out)
            c, number = c_out, number + 1
            if i == blocks and rate > 1:
                up = f"{block}.{2 if rate in rates else 1}"
                yield from residual(up, c, c, c_time) if residual_resampling else convolution(f"{up}.conv", c, c, 3, 3)
                rate //= 2
    yield from norm("out.0", c)
    yield from convolution("out.2", c, outputs, 3, 3)


def state_of(device="cpu", **architecture):
    draw = None if device == "meta" else torch.Generator().manual_seed(0)
    return {n: torch.randn(shape, device=device, generator=draw) for n, shape in theirs(**architecture)}


def network_of(state, told=None, **change):
    fields = openai.config(state, told) | change
    return build(fields, "model", c_noise=StepIndex(), **openai.offers(state, told))


# From the flags of their README files: image size, width, blocks, attention resolutions, heads or head channels, ...
IMPROVED, ADM = {"residual_resampling": False}, {"residual_resampling": True}
NETWORKS = {
    "cifar10": (32, 128, 3, "16,8", 4, None, IMPROVED),
    "imagenet64": (64, 128, 3, "16,8", 4, None, IMPROVED),
    "imagenet64_by_class": (64, 192, 3, "16,8", 4, None, IMPROVED | {"classes": 1000}),
    "upsampler_improved": (256, 192, 2, "16,8", 4, None, IMPROVED | {"classes": 1000, "inputs": 6}),
    "lsun_improved": (256, 128, 2, "16", 1, None, IMPROVED),
    "adm64": (64, 192, 3, "32,16,8", None, 64, ADM | {"classes": 1000}),
    "adm128": (128, 256, 2, "32,16,8", 4, None, ADM | {"classes": 1000}),
    "adm256": (256, 256, 2, "32,16,8", None, 64, ADM),
    "adm512": (512, 256, 2, "32,16,8", None, 64, ADM | {"classes": 1000}),
    "upsampler_64_256": (256, 192, 2, "32,16,8", 4, None, ADM | {"classes": 1000, "inputs": 6}),
    "upsampler_128_512": (512, 192, 2, "32,16", None, 64, ADM | {"classes": 1000, "inputs": 6}),
}
MULTIPLIERS = {
    32: (1, 2, 2, 2),
    64: (1, 2, 3, 4),
    128: (1, 1, 2, 3, 4),
    256: (1, 1, 2, 2, 4, 4),
    512: (0.5, 1, 1, 2, 2, 4, 4),
}
PARAMETERS = {"cifar10": 52_546_438, "adm64": 295_904_454}


@pytest.mark.parametrize("name", NETWORKS)
def test_published_networks_are_known_by_their_names_and_shapes(name):
    """Each key of theirs is used, each of ours found; heights and heads are those of the flags."""
    size, width, blocks, heights, heads, head_channels, more = NETWORKS[name]
    multipliers = MULTIPLIERS[256 if "upsampler" in name else size]
    rates = [size // int(height) for height in heights.split(",")]
    state = state_of("meta", width=width, multipliers=multipliers, blocks=blocks, rates=rates, outputs=6, **more)
    assert openai.recognises(state)
    fields, offers = openai.config(state), openai.offers(state)
    assert (fields["heads"], fields["head_channels"]) == (heads, head_channels)
    assert fields["attention"] == [int(height) for height in heights.split(",")]
    told = {"classes": more.get("classes", 0), "told_channels": more.get("inputs", 3) - 3}
    assert offers == {"shape": (3, size, size), "outputs": 2, **told}
    with torch.device("meta"):
        network = network_of(state)
    assert openai.weights(state, network).keys() == network.state_dict().keys()
    count = sum(p.numel() for p in network.parameters())
    assert count == sum(math.prod(weight.shape) for weight in state.values()) == PARAMETERS.get(name, count)


def test_every_published_network_is_tried():
    assert len(NETWORKS) == len(PUBLISHED)


@pytest.mark.parametrize("change", [{}, {"residual_resampling": True, "classes": 3, "rates": (1, 2)}])
@pytest.mark.parametrize("told", [Untold(16, 4), Untold(16, None, 16, all_queries_first=True)])
def test_weights_go_in_and_out_unchanged(change, told):
    state = state_of(**SMALL | change)
    network = network_of(state, told)
    network.load_state_dict(openai.weights(state, network, told))
    back = openai.openai_weights(network, told)
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], weight) for name, weight in state.items())


@pytest.mark.parametrize("all_queries_first", [False, True])
def test_queries_keys_and_values_are_found_in_either_order(all_queries_first):
    """Their attention for one head after another, from the published order of the channels of qkv."""
    state, told = state_of(**SMALL), Untold(16, 4, None, all_queries_first)
    network = network_of(state, told)
    network.load_state_dict(openai.weights(state, network, told))
    layer = network.middle[0].attention
    assert isinstance(layer, Attention)
    x = torch.randn(2, 64, 4, 4)
    pixels = layer.norm(x).flatten(2)
    kernel, bias = state["middle_block.1.qkv.weight"][..., 0], state["middle_block.1.qkv.bias"]
    qkv = torch.einsum("oc,ncp->nop", kernel, pixels) + bias[:, None]
    mixed = []
    for head in range(4):
        first = [64 * part + 16 * head if all_queries_first else 48 * head + 16 * part for part in range(3)]
        q, k, v = (qkv[:, i : i + 16] for i in first)
        mixed.append(v @ (q.transpose(1, 2) @ k / 4).softmax(-1).transpose(1, 2))
    kernel, bias = state["middle_block.1.proj_out.weight"][..., 0], state["middle_block.1.proj_out.bias"]
    expected = x + (torch.einsum("oc,ncp->nop", kernel, torch.cat(mixed, 1)) + bias[:, None]).view_as(x)
    torch.testing.assert_close(layer(x), expected, rtol=1e-4, atol=1e-2)


def test_what_does_not_fit_is_listed():
    state, told = state_of("meta", **CIFAR10), None
    with torch.device("meta"):
        network = network_of(state, told)
    del state["input_blocks.5.0.skip_connection.weight"]
    state["label_emb.weight"] = torch.empty(10, 512, device="meta")
    state["middle_block.1.qkv.weight"] = torch.empty(767, 256, 1, device="meta")
    with pytest.raises(ConfigError) as refusal:
        openai.weights(state, network)
    listed = ["missing: down.4.block.skip.weight (input_blocks.5.0.skip_connection.weight)"]
    listed += ["left over: label_emb.weight", "middle.0.attention.qkv.weight (767, 256) instead of (768, 256)"]
    assert all(text in str(refusal.value) for text in listed)


def test_other_networks_need_to_be_told_what_no_weight_tells():
    state = state_of(**SMALL)
    with pytest.raises(ConfigError, match=r"none of OpenAI's published .* 32 channels .*allowed with untold\.height"):
        untold(state)
    fields = openai.config(state, Untold(64, heads=2))
    assert (fields["attention"], fields["heads"], fields["multipliers"]) == ([32], 2, [1, 2])


def test_a_classifier_is_none_of_them():
    """It has the way down and the middle, and no way up."""
    state = {name: weight for name, weight in state_of(**SMALL).items() if "output_blocks" not in name}
    assert not openai.recognises(state)
    with pytest.raises(ConfigError, match=r"weights: .*allowed are those of a U-Net"):
        openai.config(state, Untold(16, 4))
