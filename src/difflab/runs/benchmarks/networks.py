"""The network that the rows measure: that of DDPM for CIFAR-10, ours and that of diffusers."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from difflab.data import ImageData, Images, Indexed
from difflab.errors import ConfigError
from difflab.prediction import Denoiser
from difflab.process import diffuse
from difflab.randomness import stream
from difflab.runs.assemble import denoiser_of
from difflab.runs.load import option

GROUPS = {"model": "unet_cifar10", "schedule": "linear", "prediction": "eps"}
SHAPE = (3, 32, 32)
PARAMETERS = 35_746_307


class RandomImages(ImageData):
    """Random 32x32 RGB images: what a network costs does not depend on what it sees."""

    licence = "none"

    def read(self) -> tuple[Images, Images]:
        levels = stream(0, "benchmark").integers(0, 256, (512, *SHAPE), dtype="uint8")
        pixels = torch.from_numpy(levels)
        return Images(pixels[:448], None), Images(pixels[448:], None)


def random_images(batch_size: int) -> RandomImages:
    """That data set, read."""
    data = RandomImages("", batch_size, 32, 0, False, 0)
    data.setup()
    return data


def choices(**groups: str) -> dict[str, Any]:
    """The part of a config that a denoiser is built from; other options of groups by name."""
    config: dict[str, Any] = {"seed": 0, "targets": [], "c_noise": {"_target_": "difflab.models.StepIndex"}}
    return config | {group: option(group, name, config) for group, name in (GROUPS | groups).items()}


def ours(batch_size: int, winograd: bool = True, **model: Any) -> Denoiser:
    """difflab's model=unet_cifar10 with the linear schedule; `model` are fields of its YAML with other values."""
    config = choices() | {"winograd": winograd}
    config["model"] |= model
    return denoiser_of(config, random_images(batch_size))


def diffusers() -> Any:
    """The library.

    Raises:
        ConfigError: where it is not installed.
    """
    try:
        import diffusers
    except ImportError:
        raise ConfigError("rows: diffusers is not installed; allowed after: pip install 'difflab[bench]'") from None
    return diffusers


def theirs() -> nn.Module:
    """diffusers' UNet2DModel with the numbers of google/ddpm-cifar10-32: as many parameters."""
    torch.manual_seed(0)
    return diffusers().UNet2DModel(
        sample_size=SHAPE[-1],
        in_channels=SHAPE[0],
        out_channels=SHAPE[0],
        layers_per_block=2,
        block_out_channels=(128, 256, 256, 256),
        down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=None,
        dropout=0.1,
        downsample_padding=0,
        flip_sin_to_cos=False,
        freq_shift=1,
        norm_eps=1e-6,
    )


def update(network: nn.Module) -> Callable[[Tensor], None]:
    """Of the weights and of their moving average by a loss: the same for every network, with our optimizer."""
    weights = list(network.parameters())
    average = [weight.detach().clone() for weight in weights]
    optimizer = torch.optim.AdamW(weights, 1e-4, fused=True)

    def by(loss: Tensor) -> None:
        loss.backward()
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        torch._foreach_lerp_(average, [weight.detach() for weight in weights], 1e-3)

    return by


def bare_step(denoiser: Denoiser, data: Indexed) -> Callable[[], None]:
    """What a user would write without any framework: draw, predict, differentiate, clip, update."""
    optimizer = torch.optim.AdamW(denoiser.parameters(), 1e-4, fused=True)
    schedule, weights, values = denoiser.schedule, list(denoiser.parameters()), data.train.values[:]

    def step() -> None:
        x0 = data.scaling.encode(values[torch.randint(len(values), (data.batch_size,))])
        eps = torch.randn_like(x0)
        t = torch.randint(1, 1001, (data.batch_size,)).double() / 1000
        loss = (denoiser(diffuse(schedule, x0, eps, t), t).eps - eps).square().mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()

    return step
