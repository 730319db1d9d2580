import math

import pytest
import torch
from torch.nn import functional

from difflab.condition import UNKNOWN, Condition
from difflab.models import Fourier, Sinusoids
from difflab.models.song_blocks import Attention, Entry, Resample, Residual
from tests.conftest import option

SMALL = ("model.channels=8", "model.embedding.channels=8", "model.blocks=1", "model.dropout=0", "model.attention=[4]")


def small(name="ddpmpp", *more, shape=(3, 8, 8), every_weight=True, **offers):
    """The network in small, every weight drawn: the published start hides the branches behind zeros."""
    torch.manual_seed(0)
    model = option("model", name, *SMALL, *more, shape=shape, **offers)
    with torch.no_grad():
        for parameter in model.parameters() if every_weight else ():
            parameter.normal_(0, 0.2)
    return model


def parameters(name, **offers):
    with torch.device("meta"):
        return sum(p.numel() for p in option("model", name, shape=(3, 32, 32), **offers).parameters())


def test_ddpmpp_is_the_published_size():
    assert parameters("ddpmpp") == 55_732_739
    assert parameters("ddpmpp", told_numbers=9) == 55_733_891
    assert parameters("ddpmpp", classes=10) == 55_732_739 + 128 * (10 + 1)


def test_ncsnpp_has_a_wider_embedding_and_two_entries_more():
    wider, first, second = 128 * 512, 3 * 256 * 9 + 256, 256 * 256 * 9 + 256
    assert parameters("ncsnpp") == parameters("ddpmpp") + wider + first + second == 56_395_523
    assert parameters("ncsnpp", told_numbers=9) == 56_395_523 + 9 * 256


def test_attention_stands_at_16_pixels_and_in_the_middle():
    with torch.device("meta"):
        model = option("model", "ddpmpp", shape=(3, 32, 32))
    found = [name for name, module in model.named_modules() if isinstance(module, Attention)]
    down = [f"down.{i}.attention" for i in (5, 6, 7, 8)]
    assert found == [*down, "up.10.attention", "middle.0.attention"]


def test_the_ends_of_branches_start_at_nearly_nothing_and_all_else_as_xavier():
    model = small(every_weight=False)
    for module in model.modules():
        if isinstance(module, Residual):
            ends = [module.conv1] + ([module.attention.out] if isinstance(module.attention, Attention) else [])
            for layer, gain in [(module.conv0, 1.0), *((end, 1e-5) for end in ends)]:
                c_out, c_in, k, _ = layer.weight.shape
                bound = gain * math.sqrt(6 / (k * k * (c_in + c_out)))
                assert 0.5 * bound < layer.weight.abs().max() <= bound
                assert not layer.bias.any()
    assert model.conv_out.weight.abs().max() < 1e-5


def test_attention_is_the_formula_on_interleaved_channels():
    torch.manual_seed(0)
    layer, x = Attention(8), torch.randn(2, 8, 3, 4)
    with torch.no_grad():
        layer.qkv.weight.normal_(0, 0.5)
        layer.out.weight.normal_(0, 0.5)
        qkv = layer.qkv(layer.norm(x)).flatten(2)
        q, k, v = qkv[:, 0::3], qkv[:, 1::3], qkv[:, 2::3]
        share = (torch.einsum("ncq,nck->nqk", q, k) / math.sqrt(8)).softmax(dim=2)
        mixed = torch.einsum("nqk,nck->ncq", share, v).reshape(x.shape)
        torch.testing.assert_close(layer(x), (x + layer.out(mixed)) / math.sqrt(2))


def test_two_taps_average_and_repeat():
    x = torch.randn(2, 3, 6, 4)
    torch.testing.assert_close(Resample([1, 1])(x), functional.avg_pool2d(x, 2))
    torch.testing.assert_close(Resample([1, 1], up=True)(x), functional.interpolate(x, scale_factor=2.0))


def test_four_taps_are_bilinear():
    x = torch.randn(2, 3, 6, 4)
    bilinear = functional.interpolate(x, scale_factor=2.0, mode="bilinear")
    torch.testing.assert_close(Resample([1, 3, 3, 1], up=True)(x)[..., 1:-1, 1:-1], bilinear[..., 1:-1, 1:-1])
    assert Resample([1, 3, 3, 1])(x).shape == (2, 3, 3, 2)
    ramp = torch.arange(16.0).expand(1, 1, 16, 16)
    torch.testing.assert_close(Resample([1, 3, 3, 1])(ramp)[0, 0, 3, 1:-1], torch.arange(2.5, 14, 2))


@pytest.mark.parametrize("taps", [[1, 1], [1, 3, 3, 1]])
def test_an_entry_is_a_convolution_and_then_half(taps):
    torch.manual_seed(0)
    entry, h, image = Entry(3, 5, taps), torch.randn(1, 5, 6, 6), torch.randn(1, 3, 12, 12)
    around = functional.conv2d(image, entry.conv.weight, entry.conv.bias, padding=1)
    apart = (h + Resample(taps)(around)) / math.sqrt(2)
    torch.testing.assert_close(entry(h, image)[..., 1:-1, 1:-1], apart[..., 1:-1, 1:-1])


@pytest.mark.parametrize("name", ["ddpmpp", "ncsnpp"])
def test_it_is_told_classes_and_numbers_of_each_example(name):
    model = small(name, classes=3, told_numbers=9)
    x, c_noise = torch.randn(4, 3, 8, 8), torch.full((4,), 0.3)
    classes, augment = torch.tensor([0, 2, UNKNOWN, 1]), torch.randn(4, 9)
    augment[1:] = 0
    with torch.no_grad():
        untold, told = model(x, c_noise), model(x, c_noise, Condition(classes=classes, augment=augment))
        for half in (Condition(classes=classes), Condition(augment=augment), Condition()):
            assert model(x, c_noise, half).isfinite().all()
    same = [torch.allclose(a, b, atol=1e-5) for a, b in zip(untold, told, strict=True)]
    assert same == [False, False, True, False]
    for number in (3, -2):
        with pytest.raises(RuntimeError, match="Class values"):
            model(x, c_noise, Condition(classes=torch.tensor([0, 1, 2, number])))


def test_sinusoids_and_drawn_frequencies_are_told_sines_first():
    c_noise = torch.tensor([0.7])
    model = Sinusoids(6)
    frequencies = torch.tensor([1, 10000**-0.5, 10000**-1])
    expected = torch.cat([(0.7 * frequencies).sin(), (0.7 * frequencies).cos()])
    torch.testing.assert_close(model(c_noise)[0], expected)
    assert not model.state_dict()
    torch.manual_seed(0)
    drawn = Fourier(20000, 16.0)
    assert drawn.state_dict()["frequencies"].std() == pytest.approx(16, rel=0.03)
    turns = 0.7 * drawn.frequencies * 2 * math.pi
    torch.testing.assert_close(drawn(c_noise)[0], torch.cat([turns.sin(), turns.cos()]), atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["ddpmpp", "ncsnpp"])
def test_with_checkpointing_the_gradients_are_the_same(name):
    x, c_noise = torch.randn(2, 3, 8, 8), torch.tensor([-1.0, 0.5])
    gradients = []
    for checkpointing in ("false", "true"):
        model = small(name, f"model.checkpointing={checkpointing}")
        model(x, c_noise).square().mean().backward()
        gradients.append([p.grad for p in model.parameters()])
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize(
    ("overrides", "shape", "message"),
    [
        (["model.channels=6"], (3, 8, 8), r"model\.channels: 6; allowed are multiples of 4"),
        (["model.taps=[1,2,1]"], (3, 8, 8), r"model\.taps: \[1, 2, 1\]; allowed is an even number"),
        (["model.embedding.channels=5"], (3, 8, 8), r"model\.embedding\.channels: 5; allowed are even"),
        ([], (3, 8, 10), r"model\.multipliers: .*divisible by 4; the data has 8x10"),
        ([], (2,), r"model: a U-Net of data of shape \(2,\); allowed for points is model=mlp"),
    ],
)
def test_what_does_not_fit_is_refused(overrides, shape, message):
    with pytest.raises(ValueError, match=message):
        small("ddpmpp", *overrides, shape=shape)
