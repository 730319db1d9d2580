"""Intervals and tests of a few numbers against scipy and by hand."""

from math import isnan, nan

import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from difflab.statistics import holm, interval, paired, welch

pytestmark = pytest.mark.slow  # left to make test, so that make check stays quick

A, B = [3.0, 3.4, 2.9, 3.3], [2.5, 3.1, 2.8, 2.9]


def test_the_interval_of_three_by_hand():
    assert interval([1.0, 2.0, 3.0]) == pytest.approx(4.302652730 / 3**0.5, rel=1e-8)  # t of 2 degrees, deviation 1


def test_the_interval_is_that_of_scipy():
    low, high = stats.t.interval(0.95, len(A) - 1, loc=sum(A) / len(A), scale=stats.sem(A))
    assert interval(A) == pytest.approx((high - low) / 2, rel=1e-12)


def test_one_number_has_no_interval():
    assert isnan(interval([1.0])) and isnan(paired([1.0], [2.0]).p) and isnan(paired([1.0], [2.0]).half())
    assert isnan(welch([1.0], [2.0, 3.0]).p) and welch([1.0], [2.0, 3.0]).mean == -1.5
    assert isnan(welch([], [2.0, 3.0]).mean)


def test_paired_differences_are_those_of_scipy():
    found, theirs = paired(A, B), stats.ttest_rel(A, B)
    assert found.p == pytest.approx(theirs.pvalue, rel=1e-10)
    assert found.mean == pytest.approx(0.325)
    low, high = theirs.confidence_interval(0.95)
    assert found.half() == pytest.approx((high - low) / 2, rel=1e-10)
    assert found.p < stats.ttest_ind(A, B).pvalue  # what the pairs share is gone


@pytest.mark.filterwarnings("ignore:Precision loss")  # scipy of the constant one
@pytest.mark.parametrize(("a", "b"), [(A, B), (A, B[:2]), ([1.0, 1.0], B)], ids=["even", "uneven", "one constant"])
def test_independent_samples_are_those_of_scipy(a, b):
    found, theirs = welch(a, b), stats.ttest_ind(a, b, equal_var=False)
    assert found.p == pytest.approx(theirs.pvalue, rel=1e-10)
    low, high = theirs.confidence_interval(0.95)
    assert (found.mean - found.half(), found.mean + found.half()) == pytest.approx((low, high), rel=1e-10)


@pytest.mark.parametrize("test", [paired, welch])
def test_without_spread_a_difference_is_certain_and_none_is_none(test):
    assert test([1.5, 1.5], [0.5, 0.5]).p == 0 and test([1.5, 1.5], [0.5, 0.5]).half() == 0
    assert test([1.5, 1.5], [1.5, 1.5]).p == 1
    assert paired([1.0, 2.0], [0.5, 1.5]).p == 0


def test_rounding_is_neither_a_difference_nor_a_spread():
    assert paired([0.1 + 0.2, 0.6], [0.3, 0.6]).p == paired([0.1 + 0.2] * 2, [0.3] * 2).p == 1
    assert welch([0.1 + 0.2] * 2, [0.3] * 2).p == 1
    told = paired([0.3 + 0.4, 0.3 + 0.1], [0.4, 0.1])
    assert told.p == 0 and told.stderr == 0 and told.mean == pytest.approx(0.3)


def test_holm_by_hand():
    # sorted: 0.01 x 4, 0.02 x 3, 0.03 x 2, 0.5 x 1, each at least the one before; nan is no question
    found = holm({"a": 0.02, "b": 0.01, "c": 0.5, "d": 0.03, "e": nan})
    assert [found[name] for name in "bad"] == pytest.approx([0.04, 0.06, 0.06])
    assert found["c"] == 0.5 and isnan(found["e"])
    assert holm({"a": 0.6, "b": 0.7}) == {"a": 1.0, "b": 1.0}


def test_holm_is_that_of_statsmodels():
    p = [0.2, 0.004, 0.03, 0.03, 0.9, 0.011, 0.0005]
    theirs = multipletests(p, method="holm")[1]
    assert list(holm(dict(enumerate(p))).values()) == pytest.approx(list(theirs), rel=1e-12)
