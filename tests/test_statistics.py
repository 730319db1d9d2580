"""Intervals and tests of a few numbers against scipy and by hand."""

from math import isnan, nan

import pytest
from scipy import stats

from difflab.statistics import holm, interval, paired

pytestmark = pytest.mark.slow  # left to make test, so that make check stays quick

A, B = [3.0, 3.4, 2.9, 3.3], [2.5, 3.1, 2.8, 2.9]


def test_the_interval_of_three_by_hand():
    assert interval([1.0, 2.0, 3.0]) == pytest.approx(4.302652730 / 3**0.5, rel=1e-8)  # t of 2 degrees, deviation 1


def test_the_interval_is_that_of_scipy():
    low, high = stats.t.interval(0.95, len(A) - 1, loc=sum(A) / len(A), scale=stats.sem(A))
    assert interval(A) == pytest.approx((high - low) / 2, rel=1e-12)


def test_one_number_has_no_interval():
    assert isnan(interval([1.0])) and isnan(paired([1.0], [2.0]).p)


def test_paired_differences_are_those_of_scipy():
    found = paired(A, B)
    assert found.p == pytest.approx(stats.ttest_rel(A, B).pvalue, rel=1e-10)
    assert found.mean == pytest.approx(0.325)
    assert found.p < stats.ttest_ind(A, B).pvalue  # what the pairs share is gone


def test_equal_differences_are_certain_and_none_is_none():
    assert paired([1.0, 2.0], [0.5, 1.5]).p == 0
    assert paired([1.0, 2.0], [1.0, 2.0]).p == 1


def test_holm_by_hand():
    # sorted: 0.01 x 4, 0.02 x 3, 0.03 x 2, 0.5 x 1, each at least the one before; nan is no question
    found = holm({"a": 0.02, "b": 0.01, "c": 0.5, "d": 0.03, "e": nan})
    assert [found[name] for name in "bad"] == pytest.approx([0.04, 0.06, 0.06])
    assert found["c"] == 0.5 and isnan(found["e"])
    assert holm({"a": 0.6, "b": 0.7}) == {"a": 1.0, "b": 1.0}
