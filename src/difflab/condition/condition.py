"""What a network is told beside x_t and the time."""

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

UNKNOWN = -1


@dataclass(frozen=True)
class Condition:
    """A row for each example; None for what a network is not told at all.

    Attributes:
        classes: class numbers; `UNKNOWN` where the class is not told.
        image: channels beside x_t; zero where it is not told.
        augment: how x_0 was augmented; zeros for images as they are.
        x0: an earlier estimate of x_0 (Chen et al., 2023, section 3.2); zero where there is none.
    """

    classes: Int[Tensor, " batch"] | None = None
    image: Float[Tensor, "batch c h w"] | None = None
    augment: Float[Tensor, "batch numbers"] | None = None
    x0: Float[Tensor, "batch *shape"] | None = None

    def each(self, change: Callable[[Tensor], Tensor]) -> "Condition":
        """The same change of every tensor that is there."""
        held = {field.name: getattr(self, field.name) for field in fields(self)}
        return Condition(**{name: None if value is None else change(value) for name, value in held.items()})

    def __getitem__(self, rows: slice | Tensor) -> "Condition":
        """The condition of some examples."""
        return self.each(lambda value: value[rows.to(value.device) if isinstance(rows, Tensor) else rows])

    def to(self, device: torch.device) -> "Condition":
        """The condition on a device."""
        return self.each(lambda value: value.to(device))

    def without(self, where: Bool[Tensor, " batch"] | None = None) -> "Condition":
        """Classes and images untold in these rows, or in all: what guidance leads away from."""
        classes, image = self.classes, self.image
        if classes is not None:
            untold = torch.full_like(classes, UNKNOWN)
            classes = untold if where is None else torch.where(where.to(classes.device), untold, classes)
        if image is not None:
            rows = 1.0 if where is None else where.to(image).reshape(-1, 1, 1, 1)
            image = image * (1 - rows)
        return Condition(classes, image, self.augment, self.x0)


def joined(first: Condition, second: Condition) -> Condition:
    """The rows of the first, then those of the second; both are told the same kinds of things."""
    held = {field.name: (getattr(first, field.name), getattr(second, field.name)) for field in fields(first)}
    return Condition(**{name: None if a is None or b is None else torch.cat([a, b]) for name, (a, b) in held.items()})
