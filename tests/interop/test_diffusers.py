"""Networks of diffusers and ours that answer the same, whatever the config; weights there and back."""

import pytest
import torch
from diffusers import UNet2DModel

from difflab.condition import Condition
from difflab.errors import ConfigError
from difflab.interop import unet2d
from difflab.interop.diffusers import diffusers_weights, modern, recognises, unet_weights
from difflab.models import UNet
from difflab.runs.build import build
from tests.interop.theirs import CELEBAHQ, CIFAR10, SMALL, theirs_of

THREE = {
    "block_out_channels": (16, 32, 32),
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
}
DEFAULTS = {"downsample_padding": 1, "flip_sin_to_cos": True, "freq_shift": 0, "norm_eps": 1e-5}
RESIDUAL = {
    "down_block_types": ("ResnetDownsampleBlock2D", "AttnDownBlock2D", "ResnetDownsampleBlock2D"),
    "up_block_types": ("ResnetUpsampleBlock2D", "AttnUpBlock2D", "UpBlock2D"),
    "downsample_type": "resnet",
    "upsample_type": "resnet",
}
CONFIGS = {
    "small": {},
    "three levels": THREE | {"layers_per_block": 2, "in_channels": 3, "out_channels": 3},
    "no attention but in the middle": {
        "down_block_types": ("DownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "UpBlock2D"),
    },
    "one level": {
        "block_out_channels": (16,),
        "down_block_types": ("AttnDownBlock2D",),
        "up_block_types": ("AttnUpBlock2D",),
    },
    "heads": {"attention_head_dim": 8},
    "defaults of diffusers": DEFAULTS | {"attention_head_dim": 8},
    "cosines first": {"flip_sin_to_cos": True},
    "sines first, half": {"freq_shift": 0},
    "residual blocks": THREE | RESIDUAL | {"resnet_time_scale_shift": "scale_shift", "attn_norm_num_groups": 8},
    "classes and a variance": {"num_class_embeds": 5, "out_channels": 2},
    "not square": {"sample_size": (8, 12)},
    "256 pixels": {**CELEBAHQ, "sample_size": 64, "norm_num_groups": 8, "block_out_channels": (8, 8, 16, 16, 32, 32)},
}


def section_of(config) -> dict:
    """The section `model` of a config of theirs."""
    rest = {"c_noise": {"_target_": "difflab.models.StepIndex"}, "xavier": True}
    return unet2d.fields(unet2d.whole(config)) | rest | {"self_condition": False, "checkpointing": False}


def ours_of(config) -> UNet:
    """Our network for a config of theirs."""
    get = unet2d.whole(config)
    offers = {"outputs": get["out_channels"] // get["in_channels"], "classes": get["num_class_embeds"] or 0}
    return build(section_of(config), "model", shape=unet2d.shape_of(get), **offers).eval()


def assert_the_same(theirs: UNet2DModel, images: int = 5) -> None:
    """Outputs at several times, in float32, and weights that come back as they were."""
    ours = ours_of(theirs.config)
    swapped = unet2d.swapped(unet2d.whole(theirs.config))
    ours.load_state_dict(unet_weights(theirs.state_dict(), ours, swapped))
    shape = unet2d.shape_of(theirs.config)
    x = torch.randn(images, *shape, generator=torch.Generator().manual_seed(1))
    k = torch.linspace(0, 999, images).round()
    classes = None if theirs.class_embedding is None else torch.arange(images)
    back = UNet2DModel.from_config(unet2d.config_of(ours, section_of(theirs.config), shape)).eval()
    exported = diffusers_weights(ours)
    back.load_state_dict(exported)
    with torch.no_grad():
        mine, expected = ours(x, k, Condition(classes=classes)), theirs(x, k, classes).sample
        again = back(x, k, classes).sample
    assert 0.1 < expected.std() < 10
    torch.testing.assert_close(mine, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(again, expected, atol=1e-5, rtol=1e-5)
    for name, weight in unet_weights(exported, ours).items():
        assert torch.equal(weight, ours.state_dict()[name])
    if not swapped:
        assert exported.keys() == theirs.state_dict().keys()
        assert all(torch.equal(exported[name], weight) for name, weight in theirs.state_dict().items())


@pytest.mark.slow
def test_the_cifar10_network_of_ddpm_gives_the_same_output():
    theirs = theirs_of(**CIFAR10)
    assert sum(p.numel() for p in theirs.parameters()) == 35_746_307
    assert_the_same(theirs, images=3)


@pytest.mark.parametrize("name", CONFIGS)
def test_every_network_of_the_family_gives_the_same_output(name):
    assert_the_same(theirs_of(**SMALL | CONFIGS[name]))


def test_every_weight_of_the_256_pixel_networks_has_its_place():
    with torch.device("meta"):
        theirs, ours = UNet2DModel(**CELEBAHQ), ours_of(CELEBAHQ)
    assert sum(p.numel() for p in theirs.parameters()) == sum(p.numel() for p in ours.parameters()) == 113_673_219
    assert unet_weights(theirs.state_dict(), ours).keys() == ours.state_dict().keys()


def test_other_heads_give_other_outputs():
    theirs = theirs_of(**SMALL | {"attention_head_dim": 8})
    one = ours_of(SMALL)
    one.load_state_dict(unet_weights(theirs.state_dict(), one))
    x, k = torch.randn(2, 1, 8, 8), torch.tensor([3.0, 30.0])
    with torch.no_grad():
        assert (one(x, k) - theirs(x, k).sample).abs().max() > 1e-3


@pytest.fixture
def pair():
    return ours_of(SMALL), theirs_of(**SMALL).state_dict()


def test_names_of_old_weights_are_known(pair):
    ours, state = pair
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    renamed = {}
    for name, weight in state.items():
        for new, was in old.items():
            name = name.replace(f".{new}.", f".{was}.")
        renamed[name] = weight
    assert renamed.keys() != state.keys()
    assert {modern(name) for name in renamed} == state.keys()
    assert recognises(renamed)
    for name, weight in unet_weights(renamed, ours).items():
        assert torch.equal(weight, unet_weights(state, ours)[name])


def test_what_is_missing_is_listed(pair):
    ours, state = pair
    del state["mid_block.attentions.0.to_k.bias"], state["conv_in.weight"]
    with pytest.raises(ConfigError, match=r"missing: conv_in\.weight \(conv_in\.weight\), middle\.0\.att") as refusal:
        unet_weights(state, ours)
    assert "\n" not in str(refusal.value)
    assert "left over" not in str(refusal.value)  # the parts that were there only lack their third


def test_another_architecture_is_refused(pair):
    _, state = pair
    with pytest.raises(ConfigError, match=r"missing: .*attention"):
        attends = {"down_block_types": ["AttnDownBlock2D"] * 2, "up_block_types": ["AttnUpBlock2D"] * 2}
        unet_weights(state, ours_of(SMALL | attends))
    with pytest.raises(ConfigError, match=r"left over: .*class_embedding\.weight"):
        unet_weights(state | {"class_embedding.weight": torch.zeros(10, 64)}, ours_of(SMALL))
