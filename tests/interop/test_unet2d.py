import pytest
import torch

from difflab.errors import ConfigError
from difflab.interop import unet2d
from difflab.interop.published import option_of
from difflab.models import StepIndex, UNet
from tests.interop.theirs import CELEBAHQ, CIFAR10, SMALL


def test_the_published_networks_are_told_by_their_options():
    assert option_of(unet2d.fields(unet2d.whole(CIFAR10))) == {"model": "unet_cifar10", "model.dropout": 0.0}
    large = option_of(unet2d.fields(unet2d.whole(CELEBAHQ)))
    assert large == {
        "model": "unet_cifar10",
        "model.multipliers": [1, 1, 2, 2, 4, 4],  # and attention at 16 as there
        "model.dropout": 0.0,
    }


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("_class_name", "UNet2DConditionModel", "UNet2DModel: ours has no attention to texts"),
        ("cross_attention_dim", 768, "nothing: a UNet2DModel has no such field"),
        ("act_fn", "gelu", "silu, swish"),
        ("time_embedding_type", "fourier", "positional"),
        ("freq_shift", 2, "0, 1"),
        ("class_embed_type", "timestep", "None"),
        ("add_attention", False, "True"),
        ("resnet_time_scale_shift", "spatial", "default, scale_shift"),
        ("resnet_time_scale_shift", "scale_shift", "8, as norm_num_groups"),  # no norm before attention in the middle
        ("down_block_types", ["SkipDownBlock2D", "AttnDownBlock2D"], "DownBlock2D or AttnDownBlock2D"),
        ("down_block_types", ["DownBlock2D"], "one for each of 2 levels"),
        ("up_block_types", ["UpBlock2D", "UpBlock2D"], "attention on the same levels as on the way down"),
        ("block_out_channels", [16, 24], "multiples of the first, 16"),
        ("upsample_type", "resnet", "conv, as downsample_type"),
        ("time_embedding_dim", 32, "64, four times the first width"),
        ("out_channels", 3, "1, or twice as many"),
        ("sample_size", None, "the size of the images"),
    ],
)
def test_what_ours_cannot_be_is_refused_by_name(field, value, allowed):
    with pytest.raises(ConfigError) as refusal:
        unet2d.whole(SMALL | {field: value})
    assert str(refusal.value).startswith("weights: the network has ")
    assert allowed in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_where_a_config_is_silent_diffusers_own_values_count():
    with pytest.raises(ConfigError, match="sample_size: None, where the config says nothing,"):
        unet2d.whole({})
    assert unet2d.fields(unet2d.whole({"sample_size": 32}))["norm_eps"] == 1e-5


def ours(**change) -> tuple[UNet, dict]:
    """A network of ours and its section."""
    section = {"channels": 16, "multipliers": [1, 2], "blocks": 1, "attention": [8, 4], "heads": 1, "groups": 8}
    section |= {"dropout": 0.0, "head_channels": None, "time_channels": None, "self_condition": False} | change
    with torch.device("meta"):
        return UNet(shape=(1, 8, 8), c_noise=StepIndex(), **section), section


def test_two_heads_on_two_widths_cannot_be_exported():
    with pytest.raises(ConfigError, match=r"model\.heads: 2 on levels of several widths"):
        unet2d.config_of(*ours(heads=2), (1, 8, 8))
    assert unet2d.config_of(*ours(heads=2, attention=[4]), (1, 8, 8))["attention_head_dim"] == 16


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"groups": 12}, "model.groups: .* here they have 8, 12"),
        ({"time_channels": 32}, "model.time_channels: .* allowed is 16"),
        ({"self_condition": True}, "model.self_condition: .* told no image"),
    ],
)
def test_what_diffusers_cannot_be_is_refused_by_name(change, message):
    with pytest.raises(ConfigError, match=message):
        unet2d.config_of(*ours(**change), (1, 8, 8))
