"""The config of a diffusers `UNet2DModel` as fields of our U-Net, and back; what either cannot say is refused."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import nn

from difflab.errors import ConfigError
from difflab.models import CosinesFirst, SinesFirst, UNet

# Fields of theirs with the values that ours can be, behind them the value that diffusers takes where a config is
# silent.
FIELDS: dict[str, tuple[tuple[Any, ...], Any]] = {
    "act_fn": (("silu", "swish"), "silu"),
    "add_attention": ((True,), True),
    "center_input_sample": ((False,), False),
    "class_embed_type": ((None,), None),
    "downsample_padding": ((0, 1), 1),
    "downsample_type": (("conv", "resnet"), "conv"),
    "flip_sin_to_cos": ((False, True), True),
    "freq_shift": ((0, 1), 0),
    "mid_block_scale_factor": ((1,), 1),
    "mid_block_type": (("UNetMidBlock2D",), "UNetMidBlock2D"),
    "resnet_time_scale_shift": (("default", "scale_shift"), "default"),
    "time_embedding_type": (("positional",), "positional"),
    "upsample_type": (("conv", "resnet"), "conv"),
}
# Fields of theirs that are numbers, or that others rule, with the value that diffusers takes.
NUMBERS: dict[str, Any] = {
    "attention_head_dim": 8,
    "attn_norm_num_groups": None,
    "block_out_channels": (224, 448, 672, 896),
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"),
    "dropout": 0.0,
    "in_channels": 3,
    "layers_per_block": 2,
    "norm_eps": 1e-5,
    "norm_num_groups": 32,
    "num_class_embeds": None,
    "num_train_timesteps": None,  # of a learned embedding of time, which is refused
    "out_channels": 3,
    "sample_size": None,
    "time_embedding_dim": None,
    "up_block_types": ("AttnUpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
}
SILENT = {field: silent for field, (_, silent) in FIELDS.items()} | NUMBERS


def whole(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config with what diffusers takes where it is silent.

    Raises:
        ConfigError: naming the first field that ours has no word for.
    """
    get = SILENT | {field: value for field, value in config.items() if not field.startswith("_")}
    for field in ("down_block_types", "up_block_types"):
        get[field] = [name.removeprefix("UNetRes") for name in get[field]]
    for field, allowed in unknown(get, config.get("_class_name", "UNet2DModel")):
        value = get.get(field, config.get(field))
        silent = "" if field in config else ", where the config says nothing,"
        raise ConfigError(f"weights: the network has {field}: {value}{silent} and ours cannot; allowed is {allowed}")
    return get


def shape_of(get: Mapping[str, Any]) -> tuple[int, int, int]:
    """Of the images, by a config that is whole."""
    size = get["sample_size"]
    height, width = (size, size) if isinstance(size, int) else size
    return get["in_channels"], height, width


def swapped(get: Mapping[str, Any]) -> bool:
    """Whether its sines and cosines stand the other way round than ours at the same frequencies."""
    return bool(get["flip_sin_to_cos"]) == (get["freq_shift"] == 1)


def fields(get: Mapping[str, Any]) -> dict[str, Any]:
    """The section `model` of our network, by a config that is whole."""
    widths, (_, height, _) = get["block_out_channels"], shape_of(get)
    attends = ["Attn" in name for name in get["down_block_types"]]
    dim = get["attention_head_dim"]
    blocks = get["downsample_type"] == "resnet"
    sinusoids = SinesFirst if get["freq_shift"] == 1 else CosinesFirst
    convolutions = {"symmetric": get["downsample_padding"] == 1}
    return {
        "_target_": "difflab.models.UNet",
        "channels": widths[0],
        "multipliers": [w // widths[0] for w in widths],
        "blocks": get["layers_per_block"],
        "attention": [height >> level for level, attending in enumerate(attends) if attending],
        "heads": 1 if dim is None else None,
        "head_channels": dim,
        "dropout": float(get["dropout"]),
        "groups": get["norm_num_groups"],
        "norm_eps": float(get["norm_eps"]),
        "scale_shift": get["resnet_time_scale_shift"] == "scale_shift",
        "resample": {"_target_": f"difflab.models.{'ResidualBlocks' if blocks else 'Convolutions'}"}
        | ({} if blocks else convolutions),
        "sinusoids": {"_target_": f"difflab.models.{sinusoids.__name__}"},
        "time_channels": None,
    }


def unknown(get: Mapping[str, Any], kind: str) -> Iterator[tuple[str, str]]:
    """Fields whose value ours has no word for, and what may stand there."""
    if kind != "UNet2DModel":
        yield "_class_name", "UNet2DModel: ours has no attention to texts, and no other blocks"
    for field, value in get.items():
        if field not in SILENT and value is not None:
            yield field, "nothing: a UNet2DModel has no such field"
    for field, (allowed, _) in FIELDS.items():
        if get[field] not in allowed:
            yield field, ", ".join(map(str, allowed))
    widths = get["block_out_channels"]
    if any(w % widths[0] for w in widths):
        yield "block_out_channels", f"multiples of the first, {widths[0]}"
    if get["downsample_type"] != get["upsample_type"]:
        yield "upsample_type", f"{get['downsample_type']}, as downsample_type"
    down, up = ([*kinds(get, way)] for way in ("down", "up"))
    for field, names, allowed in (
        ("down_block_types", get["down_block_types"], down),
        ("up_block_types", get["up_block_types"], up),
    ):
        if len(names) != len(widths):
            yield field, f"one for each of {len(widths)} levels"
        for name, ours in zip(names, allowed, strict=False):
            if name not in ours:
                yield field, f"{' or '.join(ours)} in the place of {name}"
    if ["Attn" in name for name in get["down_block_types"]] != ["Attn" in n for n in reversed(get["up_block_types"])]:
        yield "up_block_types", "attention on the same levels as on the way down"
    middle = get["resnet_time_scale_shift"] == "default" and get["attn_norm_num_groups"] is None
    if not middle and get["attn_norm_num_groups"] != get["norm_num_groups"]:
        yield "attn_norm_num_groups", f"{get['norm_num_groups']}, as norm_num_groups"
    if get["time_embedding_dim"] not in (None, 4 * widths[0]):
        yield "time_embedding_dim", f"{4 * widths[0]}, four times the first width"
    if get["out_channels"] not in (get["in_channels"], 2 * get["in_channels"]):
        yield "out_channels", f"{get['in_channels']}, or twice as many with a learned variance"
    size = get["sample_size"]
    if not (isinstance(size, int) or (isinstance(size, Sequence) and len(size) == 2)):
        yield "sample_size", "the size of the images"


def kinds(get: Mapping[str, Any], way: str) -> Iterator[list[str]]:
    """The names of blocks of theirs that ours can be, on each level of the way down or up.

    Those without attention are other ones where residual blocks change the resolution; which of the two stands on the
    last level, where nothing changes it, makes no difference.
    """
    name, resampler = ("DownBlock2D", "ResnetDownsampleBlock2D")
    if way == "up":
        name, resampler = ("UpBlock2D", "ResnetUpsampleBlock2D")
    levels = len(get["block_out_channels"])
    for level in range(levels):
        plain = [resampler if get["downsample_type"] == "resnet" else name]
        yield [*([name, resampler] if level == levels - 1 else plain), f"Attn{name}"]


def config_of(network: UNet, model: Mapping[str, Any], shape: Sequence[int]) -> dict[str, Any]:
    """The config of the `UNet2DModel` that computes what a network of ours does.

    Args:
        network: of ours.
        model: the section `model` that it was made from.
        shape: of the images.

    Raises:
        ConfigError: naming what diffusers has no word for.
    """
    for field, allowed in unsayable(network, model):
        raise ConfigError(f"format: diffusers; model.{field}: a UNet2DModel cannot have it; allowed is {allowed}")
    channels, height, width = shape
    widths = [m * model["channels"] for m in model["multipliers"]]
    attends = [height >> level in model["attention"] for level in range(len(widths))]
    resample, sinusoids = model.get("resample") or {}, model.get("sinusoids") or {}
    blocks = resample.get("_target_") == "difflab.models.ResidualBlocks"
    sines = sinusoids.get("_target_", "difflab.models.SinesFirst") == "difflab.models.SinesFirst"
    scale_shift = bool(model.get("scale_shift"))
    down, up = ("ResnetDownsampleBlock2D", "ResnetUpsampleBlock2D") if blocks else ("DownBlock2D", "UpBlock2D")
    return {
        "_class_name": "UNet2DModel",
        "act_fn": "silu",
        "add_attention": True,
        "attention_head_dim": head_channels(model, widths, attends),
        "attn_norm_num_groups": model["groups"] if scale_shift else None,
        "block_out_channels": widths,
        "center_input_sample": False,
        "class_embed_type": None,
        "down_block_types": ["AttnDownBlock2D" if attending else down for attending in attends],
        "downsample_padding": 1 if resample.get("symmetric") else 0,
        "downsample_type": "resnet" if blocks else "conv",
        "dropout": model["dropout"],
        "flip_sin_to_cos": not sines,
        "freq_shift": 1 if sines else 0,
        "in_channels": channels,
        "layers_per_block": model["blocks"],
        "mid_block_scale_factor": 1,
        "norm_eps": model.get("norm_eps", 1e-6),
        "norm_num_groups": model["groups"],
        "num_class_embeds": None if network.classes is None else network.classes.table.num_embeddings,
        "out_channels": network.conv_out.out_channels,
        "resnet_time_scale_shift": "scale_shift" if scale_shift else "default",
        "sample_size": height if height == width else [height, width],
        "time_embedding_type": "positional",
        "up_block_types": ["AttnUpBlock2D" if attending else up for attending in reversed(attends)],
        "upsample_type": "resnet" if blocks else "conv",
    }


def head_channels(model: Mapping[str, Any], widths: Sequence[int], attends: Sequence[bool]) -> int | None:
    """Their one width of a head for all levels; None where each level with attention has a single head.

    Raises:
        ConfigError: where there are several.
    """
    if model["heads"] == 1 or model["heads"] is None:
        return None if model["heads"] == 1 else model["head_channels"]
    attending = [w for w, attended in zip(widths, attends, strict=True) if attended]
    sizes = {w // model["heads"] for w in (*attending, widths[-1])}
    if len(sizes) > 1:
        raise ConfigError(
            f"format: diffusers; model.heads: {model['heads']} on levels of several widths; a UNet2DModel has one "
            "width of a head for all: allowed are heads=1, or head_channels"
        )
    return sizes.pop()


def unsayable(network: UNet, model: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Fields of ours that diffusers has no word for, and what may stand there."""
    norms = sorted({m.num_groups for m in network.modules() if isinstance(m, nn.GroupNorm)})
    if norms != [model["groups"]]:
        yield "groups", f"one number of groups for all norms; here they have {', '.join(map(str, norms))}"
    if model.get("time_channels") not in (None, model["channels"]):
        yield "time_channels", f"{model['channels']}, as channels"
    if network.told_channels or network.self_condition:
        yield "self_condition" if network.self_condition else "told_channels", "a network that is told no image"
    if network.augment is not None:
        yield "told_numbers", "a network that is not told how an image was augmented"
