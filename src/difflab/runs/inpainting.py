"""Images with some of their pixels made anew by the network of a run."""

from collections.abc import Callable
from typing import Protocol

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from difflab.condition import Inpainting
from difflab.errors import ConfigError
from difflab.evaluation import check_labels, conditioned, measure
from difflab.guidance import Given, Remembering
from difflab.prediction import Denoiser
from difflab.progress import Progress
from difflab.randomness import SampleNoise
from difflab.runs.assemble import Parts, refuse_equations
from difflab.samplers import Noise, RePaint, Sampler, State, Watch


class Way(Protocol):
    """How pixels are made."""

    def calls(self) -> int | None:
        """Network calls for an image; None where they are only known at the end."""
        ...

    def __call__(self, x0: Tensor, known: Tensor, labels: Tensor | None, noise: Noise, watch: Watch) -> Tensor:
        """The images of a batch, given the pixels of x0 where `known` is 1."""
        ...


class Told:
    """By a network that was trained with masks: it is told the known pixels.

    Args:
        parts: of the run.
        conditioning: of its network.
        sampler: from noise to images.
    """

    def __init__(self, parts: Parts, conditioning: Inpainting, sampler: Sampler) -> None:
        self.parts, self.conditioning, self.sampler = parts, conditioning, sampler

    def calls(self) -> int | None:
        return self.sampler.calls(self.parts.denoiser.schedule)

    def __call__(self, x0: Tensor, known: Tensor, labels: Tensor | None, noise: Noise, watch: Watch) -> Tensor:
        denoise = guided(Given(self.parts.denoiser, self.conditioning.told(x0, known)), self.parts)
        return x0.where(known > 0, self.sampler.sample(denoise, denoise.schedule, noise, watch))


class Resampled:
    """By any other network, told the class where it knows classes: RePaint.

    Args:
        parts: of the run.
        repaint: with its sampler.
    """

    def __init__(self, parts: Parts, repaint: RePaint) -> None:
        self.parts, self.repaint = parts, repaint

    def calls(self) -> int:
        return self.repaint.calls(self.parts.denoiser.schedule)

    def __call__(self, x0: Tensor, known: Tensor, labels: Tensor | None, noise: Noise, watch: Watch) -> Tensor:
        told = conditioned(self.parts.denoiser, self.parts.data, x0.cpu(), labels, "x")
        denoise = guided(told.seen_by(self.parts.denoiser), self.parts)
        return self.repaint.complete(denoise, denoise.schedule, noise, x0, known > 0, watch)


def guided(denoise: Denoiser, parts: Parts) -> Denoiser:
    """With the run's guidance, and told its own estimates where the network was trained so."""
    denoise = denoise if parts.guidance is None else parts.guidance(denoise)
    return Remembering(denoise) if getattr(denoise.network, "self_condition", False) else denoise


def way(parts: Parts, sampler: Sampler, jump: int, resamplings: int) -> Way:
    """The way that suits the network.

    Raises:
        ConfigError: for a network that is told of images otherwise, and a sampler that cannot.
    """
    conditioning = parts.denoiser.conditioning
    if isinstance(conditioning, Inpainting):
        return Told(parts, conditioning, sampler)
    if conditioning.channels(parts.data.shape):
        raise ConfigError(
            f"run: its network was trained with condition {type(conditioning).__name__}, which tells of the whole "
            "image; allowed are runs with condition=inpainting, none or classes"
        )
    try:
        return Resampled(parts, RePaint(sampler, jump, resamplings))
    except ValueError as error:
        raise ConfigError(str(error)) from error


def chunks(rows: Tensor, chunk: int) -> list[Tensor]:
    """So many rows at a time, the last ones filled up with the first row."""
    return list(torch.cat([rows, rows[:1].expand(-len(rows) % chunk, *rows.shape[1:])]).split(chunk))


@torch.inference_mode()
def inpaint(
    parts: Parts,
    x: Float[Tensor, "n c h w"],
    mask: Bool[Tensor, "*n 1 h w"],
    labels: Tensor | None,
    seed: int,
    sampler: Sampler,
    jump: int,
    resamplings: int,
    chunk: int,
) -> Float[Tensor, "n c h w"]:
    """Images with the pixels of a mask made anew; image i is a function of x, the mask, the seed and i alone.

    Args:
        parts: of the run.
        x: in the data's own range.
        mask: True where pixels are made.
        labels: class numbers, for a network that is told classes; None for untold.
        jump, resamplings: of RePaint.
        chunk: images the network sees at once.

    Raises:
        ConfigError: for what does not fit: images, masks, labels, the network's condition, the sampler.
    """
    shape, denoise = parts.data.shape, parts.denoiser
    if x.dim() != 4 or x.shape[1:] != torch.Size(shape):
        raise ConfigError(
            f"x: shape {tuple(x.shape)}; allowed are [N, {', '.join(map(str, shape))}], images of the run"
        )
    if mask.dtype != torch.bool or mask.shape not in {(1, *shape[1:]), (len(x), 1, *shape[1:])}:
        own = ", ".join(map(str, (1, *shape[1:])))
        raise ConfigError(f"mask: {mask.dtype}, {tuple(mask.shape)}; allowed are torch.bool, [{own}] or [N, {own}]")
    if labels is not None:
        check_labels(labels, len(x), parts.data.classes)
    refuse_equations(sampler, denoise)
    draw = way(parts, sampler, jump, resamplings)
    measure(sampler, denoise, parts.data)
    calls, made = draw.calls(), []
    known = (~mask).float().expand(len(x), -1, -1, -1)
    batches = list(zip(chunks(x.float(), chunk), chunks(known, chunk), strict=True))
    told = [None] * len(batches) if labels is None else chunks(labels, chunk)
    with Progress("inpainting", (calls or 100) * len(batches)) as progress:
        for i, ((x0, here), own) in enumerate(zip(batches, told, strict=True)):
            noise = SampleNoise(seed, range(i * chunk, (i + 1) * chunk), shape, denoise.device)
            watch = follower(progress, calls)
            made.append(draw(x0.to(denoise.device), here.to(denoise.device), own, noise, watch).cpu())
    return torch.cat(made)[: len(x)]


def follower(progress: Progress, calls: int | None) -> Callable[[State], None]:
    """A watcher that moves a bar by the calls of a batch, or, where nobody knows how many there will be, by percent."""
    begun = progress.done

    def watch(state: State) -> None:
        now = state.calls if calls else round(100 * state.share)
        progress.advance(begun + now - progress.done, f"{state.calls} network calls")

    return watch
