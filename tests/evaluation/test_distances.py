"""Every distance of the protocol against its own definition, and refused where there are too few images."""

import pytest
import torch

from difflab.errors import ConfigError
from difflab.evaluation import (
    Frechet,
    Infinity,
    Kernel,
    MaximumMeanDiscrepancy,
    Memorisation,
    PrecisionRecall,
    Score,
)
from difflab.evaluation.distances import Counts, Names, Sets, described, neighbours
from difflab.features import Extracted
from difflab.metrics import frechet_distance, kernel_distance

D = 6


def drawn(n, seed, shift=0.0, logits=False):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(n, D, generator=generator) + shift
    return Extracted(features, torch.randn(n, 10, generator=generator) if logits else None)


def sets(samples, draws=1, force=False):
    return Sets(samples, drawn(400, 1), drawn(120, 2), draws, force)


class Space:
    """An extractor as far as names are concerned."""

    def __init__(self, name="mine", published=False, cmmd=False):
        self.name, self.published, self.cmmd = name, published, cmmd

    def figures(self):
        return {"accuracy": 0.5}

    def describe(self, extracted):
        return {"mean": float(extracted.features.mean())}


NAMES = Names.of(Space())


def test_only_the_published_inception_bears_the_names_of_the_literature():
    assert Names.of(Space("inception", published=True))[:3] == ("fid", "kid", "is")
    for other in (Space("inception"), Space("clip", cmmd=True)):
        assert not {"fid", "kid", "is"} & set(Names.of(other))
    assert Names.of(Space("clip", cmmd=True)).mmd == "cmmd"
    assert Names.of(Space("clip")).mmd == "mmd_clip"


def test_the_frechet_distance_is_the_mean_over_draws_with_its_error():
    samples = drawn(300, 3, 0.4)
    found = Frechet(floor=True).figures(sets(samples, 3), NAMES)
    real = drawn(400, 1).features.double()
    each = []
    for part in samples.features.double().chunk(3):
        each.append(frechet_distance(part.mean(0), part.T.cov(), real.mean(0), real.T.cov()))
    assert found["fd_mine"] == pytest.approx(sum(each) / 3, rel=1e-9)
    assert found["fd_mine_stderr"] == pytest.approx(float(torch.tensor(each).std()) / 3**0.5, rel=1e-4)
    assert (found["fd_mine_samples"], found["fd_mine_draws"], found["fd_mine_floor_samples"]) == (100, 3, 100)
    assert found["fd_mine"] > 3 * found["fd_mine_floor"]


def test_where_the_test_part_is_small_as_few_samples_stand_beside_the_floor():
    samples, test = drawn(240, 3), drawn(60, 2)
    found = Frechet(floor=True).figures(Sets(samples, drawn(400, 1), test, 2, False), NAMES)
    first = Extracted(torch.cat([part[:60] for part in samples.features.chunk(2)]), None)
    few = Frechet(floor=True).figures(Sets(first, drawn(400, 1), test, 2, False), NAMES)
    assert (found["fd_mine_floor_samples"], found["fd_mine_samples"]) == (60, 120)
    assert found["fd_mine_at_floor"] == pytest.approx(few["fd_mine"])
    assert found["fd_mine_at_floor"] > found["fd_mine"]
    assert "fd_mine_at_floor" not in few


def test_samples_that_are_the_test_part_lie_at_the_floor():
    found = Frechet(floor=True).figures(sets(drawn(120, 2)), NAMES)
    assert found["fd_mine"] == pytest.approx(found["fd_mine_floor"], rel=1e-9)
    assert "fd_mine_stderr" not in found  # one draw knows no error
    assert "fd_mine_floor" not in Frechet(floor=False).figures(sets(drawn(120, 2)), NAMES)


def test_the_extrapolated_distance_sheds_the_bias():
    found = Infinity(seed=0).figures(sets(drawn(300, 5)), NAMES)
    plain = Frechet(floor=False).figures(sets(drawn(300, 5)), NAMES)
    assert found["fd_mine_infinity"] < plain["fd_mine"]
    assert abs(found["fd_mine_infinity"]) < 4 * found["fd_mine_infinity_stderr"] + 0.1
    assert found["fd_mine_infinity_samples"] == 300


def test_kernel_distance_and_score_are_those_of_the_metrics_on_all_samples():
    samples = drawn(300, 3, 0.4, logits=True)
    found = Kernel(subsets=5, size=50, seed=2).figures(sets(samples, 3), NAMES)
    mean, spread = kernel_distance(samples.features, drawn(400, 1).features, 5, 50, 2)
    assert (found["kd_mine"], found["kd_mine_spread"]) == (mean, spread)
    assert (found["kd_mine_subset_size"], found["kd_mine_samples"]) == (50, 300)
    assert Score(splits=3, seed=0).figures(sets(samples), NAMES)["is_mine"] > 1
    assert Score(splits=3, seed=0).figures(sets(drawn(300, 3)), NAMES) == {}  # no classes, no score


def test_precision_and_recall_compare_equally_many():
    found = PrecisionRecall(k=3, most=1000).figures(sets(drawn(300, 3)), NAMES)
    far = PrecisionRecall(k=3, most=1000).figures(sets(drawn(300, 3, 30.0)), NAMES)
    assert found["precision_mine_samples"] == 300
    assert found["precision_mine"] > 0.6 and found["recall_mine"] > 0.6
    assert far["precision_mine"] == far["recall_mine"] == 0
    assert PrecisionRecall(k=3, most=50).figures(sets(drawn(300, 3)), NAMES)["precision_mine_samples"] == 50


def test_the_kernel_on_unit_norms_has_the_name_of_cmmd_on_clip_alone():
    one = MaximumMeanDiscrepancy(bandwidth=10.0)
    assert set(one.figures(sets(drawn(50, 3)), NAMES)) == {"mmd_mine", "mmd_mine_samples"}
    assert "cmmd" in one.figures(sets(drawn(50, 3)), Names.of(Space("clip", cmmd=True)))


def test_copies_of_training_images_are_found():
    copies = Extracted(drawn(400, 1).features[:100] + 1e-4, None)
    found = Memorisation().figures(sets(copies), NAMES)
    assert found["nearest_mine_closer_share"] == pytest.approx(1, abs=1e-6)
    assert found["nearest_mine_distance"] < 1e-2 < found["nearest_mine_distance_real"]
    assert neighbours(sets(copies), 20).tolist() == list(range(20))
    fresh = Memorisation().figures(sets(drawn(300, 9)), NAMES)
    share, stderr = (fresh[f"nearest_mine_closer_share{end}"] for end in ("", "_stderr"))
    assert abs(share - 0.5) < 4 * stderr < 0.3


def test_an_extractor_describes_itself_the_samples_and_real_images():
    found = described(Space(), sets(drawn(240, 3, 1.0), 2))
    assert found["mine_accuracy"] == 0.5
    assert found["mine_mean"] == pytest.approx(1, abs=0.1)
    assert found["mine_mean_real"] == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize(
    ("distance", "counts", "words"),
    [
        (Frechet(floor=True), Counts(6, 1, 400, 120, 6), r"metrics\.samples: 6 images, .*metrics\.force=true"),
        (
            Frechet(floor=True),
            Counts(60, 1, 400, 6, 6),
            r"metrics\.distances\.frechet\.floor: true; .*there are 6; allowed are false",
        ),
        (Infinity(seed=0), Counts(39, 1, 400, 120, 6), r"metrics\.samples: 39 .*needs 40"),
        (Infinity(seed=0), Counts(60, 1, 400, 120, 64), r"metrics\.samples: 60 .*needs 130"),
        (Kernel(10, 61, 0), Counts(30, 2, 400, 120, 6), r"metrics\.distances\.kernel\.size: 61; allowed are 2 to 60"),
        (Score(7, 0), Counts(6, 1, 400, 120, 6), r"metrics\.distances\.inception_score\.splits: 7; allowed are 1 to 6"),
        (PrecisionRecall(5, 99), Counts(5, 1, 400, 120, 6), r"metrics\.distances\.precision_recall\.k: 5; .* 1 to 4"),
    ],
)
def test_too_few_images_are_refused_by_the_field(distance, counts, words):
    with pytest.raises(ConfigError, match=words):
        distance.check(counts, force=False)


def test_what_is_forced_runs():
    few = Extracted(drawn(5, 3).features, None)
    Frechet(floor=True).check(Counts(5, 1, 400, 120, D), force=True)
    assert Frechet(floor=True).figures(sets(few, force=True), NAMES)["fd_mine"] > 0
    with pytest.raises(ConfigError, match=r"metrics\.samples: 5 "):
        Frechet(floor=True).figures(sets(few), NAMES)
