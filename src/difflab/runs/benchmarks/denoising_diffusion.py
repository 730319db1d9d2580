"""denoising-diffusion-pytorch: trained on our images by its own loop, its network as a denoiser of ours."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from difflab.errors import ConfigError
from difflab.models import StepIndex
from difflab.prediction import Denoiser, V
from difflab.progress import Progress
from difflab.schedules import Chain

NAME = "denoising-diffusion-pytorch"
UNET = {"dim": 32, "dim_mults": (1, 2)}  # 825,889 parameters on grey images; model=unet has 701,345
NEVER = 10**9


def library() -> Any:
    """The module that its classes are in.

    Raises:
        ConfigError: where it is not installed.
    """
    try:
        from denoising_diffusion_pytorch import denoising_diffusion_pytorch
    except ImportError:
        raise ConfigError(f"rows: {NAME} is not installed; allowed after: pip install 'difflab[bench]'") from None
    return denoising_diffusion_pytorch


def diffusion(size: int) -> Any:
    """Its network and process for grey images, all else as it is by default: T = 1,000, sigmoid schedule, v."""
    theirs = library()
    return theirs.GaussianDiffusion(theirs.Unet(**UNET, channels=1), image_size=size)


def write(folder: Path, pixels: Tensor, levels: int) -> None:
    """Grey levels, [N, 1, H, W], as the folder of files that it trains on, in [0, 1].

    TIFF of floats, the one format it reads that rounds no level: 17 of them are not among the 256 of a PNG.
    """
    folder.mkdir()
    for i, image in enumerate(pixels[:, 0].float() / (levels - 1)):
        Image.fromarray(image.numpy()).save(folder / f"{i:05d}.tiff")


def trainer(images: Path, results: Path, size: int, batch_size: int) -> Any:
    """Its Trainer without its mirrored images, its samples and their distances; all else as it is by default."""
    return library().Trainer(
        diffusion(size),
        str(images),
        train_batch_size=batch_size,
        train_num_steps=NEVER,
        save_and_sample_every=NEVER,
        augment_horizontal_flip=False,
        calculate_fid=False,
        convert_image_to="F",
        results_folder=str(results),
    )


def until(trainer: Any, batches: Iterator[Tensor], seconds: float) -> Iterator[Tensor]:
    """The batches of its loop; with the first one after so many seconds that loop ends."""
    begun = time.monotonic()
    for batch in batches:
        if time.monotonic() - begun >= seconds:
            trainer.train_num_steps = trainer.step + 1
        yield batch


def train(images: Path, results: Path, size: int, batch_size: int, seconds: float) -> None:
    """So many seconds of its loop, kept as it keeps what it trained, in results/model-last.pt."""
    torch.manual_seed(0)
    theirs = trainer(images, results, size, batch_size)
    theirs.dl = until(theirs, theirs.dl, seconds)
    theirs.train()
    theirs.save("last")


def trained(folder: Path, pixels: Tensor, levels: int, batch_size: int, seconds: float) -> tuple[Any, int]:
    """Its process with averaged weights after so many seconds in a process of its own, and the steps it took.

    Args:
        folder: that takes images, log and weights.
        pixels: grey levels to train on, [N, 1, H, W].
        levels: how many values they can take.
        batch_size: images in each step.
        seconds: from the first batch on.

    Raises:
        RuntimeError: where the training failed: what it said last.
    """
    write(folder / "images", pixels, levels)
    size, results, log = pixels.shape[-1], folder / "results", folder / "log.txt"
    settings = map(str, (folder / "images", results, size, batch_size, seconds))
    command = [sys.executable, "-m", __name__, *settings]
    with log.open("w") as output, Progress(f"training {NAME}", round(seconds)) as progress:
        child = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            while child.poll() is None:
                time.sleep(1)
                progress.advance(1, "seconds")
        finally:
            child.kill()
    if child.returncode != 0:
        raise RuntimeError(f"{NAME} was not trained: {log.read_text()[-2000:]}")
    kept = torch.load(results / "model-last.pt", map_location="cpu", weights_only=True)
    averaged = "ema_model."
    found = diffusion(size)
    found.load_state_dict({k.removeprefix(averaged): v for k, v in kept["ema"].items() if k.startswith(averaged)})
    return found, kept["step"]


class Network(nn.Module):
    """Its U-Net, called as networks of ours are: it is told the index of the step from 0.

    Args:
        unet: its own.
    """

    def __init__(self, unet: nn.Module) -> None:
        super().__init__()
        self.unet, self.c_noise = unet, StepIndex()

    def forward(self, x: Tensor, c_noise: Tensor) -> Tensor:
        return self.unet(x, c_noise)


def denoiser(theirs: Any) -> Denoiser:
    """Its network with its own betas; abar is multiplied anew in float64, which it keeps in float32."""
    chain = Chain(torch.log1p(-theirs.betas.double()).cumsum(0))
    return Denoiser(Network(theirs.model), chain, V()).eval().requires_grad_(False)


if __name__ == "__main__":
    images, results, size, batch_size, seconds = sys.argv[1:]
    train(Path(images), Path(results), int(size), int(batch_size), float(seconds))
