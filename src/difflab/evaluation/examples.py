"""Images to be scored, each with what the network is told of it."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from difflab.condition import NUMBERS, Condition, Unconditional
from difflab.data import Indexed, Pixels
from difflab.errors import ConfigError
from difflab.guidance import Given
from difflab.prediction import Denoiser
from difflab.randomness import stream


class Examples(NamedTuple):
    """Rows of x0, [N, *shape] in the model's range, and their condition; None where the network is told nothing."""

    x0: Tensor
    condition: Condition | None = None

    def rows(self, where: slice | Tensor) -> "Examples":
        """Some of them."""
        return Examples(self.x0[where], None if self.condition is None else self.condition[where])

    def repeated(self, times: int) -> "Examples":
        """Each so many times in a row."""
        condition = None if self.condition is None else self.condition.each(lambda v: v.repeat_interleave(times, 0))
        return Examples(self.x0.repeat_interleave(times, 0), condition)

    def seen_by(self, denoise: Denoiser) -> Denoiser:
        """The denoiser told of these rows, all of them in each call."""
        return denoise if self.condition is None else Given(denoise, self.condition.to(denoise.device))


def examples(denoise: Denoiser, data: Indexed, values: Tensor | Pixels, labels: Tensor | None, split: str) -> Examples:
    """Levels as the network's examples, with everything told that it can be told.

    Args:
        values: [N, *shape], of the data; `data` owns their scaling.
        labels: class numbers.
        split: its name: whatever a condition draws (a mask) is a function of it and of the place in the split.

    Raises:
        ConfigError: for examples without labels where the network was trained with them always.
    """
    return conditioned(denoise, data, data.scaling.encode(values[:]), labels, split)


def conditioned(denoise: Denoiser, data: Indexed, x0: Tensor, labels: Tensor | None, split: str) -> Examples:
    """The same for images in the model's range.

    Raises:
        ConfigError: also for labels that are no class numbers of the data, one for each image.
    """
    if labels is not None:
        check_labels(labels, len(x0), data.classes)
    conditioning = denoise.conditioning
    if isinstance(conditioning, Unconditional):
        return Examples(x0)
    untold = conditioning.classes and labels is None
    if untold and conditioning.drop == 0:
        raise ConfigError("labels: none; allowed are class numbers: this network was told the class of every image")
    known = torch.zeros(len(x0), dtype=torch.int64) if untold else labels
    numbers = [stream(0, "condition", split, i).random(NUMBERS) for i in range(len(x0))]
    uniform = torch.stack([torch.from_numpy(row) for row in numbers]) if numbers else torch.empty(0, NUMBERS).double()
    condition = conditioning.of(x0, known, uniform)
    return Examples(x0, condition.without() if untold else condition)


def check_labels(labels: Any, n: int, classes: int | None) -> None:
    """Refuse what is not a class number for each of n examples.

    Args:
        classes: how many there are; None for data without, whose numbers nobody reads.

    Raises:
        ConfigError: naming what is wrong.
    """
    if not isinstance(labels, Tensor) or labels.dtype != torch.int64 or labels.shape != (n,):
        tensor = isinstance(labels, Tensor)
        given = f"{labels.dtype}, {tuple(labels.shape)}" if tensor else type(labels).__name__
        raise ConfigError(f"labels: {given}; allowed is a tensor of torch.int64, [{n}]: a class number for each image")
    wrong = labels[(labels < 0) | (labels >= classes)] if classes else labels[:0]
    if len(wrong):
        raise ConfigError(f"labels: {int(wrong[0])}; allowed are class numbers, 0 to {classes - 1}")  # type: ignore[operator]
