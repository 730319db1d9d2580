"""How NCSNv2 chooses its noise levels and its step size (Song & Ermon, 2020): Techniques 2 and 4, solved.

Technique 1 sets sigma_max to the largest distance between two training examples, 3 is prediction=score, 5 is ema.
"""

import math
from collections.abc import Callable

from difflab.schedules.geometric import check_sigmas


def normal_cdf(x: float) -> float:
    """Phi(x)."""
    return math.erfc(-x / math.sqrt(2)) / 2


def root(falls: Callable[[float], float], low: float, high: float) -> float:
    """Where a function that is positive at `low` and not at `high` changes its sign, by bisection, to 1e-12 of it."""
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if falls(middle) > 0 else (low, middle)
    return (low + high) / 2


def overlap(ratio: float, dimensions: int) -> float:
    """The mass that a level has where the level below it, `ratio` times narrower, has nearly all of its own.

    Phi(sqrt(2D)(g-1)+3g) - Phi(sqrt(2D)(g-1)-3g): the distance from an example of noise of level s in D dimensions
    is about N(s sqrt(D), s^2/2), and three standard deviations either side of the lower level's hold its samples.
    """
    centre = math.sqrt(2 * dimensions) * (ratio - 1)
    return normal_cdf(centre + 3 * ratio) - normal_cdf(centre - 3 * ratio)


def ratio(dimensions: int) -> float:
    """Technique 2: the ratio of successive levels at which their overlap is 0.5.

    It lies just below sqrt(2D)/(sqrt(2D) - 3), where the second term is 0.5 and the first almost 1.

    Args:
        dimensions: D, of an example.

    Raises:
        ValueError: below 5 dimensions, where levels of any ratio overlap by more than half.
    """
    if dimensions < 5:
        raise ValueError(
            f"schedule.L: Technique 2 has no solution in {dimensions} dimensions, levels of any ratio overlap by more "
            "than half there; allowed are 5 dimensions or more, or a number for schedule.L"
        )
    width = math.sqrt(2 * dimensions)
    return root(lambda g: overlap(g, dimensions) - 0.5, 1.0, width / (width - 3))


def levels(sigma_min: float, sigma_max: float, dimensions: int) -> int:
    """The fewest levels in a geometric sequence from sigma_max to sigma_min whose ratio is at most Technique 2's.

    Raises:
        ValueError: unless 0 < sigma_min < sigma_max, and below 5 dimensions.
    """
    check_sigmas(sigma_min, sigma_max)
    return 1 + math.ceil(math.log(sigma_max / sigma_min) / math.log(ratio(dimensions)) - 1e-9)


def variance_ratio(ratio: float, inner: int, step_size: float) -> float:
    """s_T^2/sigma_i^2 = q^(2T) (g^2 - c) + c: the variance that a level is left with, in units of its own.

    With q = 1 - a and c = 2a/(1 - q^2) (Song & Ermon, 2020, Proposition 3): around a single example, T steps
    x += a sigma_i^2 score + sqrt(2a) sigma_i z from noise of the level before, sigma_{i-1} = g sigma_i.

    Args:
        ratio: g.
        inner: T.
        step_size: a = eps/sigma_L^2, in (0, 2).
    """
    kept = (1 - step_size) ** (2 * inner)
    settled = 2 / (2 - step_size)
    return kept * (ratio**2 - settled) + settled


def step_size(ratio: float, inner: int) -> float:
    """Technique 4: the a in (0, 1) at which `variance_ratio` comes closest to 1.

    It is above 1 everywhere, so that is where it is least; its slope changes sign once.

    Args:
        ratio: g, above 1.
        inner: T, from 1.

    Raises:
        ValueError: for a ratio of at most 1, and fewer than one step.
    """
    if not 1 < ratio < math.inf:
        raise ValueError(f"sampler.step_size: null for levels of ratio {ratio:g}; allowed are ratios above 1")
    if inner < 1:
        raise ValueError(f"sampler.inner: {inner}; allowed are whole numbers from 1")

    def descent(a: float) -> float:
        """Minus the slope, over 2."""
        q, settled = 1 - a, 2 / (2 - a)
        return inner * q ** (2 * inner - 1) * (ratio**2 - settled) - (1 - q ** (2 * inner)) / (2 - a) ** 2

    return root(descent, 0.0, 1.0)
