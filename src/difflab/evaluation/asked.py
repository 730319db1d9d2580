"""What is asked of each sample of a generation: a class, an image to complete, guidance."""

from collections.abc import Callable, Sequence
from operator import index
from typing import Any

import torch
from torch import Tensor

from difflab.condition import NUMBERS, Condition, Conditioning, Unconditional
from difflab.data import Indexed
from difflab.errors import ConfigError
from difflab.guidance import Given, Remembering
from difflab.prediction import Denoiser
from difflab.randomness import stream

Guidance = Callable[[Denoiser], Denoiser]


class Asked:
    """The denoiser as samples number i, i + 1, ... see it.

    Sample i is of class `classes[i mod n]`, or, where none are asked for, of a class that is a function of (seed, i),
    each as frequent as in the training part. An image to complete is test image i, from the start again after the last.

    Args:
        conditioning: of the network.
        data: whose classes and images are asked for.
        seed: of the generation.
        classes: class numbers; None for those of the data.
        guidance: None for none.

    Raises:
        ConfigError: for classes of a network that is told none, and for numbers that are no class.
    """

    def __init__(
        self,
        conditioning: Conditioning,
        data: Indexed,
        seed: int,
        classes: Sequence[int] | None = None,
        guidance: Guidance | None = None,
    ) -> None:
        self.conditioning, self.data, self.seed, self.guidance = conditioning, data, seed, guidance
        self.classes = None if classes is None else whole_numbers(classes)
        if self.classes is not None:
            self._check(self.classes)

    def _check(self, classes: list[int]) -> None:
        if not self.conditioning.classes:
            raise ConfigError(f"classes: {classes}; this run's network was trained without classes: allowed is null")
        most = (self.data.classes or 0) - 1
        wrong = [number for number in classes if not 0 <= number <= most]
        if wrong or not classes:
            raise ConfigError(f"classes: {wrong[0] if wrong else '[]'}; allowed are one or more of 0 to {most}")

    def labels(self, indices: Sequence[int]) -> Tensor | None:
        """Class numbers of these samples, int64; None where the network is told none."""
        if not self.conditioning.classes:
            return None
        if self.classes is not None:
            return torch.tensor([self.classes[i % len(self.classes)] for i in indices])
        known = self.data.train.labels
        assert known is not None and self.data.classes is not None
        share = torch.bincount(known, minlength=self.data.classes).double().cumsum(0) / len(known)
        drawn = [stream(self.seed, "class", i).random() for i in indices]
        return torch.searchsorted(share, torch.tensor(drawn, dtype=torch.float64), right=True).clamp(max=len(share) - 1)

    def sources(self, indices: Sequence[int]) -> Tensor | None:
        """The images, in the model's range, that these samples are asked to complete; None where they are not."""
        if not self.conditioning.channels(self.data.shape):
            return None
        rows = torch.tensor([i % len(self.data.test) for i in indices])
        return self.data.scaling.encode(self.data.test.values[rows])

    def condition(self, indices: Sequence[int]) -> Condition | None:
        """What the network is told of these samples, on the CPU."""
        if isinstance(self.conditioning, Unconditional):
            return None
        x0 = self.sources(indices)
        if x0 is None:
            x0 = torch.zeros(len(indices), *self.data.shape)
        numbers = [torch.from_numpy(stream(self.seed, "condition", i).random(NUMBERS)) for i in indices]
        return self.conditioning.of(x0, self.labels(indices), torch.stack(numbers))

    def __call__(self, denoise: Denoiser, indices: Sequence[int]) -> Denoiser:
        """The denoiser for one batch of samples on its way from noise to images."""
        condition = self.condition(indices)
        seen = denoise if condition is None else Given(denoise, condition.to(denoise.device))
        seen = seen if self.guidance is None else self.guidance(seen)
        return Remembering(seen) if getattr(denoise.network, "self_condition", False) else seen


def whole_numbers(classes: Any) -> list[int]:
    """Class numbers as they were asked for.

    Raises:
        ConfigError: for what is not several numbers, and numbers that are not whole.
    """
    try:
        given = list(classes)
    except TypeError:
        raise ConfigError(f"classes: {classes}; allowed is a list of class numbers, such as [{classes}]") from None
    try:
        if any(isinstance(number, bool) for number in given):
            raise TypeError
        return [index(number) for number in given]
    except TypeError:
        raise ConfigError(f"classes: {given}; allowed are one or more whole numbers") from None
