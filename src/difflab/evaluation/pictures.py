"""Samples as pictures: grids of images, points over held-out points."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from torch import Tensor

from difflab.data import ImageData, Indexed, Scaling
from difflab.errors import ConfigError
from difflab.plots import image_grid
from difflab.plots.points import scatter


def decoded(samples: Tensor, data: Indexed) -> Tensor:
    """Samples as the data has its examples: levels, uint8, or points, float32.

    Raises:
        ConfigError: for a sample that is not finite, by its number.
    """
    try:
        return data.scaling.decode(samples)
    except ValueError as error:
        raise ConfigError(
            f"samples: {error}; try another sampler or more sampler.steps, or look at the weights"
        ) from error


def as_pictures(samples: Tensor, data: Indexed) -> Tensor:
    """Samples as 8-bit pictures: clamped, scaled, rounded, by the data's own scaling.

    Raises:
        ConfigError: for a sample that is not finite, by its number, and for points.
    """
    if not isinstance(data.scaling, Scaling):
        raise ConfigError(f"data: {type(data).__name__} has points; allowed are data of images")
    return data.scaling.picture(decoded(samples, data))


def as_seen(samples: Tensor, data: Indexed) -> Tensor:
    """The same in one channel or three, as they are shown to people.

    Raises:
        ConfigError: as `as_pictures`.
    """
    pictures = as_pictures(samples, data)
    return data.viewed(pictures) if isinstance(data, ImageData) else pictures


def picture(samples: Tensor, data: Indexed) -> Callable[[Path], None]:
    """What draws these samples into a path: a grid of images, or points beside as many of the test part at most.

    Raises:
        ConfigError: for a sample that is not finite, by its number.
    """
    if data.levels is not None:
        return partial(image_grid, as_seen(samples, data))
    points, real = decoded(samples, data), data.test.values[: len(samples)]
    return partial(scatter, points.clone(), real.clone())  # of larger tensors another process would be sent the whole
