import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from difflab.condition import UNKNOWN, Condition
from difflab.models.dit_blocks import Block
from tests.conftest import option

# Peebles & Xie (2023), Tables 1 and 4: blocks, width, heads, parameters in millions at patch 2, Gflops by patch.
PUBLISHED = {
    "dit_s": (12, 384, 6, 33, {2: 6.06, 4: 1.41, 8: 0.36}),
    "dit_b": (12, 768, 12, 130, {2: 23.01, 4: 5.56, 8: 1.42}),
    "dit_l": (24, 1024, 16, 458, {2: 80.71, 4: 19.70, 8: 5.01}),
    "dit_xl": (28, 1152, 16, 675, {2: 118.64, 4: 29.05, 8: 7.39}),
}
EXACT = {"dit_s": 32_865_056, "dit_b": 130_315_808, "dit_l": 457_840_672, "dit_xl": 674_834_720}


def of_imagenet(name, patch):
    """On codes of ImageNet at 256 pixels, with 1000 classes and a learned variance."""
    with torch.device("meta"):
        return option("model", name, f"model.patch={patch}", shape=(4, 32, 32), outputs=2, classes=1000)


def linear(c_in, c_out):
    return c_in * c_out + c_out


@pytest.mark.parametrize(("name", "patch"), [*((name, 2) for name in PUBLISHED), ("dit_s", 4), ("dit_b", 8)])
def test_it_is_as_large_and_computes_as_much_as_published(name, patch):
    """Their Gflops are multiplications with an addition, and one for each number that a norm sees."""
    blocks, width, heads, millions, gflops = PUBLISHED[name]
    model = of_imagenet(name, patch)
    assert {block.heads for block in model.blocks} == {heads}
    count = sum(p.numel() for p in model.parameters())
    one = sum(linear(width, n * width) for n in (3, 1, 4, 6)) + linear(4 * width, width)
    around = linear(4 * patch**2, width) + linear(256, width) + linear(width, width) + 1001 * width
    assert count == blocks * one + around + linear(width, 2 * width) + linear(width, 8 * patch**2)
    if patch == 2:
        assert count == EXACT[name]
        assert round(count / 1e6) == millions
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        model(torch.empty(1, 4, 32, 32, device="meta"), torch.empty(1, device="meta"))
    normed = (2 * blocks + 1) * width * (32 // patch) ** 2
    assert counted.get_total_flops() / 2e9 + normed / 1e9 == pytest.approx(gflops[patch], abs=0.0101)


def small(*more, shape=(3, 8, 8), every_weight=True, **offers):
    """A small one, every weight drawn: the published start answers zero."""
    torch.manual_seed(0)
    model = option("model", "dit", "model.width=16", "model.blocks=2", *more, shape=shape, **offers)
    with torch.no_grad():
        for parameter in model.parameters() if every_weight else ():
            parameter.normal_(0, 0.2)
    return model


def test_positions_tell_the_column_and_then_the_row():
    found = small(shape=(3, 8, 12)).positions.reshape(4, 6, 16)
    for row, column in [(0, 0), (3, 1), (2, 5)]:
        each = [
            f(torch.tensor(at * 10000 ** (-i / 4)))
            for at in (column, row)
            for f in (torch.sin, torch.cos)
            for i in range(4)
        ]
        torch.testing.assert_close(found[row, column], torch.stack(each), atol=1e-6, rtol=0)


@pytest.mark.parametrize("patch", [1, 2, 4])
def test_without_positions_moving_the_image_by_patches_moves_the_output(patch):
    model, x = small(f"model.patch={patch}", shape=(3, 8, 12), outputs=2), torch.randn(1, 3, 8, 12)
    model.positions.zero_()
    move = {"shifts": (patch, 2 * patch), "dims": (2, 3)}
    with torch.no_grad():
        moved, still = model(x.roll(**move), torch.tensor([3.0])), model(x, torch.tensor([3.0]))
    torch.testing.assert_close(moved, still.roll(**move), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(moved, still, atol=1e-2)


def test_a_class_that_is_not_told_has_a_row_of_its_own():
    model, x, c_noise = small(classes=3), torch.randn(3, 3, 8, 8), torch.zeros(3)
    rows = model.classes.table.weight
    assert rows.shape == (4, 16)
    untold = model(x, c_noise)
    unknown = model(x, c_noise, Condition(classes=torch.full((3,), UNKNOWN)))
    torch.testing.assert_close(untold, unknown, rtol=0, atol=0)
    model(x, c_noise, Condition(classes=torch.tensor([1, UNKNOWN, 1]))).sum().backward()
    assert rows.grad.any(dim=1).tolist() == [False, True, False, True]


def test_a_fresh_block_changes_nothing_and_first_weights_are_as_published():
    x, told = torch.randn(2, 5, 16), torch.randn(2, 16)
    assert torch.equal(Block(16, 2)(x, told), x)
    model = small("model.width=64", classes=200, every_weight=False)
    for weight in (model.classes.table.weight, model.time.mlp[0].weight, model.time.mlp[2].weight):
        assert weight.std().item() == pytest.approx(0.02, rel=0.05)
    inner = model.blocks[0].inner.weight
    assert inner.abs().max().item() == pytest.approx((6 / (64 + 256)) ** 0.5, rel=0.01)


def test_with_checkpointing_the_gradients_are_the_same():
    x, c_noise = torch.randn(2, 3, 8, 8), torch.tensor([1.0, 500.0])
    gradients = []
    for checkpointing in ("false", "true"):
        model = small(f"model.checkpointing={checkpointing}")
        model(x, c_noise).square().mean().backward()
        gradients.append([p.grad for p in model.parameters()])
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize(
    ("overrides", "shape", "message"),
    [
        (["model.patch=3"], (3, 12, 8), r"model\.patch: 3; allowed are divisors of the image's sides, 12 and 8"),
        (["model.width=18"], (3, 8, 8), r"model\.width: 18; allowed are multiples of 4 and of model\.heads = 4"),
        (["model.heads=3"], (3, 8, 8), r"model\.width: 16; allowed are multiples of 4 and of model\.heads = 3"),
        ([], (2,), r"model: a DiT of data of shape \(2,\); allowed for points is model=mlp"),
    ],
)
def test_what_does_not_fit_is_refused(overrides, shape, message):
    with pytest.raises(ValueError, match=message):
        small(*overrides, shape=shape)
