import pytest
import torch
from torch import nn

from difflab.models import StepIndex, UNet
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
