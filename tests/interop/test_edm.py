"""EDM's networks by the names and shapes of their weights."""

from typing import NamedTuple

import pytest
import torch

from difflab.errors import ConfigError
from difflab.interop import edm
from difflab.runs.build import build


class Theirs(NamedTuple):
    """A configuration of their U-Net; CIFAR-10's by default."""

    residual: bool = False
    classes: int = 0
    augment: int = 9
    side: int = 32
    channels: int = 128
    multipliers: tuple[int, ...] = (2, 2, 2)
    blocks: int = 4

    def taps(self) -> torch.Tensor:
        line = torch.tensor([1.0, 3.0, 3.0, 1.0] if self.residual else [1.0, 1.0])
        return torch.outer(line, line)[None, None] / line.sum() ** 2


def conv(name, c_in, c_out, k):
    return {f"{name}.weight": (c_out, c_in, k, k), f"{name}.bias": (c_out,)}


def linear(name, c_in, c_out, bias=True):
    return {f"{name}.weight": (c_out, c_in), **({f"{name}.bias": (c_out,)} if bias else {})}


def norm(name, c):
    return {f"{name}.weight": (c,), f"{name}.bias": (c,)}


def block(name, c_in, c_out, wide, resample=False, attention=False):
    found = norm(f"{name}.norm0", c_in) | conv(f"{name}.conv0", c_in, c_out, 3) | linear(f"{name}.affine", wide, c_out)
    found |= norm(f"{name}.norm1", c_out) | conv(f"{name}.conv1", c_out, c_out, 3)
    if resample:
        found |= {f"{name}.{part}.resample_filter": None for part in ("conv0", "skip")}
    if resample or c_in != c_out:
        found |= conv(f"{name}.skip", c_in, c_out, 1)
    if attention:
        found |= norm(f"{name}.norm2", c_out) | conv(f"{name}.qkv", c_out, 3 * c_out, 1)
        found |= conv(f"{name}.proj", c_out, c_out, 1)
    return found


def shapes(of: Theirs):
    """Names and shapes of every weight; None is the constant filter of a change of resolution."""
    noise, wide, found = (2 if of.residual else 1) * of.channels, 4 * of.channels, {}
    if of.residual:
        found["map_noise.freqs"] = (noise // 2,)
    if of.classes:
        found |= linear("map_label", of.classes, noise)
    if of.augment:
        found |= linear("map_augment", of.augment, noise, bias=False)
    found |= linear("map_layer0", noise, wide) | linear("map_layer1", wide, wide)
    sides = [of.side >> level for level in range(len(of.multipliers))]
    c, entering, skips = of.channels, 3, [of.channels]
    found |= conv(f"enc.{of.side}x{of.side}_conv", 3, c, 3)
    for side, multiplier in zip(sides, of.multipliers, strict=True):
        level = f"enc.{side}x{side}"
        if side != of.side:
            found |= block(f"{level}_down", c, c, wide, resample=True)
            skips.append(c)
            if of.residual:
                found |= conv(f"{level}_aux_residual", entering, c, 3) | {f"{level}_aux_residual.resample_filter": None}
                entering = c
        for i in range(of.blocks):
            found |= block(f"{level}_block{i}", c, multiplier * of.channels, wide, attention=side == 16)
            c = multiplier * of.channels
            skips.append(c)
    for side, multiplier in zip(reversed(sides), reversed(of.multipliers), strict=True):
        level = f"dec.{side}x{side}"
        if side == sides[-1]:
            found |= block(f"{level}_in0", c, c, wide, attention=True) | block(f"{level}_in1", c, c, wide)
        else:
            found |= block(f"{level}_up", c, c, wide, resample=True)
        for i in range(of.blocks + 1):
            last = side == 16 and i == of.blocks
            found |= block(f"{level}_block{i}", c + skips.pop(), multiplier * of.channels, wide, attention=last)
            c = multiplier * of.channels
    first = f"dec.{of.side}x{of.side}"
    return found | norm(f"{first}_aux_norm", c) | conv(f"{first}_aux_conv", c, 3, 3)


def state(of: Theirs, device="cpu"):
    """Weights by their names, behind the preconditioning's prefix; filters are numbers on any device."""
    torch.manual_seed(0)
    return {
        f"model.{name}": of.taps() if shape is None else torch.randn(shape, device=device)
        for name, shape in shapes(of).items()
    }


def network(weights, **changes):
    node = edm.config(weights) | {"c_noise": {"_target_": "difflab.models.LogSigma"}, "checkpointing": False} | changes
    return build(node, "model", **edm.told(weights))


PUBLISHED = {
    "cifar10-uncond-vp": (Theirs(), 55_733_891),
    "cifar10-cond-vp": (Theirs(classes=10), 55_733_891 + 128 * 11),
    "cifar10-uncond-ve": (Theirs(residual=True), 56_397_827),
    "cifar10-cond-ve": (Theirs(residual=True, classes=10), 56_397_827 + 256 * 11),
    "ffhq-uncond-vp": (Theirs(side=64, multipliers=(1, 2, 2, 2)), None),
}


@pytest.mark.parametrize("name", list(PUBLISHED))
def test_the_published_networks_are_ours(name):
    of, count = PUBLISHED[name]
    weights = state(of, "meta")
    assert edm.recognises(weights)
    found, told = edm.config(weights), edm.told(weights)
    assert found["multipliers"] == list(of.multipliers)
    assert (found["channels"], found["blocks"], found["attention"]) == (128, 4, [16])
    assert (found["taps"], found["entries"]) == (([1, 3, 3, 1], True) if of.residual else ([1, 1], False))
    expected = {"shape": (3, of.side, of.side), "outputs": 1, "classes": of.classes, "told_numbers": 9}
    assert told == expected
    with torch.device("meta"):
        model = network(weights)
    assert edm.weights(weights, model).keys() == model.state_dict().keys()
    learned = sum(p.numel() for p in model.parameters())
    theirs = sum(w.numel() for n, w in weights.items() if not n.endswith(("resample_filter", "freqs")))
    assert learned == theirs
    assert count in (None, learned)


SMALL = Theirs(residual=True, classes=3, side=16, channels=8, multipliers=(1, 2), blocks=1)


@pytest.mark.parametrize("prefix", ["model.", ""])
def test_every_weight_of_theirs_is_one_of_ours(prefix):
    weights = {name.replace("model.", prefix, 1): weight for name, weight in state(SMALL).items()}
    model = network(weights)
    model.load_state_dict(edm.weights(weights, model))
    learned = [w for n, w in weights.items() if not n.endswith("resample_filter")]
    assert {float(w.flatten()[0]) for w in learned} == {float(w.flatten()[0]) for w in model.state_dict().values()}
    output = model(torch.randn(2, 3, 16, 16), torch.tensor([-1.0, 0.5]))
    assert output.shape == (2, 3, 16, 16)
    assert output.isfinite().all()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda w: w.pop("model.enc.8x8_block0.conv1.bias"), r"missing: down\..*\(enc\.8x8_block0\.conv1\.bias\)"),
        (lambda w: w.update({"model.dec.more": torch.ones(1)}), r"left over: dec\.more"),
        (lambda w: w.update({"model.map_layer1.bias": torch.ones(5)}), r"of another shape: embed1\.bias \(5,\)"),
    ],
)
def test_weights_of_another_architecture_are_refused_with_their_names(spoil, message):
    weights = state(SMALL)
    model = network(weights)
    spoil(weights)
    with pytest.raises(ConfigError, match=message):
        edm.weights(weights, model)


def test_another_filter_is_refused():
    weights = state(SMALL)
    with pytest.raises(ConfigError, match=r"model\.taps: \[1, 1\]; allowed are those of the weights: \[1, 3, 3, 1\]"):
        edm.weights(weights, network(weights, taps=[1, 1]))


def test_other_networks_are_not_recognised():
    adm = {name: weight for name, weight in state(SMALL).items() if "aux" not in name} | {"model.out_conv.weight": None}
    assert not edm.recognises(adm)
    assert not edm.recognises({"conv_in.weight": torch.zeros(1)})
    with pytest.raises(ConfigError, match=r"weights: not of EDM's DDPM\+\+ or NCSN\+\+"):
        edm.config({"conv_in.weight": torch.zeros(1)})
