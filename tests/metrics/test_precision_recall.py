import pytest
import torch
from torch_fidelity.metric_prc import prc_features_to_metric

from difflab.errors import ConfigError
from difflab.metrics import precision_recall


def features(n, d, seed, spread=1.0):
    return spread * torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr("difflab.metrics.pairs.ROWS", 64)
    monkeypatch.setattr("difflab.metrics.pairs.COLUMNS", 50)


@pytest.mark.parametrize("k", [1, 3, 10])
@pytest.mark.parametrize("spread", [0.7, 1.0, 1.3])
def test_it_equals_torch_fidelity(k, spread, small_blocks):
    samples, reference = features(250, 8, 0, spread), features(301, 8, 1)
    theirs = prc_features_to_metric(
        samples, reference, prc_neighborhood=k, prc_batch_size=100, save_cpu_ram=False, verbose=False
    )
    found = precision_recall(samples, reference, k)
    assert found == pytest.approx((theirs["precision"], theirs["recall"]), rel=1e-6)
    assert min(found) < 1


def test_it_is_a_count_of_balls():
    """A sample counts when some image of the reference is nearer to it than to its own k-th neighbour."""
    samples, reference = features(30, 3, 0).double(), features(40, 3, 1).double()

    def share(of, manifold, k):
        def inside(x):
            for i, centre in enumerate(manifold):
                others = sorted(float((centre - o).norm()) for j, o in enumerate(manifold) if j != i)
                if float((x - centre).norm()) <= others[k - 1]:
                    return True
            return False

        return sum(map(inside, of)) / len(of)

    expected = share(samples, reference, 2), share(reference, samples, 2)
    assert precision_recall(samples, reference, 2) == pytest.approx(expected)


def test_samples_of_a_part_are_precise_and_recall_that_part():
    reference = torch.cat([features(200, 4, 0), 100 + features(200, 4, 1)])
    precision, recall = precision_recall(features(200, 4, 2), reference, 3)
    assert precision > 0.9
    assert 0.4 < recall <= 0.5


def test_copies_count_even_where_balls_have_no_radius():
    reference = torch.full((5, 300), 0.3) + 100 * torch.arange(2).repeat_interleave(torch.tensor([4, 1]))[:, None]
    assert precision_recall(reference[:4].clone(), reference, 3) == (1.0, 0.8)


@pytest.mark.parametrize("k", [0, 10, 50])
def test_a_neighbour_that_a_set_has_not_is_refused(k):
    for n, m in ((10, 30), (30, 10)):
        with pytest.raises(ConfigError, match=rf"precision_recall\.k: {k}, .*allowed are 1 to 9"):
            precision_recall(features(n, 2, 0), features(m, 2, 1), k)
