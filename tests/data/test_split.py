import numpy as np
import pytest
import torch

from difflab.data.split import by_content, hashes_of, in_order, strangers


def hashes(*numbers):
    """Hashes of two bytes, which the numbers are."""
    return np.array([divmod(n, 256) for n in numbers], dtype=np.uint8)


@pytest.mark.parametrize(("share", "test"), [(0.1, 4), (0.25, 10), (0.001, 1), (0.999, 40)])
def test_every_example_is_on_one_side(share, test):
    sides = by_content(hashes(*range(40)), share)
    assert len(sides.test) == test
    assert sorted([*sides.train, *sides.test]) == list(range(40))


def test_the_sides_are_functions_of_the_content():
    numbers = np.random.default_rng(0).permutation(300)[:50]
    sides = by_content(hashes(*numbers), 0.3)
    assert sorted(numbers[sides.test]) == sorted(numbers)[:15]
    again = by_content(hashes(*numbers[::-1]), 0.3)
    assert [*numbers[::-1][again.test]] == [*numbers[sides.test]]
    assert [*numbers[::-1][again.train]] == [*numbers[sides.train]]


@pytest.mark.parametrize("share", [0.1, 0.2, 0.25, 0.5, 0.75])
def test_equal_examples_are_on_one_side(share):
    numbers = np.random.default_rng(1).integers(8, size=60)
    sides = by_content(hashes(*numbers), share)
    assert not set(numbers[sides.train]) & set(numbers[sides.test])
    assert len(sides.test) >= round(share * 60)


def test_the_first_byte_counts_most():
    assert in_order(hashes(513, 2, 256, 255, 2)).tolist() == [1, 4, 3, 2, 0]


def test_strangers_equal_nothing_that_is_held_out():
    assert strangers(hashes(5, 300, 7, 5, 9), hashes(9, 300, 11)).tolist() == [0, 2, 3]


def test_hashes_tell_examples_apart():
    images = torch.randint(2, (200, 1, 2, 2), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    found = {row.tobytes() for row in hashes_of(images)}
    assert len(found) == len(images.flatten(1).unique(dim=0)) > 10
    assert np.array_equal(hashes_of(images[::2]), hashes_of(images)[::2])
