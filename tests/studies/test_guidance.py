"""Fidelity against diversity: the figures are those of the protocol's measures on the run's own samples."""

import csv

import pytest
import torch

from difflab.errors import ConfigError
from difflab.evaluation import FeatureSpace, as_pictures
from difflab.guidance import ClassifierFree
from difflab.metrics import frechet_distance, moments, precision_recall
from difflab.runs.paths import cache_folder
from difflab.studies.guidance import Guidance, Row, curves, figures
from tests.studies.trained import trained

pytestmark = pytest.mark.slow

SETTINGS = {"scales": [0, 1, 4.0], "sigma_min": 0.0, "sigma_max": 50.0, "rescale": 0.5}
SETTINGS |= {"samples": 20, "draws": 2, "k": 3}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("guidance")
    return trained(folder, "condition=classes", "schedule.T=30", "sampler.steps=4", "generation.chunk=40")


def test_figures_are_means_over_draws():
    rows = [
        Row(w, i, {"frechet": d, "precision": 0.5})
        for w, each in ((1.0, (5, 7)), (2.0, (4, 4)))
        for i, d in enumerate(each)
    ]
    found = figures(rows)
    assert found["guidance/frechet_1"] == 6 and found["guidance/frechet_1_stderr"] == pytest.approx(1)
    assert found["guidance/frechet_2_stderr"] == 0 and found["guidance/best_scale"] == 2
    assert figures(rows[::2]) == {
        **{"guidance/frechet_1": 5, "guidance/frechet_2": 4, "guidance/precision_1": 0.5, "guidance/precision_2": 0.5},
        "guidance/best_scale": 2,
    }
    (distance, shares) = curves(rows, {"frechet": "distance", "precision": "shares"}).items()
    assert distance[0] == "distance" and distance[1][0].values == (6, 4)
    assert shares[1][0].name == "precision"


def test_the_study_on_a_run(run, tmp_path):
    study = Guidance(**SETTINGS)
    study.check(run.parts, run.config)
    found = study([run], tmp_path)
    space = FeatureSpace(run.parts.extractor, run.parts.data, cache_folder(run.config["cache"]))
    space.prepare(run.parts.denoiser.device)
    reference = moments(space.train.features)
    asked = run.parts.asked(run.config["generation"]["seed"]).labels(range(40))
    for scale, guidance in ((1, None), (4, ClassifierFree(4.0, 0.0, 50.0, 0.5))):
        pictures = as_pictures(run.sample(40, guidance=guidance), run.parts.data)
        drawn = space.of(lambda where, p=pictures: p[where], 40, "samples")
        halves = drawn.features.chunk(2)
        distances = [frechet_distance(*moments(half), *reference) for half in halves]
        assert found[f"guidance/frechet_{scale}"] == pytest.approx(sum(distances) / 2, rel=1e-4)
        shares = torch.tensor([precision_recall(half, space.train.features[:20], 3) for half in halves]).mean(0)
        assert found[f"guidance/precision_{scale}"] == pytest.approx(float(shares[0]))
        assert found[f"guidance/recall_{scale}"] == pytest.approx(float(shares[1]))
        right = (drawn.logits.argmax(1) == asked).double().mean()
        assert found[f"guidance/asked_class_{scale}"] == pytest.approx(float(right))
    with (tmp_path / "guidance.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["scale"] for row in rows] == ["0", "0", "1", "1", "4", "4"]
    assert float(rows[3]["frechet"]) + float(rows[2]["frechet"]) == pytest.approx(
        2 * found["guidance/frechet_1"], rel=1e-4
    )
    for name in ("guidance.png", "guidance_samples.png"):
        assert (tmp_path / name).stat().st_size > 5_000


def test_what_cannot_be_is_refused(run):
    for change, message in (
        ({"scales": [2.0, 1.0]}, r"study\.scales: \[2\.0, 1\.0\]; allowed are one or more rising"),
        ({"scales": [-1.0]}, r"study\.scale: -1\.0"),
        ({"rescale": 2.0}, r"study\.rescale: 2\.0; allowed are numbers from 0 to 1"),
        ({"k": 20}, r"study\.k: 20; allowed are 1 to 19"),
        ({"draws": 0}, r"study\.draws: 0; allowed"),
    ):
        with pytest.raises(ConfigError, match=message):
            Guidance(**SETTINGS | change)
    with pytest.raises(ConfigError, match=r"study\.samples: 8; allowed are 9 to "):
        Guidance(**SETTINGS | {"samples": 8}).check(run.parts, run.config)
    conditioning = run.parts.denoiser.conditioning
    try:
        conditioning.drop = 0.0
        with pytest.raises(ConfigError, match=r"study: guidance; this network is not told a condition, or always"):
            Guidance(**SETTINGS).check(run.parts, run.config)
    finally:
        conditioning.drop = 0.1
