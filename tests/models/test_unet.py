from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional

from difflab import models
from difflab.condition import UNKNOWN, Condition
from difflab.models import StepIndex, UNet, unet_blocks
from difflab.models.group_norm import GroupNorm
from difflab.models.unet import Attention, Residual, SideBySide
from difflab.models.unet_blocks import norm
from tests.conftest import option

SETTINGS = {
    "c_noise": StepIndex(),
    "channels": 16,
    "multipliers": [1, 2],
    "blocks": 1,
    "attention": [],
    "heads": 2,
    "dropout": 0.0,
    "groups": 8,
}


def unet(shape=(1, 8, 8), **change):
    """A small one with every weight drawn: fresh networks answer zero."""
    torch.manual_seed(0)
    model = UNet(shape=shape, **SETTINGS | change)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.1)
    return model


def answer(model, condition=None, n=4):
    """Of a network, always to the same images."""
    shape = (n, model.conv_out.out_channels, 8, 8)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return model(x, torch.arange(float(n)), *([] if condition is None else [condition]))


@pytest.mark.parametrize(
    ("name", "parameters", "offers"),
    [
        ("unet_improved", 52_546_438, {"shape": (3, 32, 32), "outputs": 2}),
        ("unet_adm", 295_904_454, {"shape": (3, 64, 64), "outputs": 2, "classes": 1000}),
    ],
)
def test_networks_have_as_many_parameters_as_published(name, parameters, offers):
    with torch.device("meta"):
        model = option("model", name, **offers)
    assert sum(p.numel() for p in model.parameters()) == parameters


def test_the_cifar10_network_is_the_published_one():
    model = option("model", "unet_cifar10", shape=(3, 32, 32))
    assert sum(p.numel() for p in model.parameters()) == 35_746_307
    assert {m.num_groups for m in model.modules() if isinstance(m, nn.GroupNorm)} == {32}
    assert {m.p for m in model.modules() if isinstance(m, nn.Dropout)} == {0.1}


@pytest.mark.parametrize("shape", [(1, 7, 8), (1, 8, 7), (1, 28, 30)])
def test_images_that_cannot_be_halved_are_refused(shape):
    with pytest.raises(ValueError, match=rf"model\.multipliers: .*divisible by 4; the data has {shape[1]}x{shape[2]}"):
        UNet(shape=shape, **SETTINGS | {"multipliers": [1, 1, 2]})


@pytest.mark.parametrize("change", [{"channels": 15}, {"channels": 18, "heads": 4}])
def test_channels_that_heads_cannot_share_are_refused(change):
    with pytest.raises(ValueError, match=rf"model\.channels: {change['channels']} "):
        UNet(shape=(1, 8, 8), **SETTINGS | change)


def test_attention_stands_where_it_is_asked_for_and_in_the_middle():
    def names(attention):
        model = UNet(shape=(1, 8, 8), **SETTINGS | {"attention": attention})
        return {name for name, m in model.named_modules() if type(m).__name__ == "Attention"}

    assert names([]) == {"middle.0.attention"}
    assert names([4]) == {"down.2.attention", "middle.0.attention", "up.0.attention", "up.1.attention"}
    assert names([8]) == {"down.0.attention", "middle.0.attention", "up.3.attention", "up.4.attention"}


def test_weights_and_features_are_channels_last():
    model = UNet(shape=(3, 8, 8), **SETTINGS)
    convs = [m for m in model.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]
    assert all(m.weight.is_contiguous(memory_format=torch.channels_last) for m in convs)
    assert model(torch.randn(2, 3, 8, 8), torch.zeros(2)).is_contiguous(memory_format=torch.channels_last)


def test_group_norm_takes_as_many_groups_as_divide():
    model = UNet(shape=(1, 8, 8), **SETTINGS | {"channels": 20, "groups": 8})
    assert {(m.num_channels, m.num_groups) for m in model.modules() if isinstance(m, nn.GroupNorm)} == {
        (20, 5),
        (40, 8),
        (60, 6),
        (80, 8),
    }


def test_classes_are_told_row_by_row_and_unknown_is_untold():
    plain, model = unet(), unet(classes=3)
    assert model.state_dict().keys() - plain.state_dict().keys() == {"classes.table.weight"}
    model.load_state_dict(plain.state_dict(), strict=False)
    untold = answer(plain)
    told = answer(model, Condition(classes=torch.tensor([UNKNOWN, 2, UNKNOWN, 0])))
    for row, same in enumerate((True, False, True, False)):
        assert torch.equal(told[row], untold[row]) == same
    for nothing in (None, Condition(), Condition(classes=torch.full((4,), UNKNOWN))):
        assert torch.equal(answer(model, nothing), untold)


@pytest.mark.parametrize(
    ("field", "size", "offers"),
    [
        ("image", (2, 8, 8), {"told_channels": 2}),
        ("augment", (9,), {"told_numbers": 9}),
        ("x0", (1, 8, 8), {"self_condition": True}),
    ],
)
def test_zeros_are_what_is_not_told(field, size, offers):
    model = unet(**offers)
    assert model.self_condition == (field == "x0")
    untold = answer(model)
    assert torch.equal(answer(model, Condition(**{field: torch.zeros(4, *size)})), untold)
    value = torch.zeros(4, *size)
    value[2] = torch.randn(size)
    changed = answer(model, Condition(**{field: value})) != untold
    assert changed.flatten(1).any(1).tolist() == [False, False, True, False]


def test_channels_beside_x_are_the_image_then_the_estimate():
    model = unet(told_channels=2, self_condition=True)
    image, x0, x = torch.randn(4, 2, 8, 8), torch.randn(4, 1, 8, 8), torch.randn(4, 1, 8, 8)
    together = model.beside(x, Condition(image=image, x0=x0))
    assert torch.equal(together, torch.cat([x, image, x0], dim=1))


@pytest.mark.parametrize("resample", ["Convolutions", "ResidualBlocks"])
def test_gradients_with_checkpointing_are_those_without(resample):
    """Dropout is drawn again as it was."""
    change = {"attention": [4], "dropout": 0.5, "classes": 2, "scale_shift": True}
    change["resample"] = models.ResidualBlocks() if resample == "ResidualBlocks" else models.Convolutions(True)
    x, told = torch.randn(3, 1, 8, 8), Condition(classes=torch.tensor([0, 1, UNKNOWN]))

    def gradients(checkpointing):
        model = unet(**change, checkpointing=checkpointing)
        torch.manual_seed(2)
        model(x, torch.arange(3.0), told).square().mean().backward()
        return [p.grad for p in model.parameters()]

    kept, again = gradients(False), gradients(True)
    assert all(g.any() for g in kept)
    assert all(torch.equal(a, b) for a, b in zip(kept, again, strict=True))


def test_checkpointing_keeps_less():
    def kept(checkpointing):
        model, sizes = unet(checkpointing=checkpointing), []
        with torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.numel()) or t, lambda t: t):
            model(torch.randn(2, 1, 8, 8), torch.zeros(2))
        return sum(sizes)

    assert kept(True) < kept(False) / 2


def test_heads_are_given_by_their_number_or_their_width():
    """And attention is told apart by them."""
    whole = answer(unet(attention=[4, 8]))
    by_width = unet(attention=[4, 8], heads=None, head_channels=8)
    assert {m.qkv.in_features // m.heads for m in by_width.modules() if isinstance(m, Attention)} == {8}
    assert torch.equal(answer(unet(attention=[4], heads=4)), answer(unet(attention=[4], heads=None, head_channels=8)))
    assert not torch.equal(answer(by_width), whole)


@pytest.mark.parametrize("change", [{"head_channels": 8}, {"heads": None}])
def test_heads_and_their_width_are_not_both_given(change):
    with pytest.raises(ValueError, match=r"model\.heads: .* beside head_channels=.*; allowed is one"):
        unet(**change)


def test_a_width_that_no_level_has_is_refused():
    with pytest.raises(ValueError, match=r"model\.channels: 16 .* head_channels=12"):
        unet(heads=None, head_channels=12)


def test_scale_and_shift_are_those_of_a_norm():
    """With scale s and shift b for all: a norm of weight w (1 + s) and bias c (1 + s) + b."""

    def block(scale_shift):
        torch.manual_seed(0)
        made = Residual(4, 6, 8, 0.0, partial(norm, groups=2, eps=1e-6), scale_shift)
        for name, parameter in made.named_parameters():
            torch.manual_seed(len(name))
            nn.init.normal_(parameter) if "time" not in name else nn.init.zeros_(parameter)
        return made

    shifted, plain = block(True), block(False)
    s, b = torch.randn(6), torch.randn(6)
    with torch.no_grad():
        shifted.time.bias.copy_(torch.cat([s, b]))
        plain.norm2.weight.mul_(1 + s)
        plain.norm2.bias.mul_(1 + s).add_(b)
    x, time = torch.randn(2, 4, 5, 5), torch.randn(2, 8)
    torch.testing.assert_close(shifted(x, time), plain(x, time), rtol=1e-5, atol=1e-4)


def test_first_weights_are_those_of_ddpm():
    """Each of query, key, value, as every layer, uniform with the variance of its own fans; last layers zero."""
    model = UNet(shape=(3, 8, 8), **SETTINGS | {"channels": 64, "attention": [8]})
    limits = {"time.mlp.0": (64 + 256), "down.0.block.conv1": 9 * (64 + 64), "down.2.block.skip": 64 + 128}
    limits |= {"conv_in": 9 * (3 + 64), "down.0.attention.qkv": 2 * 64}
    for name, fans in limits.items():
        layer = model.get_submodule(name)
        assert layer.weight.abs().max().item() == pytest.approx((6 / fans) ** 0.5, rel=0.01)
        assert not layer.bias.any()
    last = [m.conv2 for m in model.modules() if isinstance(m, Residual)] + [model.conv_out]
    last += [m.out for m in model.modules() if isinstance(m, Attention)]
    assert not any(p.any() for layer in last for p in layer.parameters())


def test_or_those_of_pytorch_with_zero_last_layers():
    model = UNet(shape=(3, 8, 8), **SETTINGS | {"channels": 64, "attention": [8], "xavier": False})
    fans = {"time.mlp.0": 64, "down.0.block.conv1": 9 * 64, "conv_in": 27, "down.0.attention.qkv": 64}
    for name, fan in fans.items():
        layer = model.get_submodule(name)
        assert layer.weight.abs().max().item() == pytest.approx(fan**-0.5, rel=0.01)
        assert layer.bias.any()
    assert not any(p.any() for p in model.middle[0].attention.out.parameters())
    assert not answer(UNet(shape=(1, 8, 8), **SETTINGS | {"xavier": False})).any()


@pytest.mark.parametrize("shape", [(4, 16, 8), (2, 8, 24)])
def test_data_of_any_channels_and_sides(shape):
    """Attention is asked for by height."""
    model = unet(shape, attention=[8], self_condition=True, outputs=2)
    assert model(torch.randn(2, *shape), torch.zeros(2)).shape == (2, 2 * shape[0], *shape[1:])
    assert (model.down[0].attention is None) == (shape[1] != 8)


def test_each_feature_gets_its_part_of_the_gradient_in_one_piece():
    parts = [torch.randn(2, c, 4, 6).contiguous(memory_format=torch.channels_last).requires_grad_() for c in (3, 5)]
    weight = torch.randn(2, 8, 4, 6).contiguous(memory_format=torch.channels_last)
    found = torch.autograd.grad(SideBySide.apply(*parts), parts, weight)
    expected = torch.autograd.grad(torch.cat(parts, dim=1), parts, weight)
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)
        assert one.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("scale_shift", [False, True])
@pytest.mark.parametrize("grad", [False, True])
def test_sums_in_place_change_no_bit_and_nothing_that_somebody_holds(scale_shift, grad):
    torch.manual_seed(0)
    block = Residual(8, 16, 4, 0.0, partial(norm, groups=4, eps=1e-6), scale_shift)
    nn.init.normal_(block.conv2.weight)
    x, time = torch.randn(2, 8, 6, 6, requires_grad=grad), torch.randn(2, 4)
    kept = x.detach().clone()
    with torch.set_grad_enabled(grad):
        found = block(x, time)
        h = block.conv1(functional.silu(nn.GroupNorm.forward(block.norm1, x)))
        told = block.time(time)[:, :, None, None]
        if scale_shift:
            scale, shift = told.chunk(2, dim=1)
            h = nn.GroupNorm.forward(block.norm2, h) * (1 + scale) + shift
        else:
            h = nn.GroupNorm.forward(block.norm2, h + told)
        plain = block.skip(x) + block.conv2(functional.silu(h))
    assert torch.equal(found, plain) and torch.equal(x, kept)
    if grad:
        weights = [x, *block.parameters()]
        for one, other in zip(*(torch.autograd.grad(y.square().sum(), weights) for y in (found, plain)), strict=True):
            assert torch.equal(one, other)


def test_a_step_in_bfloat16_is_that_of_pytorchs_own_layers(monkeypatch):
    network = unet(attention=[8, 4])
    x, c_noise, eps = torch.randn(4, 1, 8, 8), torch.arange(4.0), torch.randn(4, 1, 8, 8)
    weights = list(network.parameters())

    def step(dtype):
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            loss = (network(x, c_noise).float() - eps).square().mean()
        return float(loss.detach()), torch.cat([g.flatten() for g in torch.autograd.grad(loss, weights)])

    (exact, exact_gradient), (loss, gradient) = step(torch.float32), step(torch.bfloat16)
    norms = {False: nn.GroupNorm.forward, True: lambda norm, x: functional.silu(nn.GroupNorm.forward(norm, x))}
    monkeypatch.setattr(GroupNorm, "forward", lambda norm, x: norms[norm.silu](norm, x))
    monkeypatch.setattr(unet_blocks, "attend", functional.scaled_dot_product_attention)
    plain, plain_gradient = step(torch.bfloat16)
    assert loss == pytest.approx(exact, rel=0.01) and loss == pytest.approx(plain, rel=0.01)
    away = float((gradient - exact_gradient).norm() / exact_gradient.norm())
    plain_away = float((plain_gradient - exact_gradient).norm() / exact_gradient.norm())
    assert 0 < away < max(1.5 * plain_away, 0.01)
