import pytest
import torch

from difflab.metrics import copied_share, nearest


def features(n, d, seed):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("n", "m"), [(1, 1), (70, 3), (100, 130)])
def test_nearest_is_the_smallest_of_all_distances(n, m, monkeypatch):
    for module in ("pairs", "memorisation"):
        monkeypatch.setattr(f"difflab.metrics.{module}.ROWS", 32)
    monkeypatch.setattr("difflab.metrics.pairs.COLUMNS", 50)
    a, b = features(n, 5, 0), features(m, 5, 1)
    expected = (a[:, None].double() - b[None].double()).norm(dim=2).min(1)
    distance, index = nearest(a, b)
    torch.testing.assert_close(distance, expected.values, rtol=1e-12, atol=0)
    assert torch.equal(index, expected.indices)


def test_copies_lie_at_exactly_nothing():
    train = 1e3 + 10 * features(300, 512, 0)
    copied = torch.tensor([7, 299, 0])
    distance, index = nearest(train[copied], train)
    assert distance.tolist() == [0, 0, 0]
    assert torch.equal(index, copied)


def test_a_copy_is_told_from_what_differs_in_the_last_digit():
    train = (1e3 + features(1, 512, 0)).repeat(3, 1)
    train[:2, 5] = torch.nextafter(train[:2, 5], torch.tensor(torch.inf))
    distance, index = nearest(train[2:], train)
    assert (distance.item(), index.item()) == (0, 2)


def test_the_share_counts_pairs_and_ties_half():
    samples, test = torch.tensor([0.0, 1.0, 2.0, 5.0]), torch.tensor([1.0, 3.0, 5.0])
    wins = sum((s < t) + 0.5 * (s == t) for s in samples.tolist() for t in test.tolist())
    assert copied_share(samples, test)[0] == pytest.approx(wins / 12)
    assert copied_share(test, samples)[0] == pytest.approx(1 - wins / 12)


def test_samples_from_test_are_even_and_copies_are_not():
    train, test, fresh = features(300, 4, 0), features(200, 4, 1), features(200, 4, 2)
    to_train = nearest(test, train)[0]
    share, stderr = copied_share(nearest(fresh, train)[0], to_train)
    assert abs(share - 0.5) < 3 * stderr < 0.12
    assert copied_share(nearest(train[:50] + 1e-3, train)[0], to_train)[0] > 0.99
    assert copied_share(nearest(3 + fresh, train)[0], to_train)[0] < 0.1
    assert copied_share(to_train, to_train)[0] == 0.5


@pytest.mark.parametrize(("n", "m", "shift"), [(100, 100, 0.0), (60, 300, 0.8), (300, 40, -1.5)])
def test_the_error_is_the_spread_over_draws(n, m, shift):
    """Of normal distances the chance is known; draws spread by what each of them says."""
    draw = torch.Generator().manual_seed(0)
    normal = torch.distributions.Normal(0.0, 1.0)
    truth = float(normal.cdf(torch.tensor(-shift / 2**0.5)))
    found = torch.tensor(
        [copied_share(torch.randn(n, generator=draw) + shift, torch.randn(m, generator=draw)) for _ in range(1000)]
    )
    share, stderr = found.T
    assert abs(float(share.mean()) - truth) < 4 * float(share.std()) / 1000**0.5
    assert float(stderr.mean()) == pytest.approx(float(share.std()), rel=0.08)
    covered = float(((share - truth).abs() < 2 * stderr).double().mean())
    assert 0.92 < covered < 0.98
