"""The loss by quarter of time."""

import torch
from hypothesis import given, strategies

from difflab.training.quarters import by_quarter, quarter_means

NUMBERS = strategies.floats(0, 1, width=32)


@given(strategies.lists(strategies.tuples(NUMBERS, NUMBERS), min_size=1, max_size=40))
def test_every_example_counts_once_in_the_quarter_of_its_time(pairs):
    losses, t = torch.tensor(pairs).T
    sums = by_quarter(losses, t).tolist()
    assert sum(sums[4:]) == len(pairs)
    for q, (total, count) in enumerate(zip(sums[:4], sums[4:], strict=True)):
        mine = [float(a) for a, b in pairs if q / 4 < b <= (q + 1) / 4 or (q == 0 and b == 0)]
        assert count == len(mine) and abs(total - sum(mine)) < 1e-5


def test_steps_of_a_chain_fall_into_quarters_of_the_same_size():
    t = torch.arange(1, 1001) / 1000
    assert by_quarter(torch.ones(1000), t).tolist() == [250.0] * 8


def test_a_quarter_without_a_time_has_no_figure():
    assert quarter_means([3.0, 0.0, 1.0, 0.0, 2.0, 0.0, 1.0, 0.0]) == {"train/loss_q0": 1.5, "train/loss_q2": 1.0}
