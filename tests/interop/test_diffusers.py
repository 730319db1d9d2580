import pytest
import torch
from diffusers import UNet2DModel

from difflab.errors import ConfigError
from difflab.interop import unet_weights
from difflab.models import StepIndex, UNet
from tests.conftest import option

FAMILY = {
    "downsample_padding": 0,
    "flip_sin_to_cos": False,
    "freq_shift": 1,
    "norm_eps": 1e-6,
    "attention_head_dim": None,
}


def theirs_of(size, channels, widths, blocks, attention, **more):
    """A `UNet2DModel` with attention on the levels `attention`, every weight drawn, the zeros of its start too."""
    down = [("Attn" if i in attention else "") + "DownBlock2D" for i in range(len(widths))]
    up = [("Attn" if i in attention else "") + "UpBlock2D" for i in reversed(range(len(widths)))]
    torch.manual_seed(0)
    model = UNet2DModel(
        sample_size=size,
        in_channels=channels,
        out_channels=channels,
        block_out_channels=widths,
        layers_per_block=blocks,
        down_block_types=tuple(down),
        up_block_types=tuple(up),
        **FAMILY | more,
    )
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name:
                parameter.normal_(1.0 if name.endswith("weight") else 0.0, 0.3)
            elif parameter.dim() == 1:
                parameter.normal_(0, 0.3)
            else:
                parameter.normal_(0, parameter[0].numel() ** -0.5)
    return model.eval()


def ours_of(size, channels, widths, blocks, attention, heads=1, groups=32):
    return UNet(
        shape=(channels, size, size),
        c_noise=StepIndex(),
        channels=widths[0],
        multipliers=[w // widths[0] for w in widths],
        blocks=blocks,
        attention=[size >> level for level in attention],
        heads=heads,
        dropout=0.1,
        groups=groups,
    ).eval()


def differences(ours, theirs, images=6):
    """The largest one at each time, from the first step to the last, in float64; and the scale of the output."""
    ours.load_state_dict(unet_weights(theirs.state_dict(), ours))
    size = theirs.config.sample_size
    shape = (images, theirs.config.in_channels, size, size)
    x = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    k = torch.linspace(0, 999, images).round()
    with torch.no_grad():
        mine, other = ours.double()(x, k), theirs.double()(x, k).sample
    return (mine - other).abs().flatten(1).amax(1).tolist(), float(other.std())


def assert_equal(ours, theirs, images=6):
    """To rounding errors at k = 0; later to those of the angles 999 * frequency, which are float32."""
    (first, *later), scale = differences(ours, theirs, images)
    assert scale > 0.1
    assert first < 1e-12
    assert max(later) < 1e-5


@pytest.mark.slow
def test_the_cifar10_network_of_ddpm_gives_the_same_output():
    theirs = theirs_of(32, 3, (128, 256, 256, 256), 2, [1])
    assert sum(p.numel() for p in theirs.parameters()) == 35_746_307
    assert_equal(option("model", "unet_cifar10", shape=(3, 32, 32)).eval(), theirs, images=3)


ARCHITECTURES = [
    (8, 1, (16, 32), 1, [1]),
    (8, 3, (16, 16, 32), 2, [0, 2]),
    (16, 3, (16, 48, 32, 16), 3, []),
    (4, 2, (32,), 1, [0]),
]


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=str)
def test_every_network_of_the_family_gives_the_same_output(architecture):
    theirs = theirs_of(*architecture, norm_num_groups=8)
    assert_equal(ours_of(*architecture, groups=8), theirs)


def test_heads_are_theirs():
    theirs = theirs_of(8, 1, (32, 32), 1, [1], norm_num_groups=8, attention_head_dim=8)
    assert_equal(ours_of(8, 1, (32, 32), 1, [1], heads=4, groups=8), theirs)
    assert min(differences(ours_of(8, 1, (32, 32), 1, [1], heads=1, groups=8), theirs.float())[0]) > 1e-3


@pytest.fixture
def pair():
    architecture = (8, 1, (16, 32), 1, [1])
    return ours_of(*architecture, groups=8), theirs_of(*architecture, norm_num_groups=8).state_dict()


def test_names_of_old_weights_are_known(pair):
    ours, state = pair
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    renamed = {}
    for name, weight in state.items():
        for new, was in old.items():
            name = name.replace(f".{new}.", f".{was}.")
        renamed[name] = weight
    assert renamed.keys() != state.keys()
    for name, weight in unet_weights(renamed, ours).items():
        assert torch.equal(weight, unet_weights(state, ours)[name])


def test_every_weight_is_used_once(pair):
    ours, state = pair
    found = unet_weights(state, ours)
    assert found.keys() == ours.state_dict().keys()
    assert sum(w.numel() for w in found.values()) == sum(w.numel() for w in state.values())
    torch.testing.assert_close(
        sum(w.double().sum() for w in found.values()), sum(w.double().sum() for w in state.values())
    )


def test_what_is_missing_is_listed(pair):
    ours, state = pair
    del state["mid_block.attentions.0.to_k.bias"], state["conv_in.weight"]
    with pytest.raises(ConfigError, match=r"missing: conv_in\.weight, middle\.0\.attention\.qkv\.bias;") as refusal:
        unet_weights(state, ours)
    assert "\n" not in str(refusal.value)
    # the halves that were there are not left over, they only lack their third
    assert "left over" not in str(refusal.value)


def test_what_is_left_over_is_listed(pair):
    ours, state = pair
    state |= {"class_embedding.weight": torch.zeros(10, 64), "another": torch.zeros(1)}
    with pytest.raises(ConfigError, match=r"left over: another, class_embedding\.weight;"):
        unet_weights(state, ours)


def test_shapes_that_differ_are_listed(pair):
    ours, state = pair
    state["conv_out.bias"] = torch.zeros(3)
    with pytest.raises(ConfigError, match=r"of another shape: conv_out\.bias \(3,\) instead of \(1,\);"):
        unet_weights(state, ours)


def test_another_architecture_is_refused(pair):
    _, state = pair
    with pytest.raises(ConfigError, match=r"missing: .*attention"):
        unet_weights(state, ours_of(8, 1, (16, 32), 1, [0], groups=8))
    deeper = theirs_of(8, 1, (16, 32), 2, [1], norm_num_groups=8).state_dict()
    with pytest.raises(ConfigError, match=r"left over: .*down_blocks\.0\.resnets\.1\.conv1\.bias"):
        unet_weights(deeper, ours_of(8, 1, (16, 32), 1, [1], groups=8))
