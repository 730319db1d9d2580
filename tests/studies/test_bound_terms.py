"""The terms are those whose sum likelihood=exact reports, for each variance, from each run that has it."""

import csv

import pytest
import torch
from PIL import Image

from difflab.errors import ConfigError
from difflab.runs.load import load_run, option
from difflab.studies.bound_terms import BoundTerms
from tests.studies.trained import trained

pytestmark = pytest.mark.slow  # two runs
PARTS = ("prior", "steps", "decoder", "total")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bounds")
    return [trained(folder / loss, f"loss={loss}", "schedule.T=30", "sampler.steps=5") for loss in ("simple", "hybrid")]


def exact(run, images):
    """What likelihood=exact says of the same images."""
    node = option("likelihood", "exact", run.config)
    again = load_run(run.folder.path, likelihood=node)
    parts = again.parts
    with torch.inference_mode():
        return parts.likelihood.figures(parts.denoiser, parts.data, images, run.config["generation"]["seed"]).figures


def test_a_run_with_a_fixed_variance_is_asked_for_both(runs, tmp_path):
    study = BoundTerms(images=5, batch=64)
    study.check(runs[0].parts, runs[0].config)
    found, known = study(runs[:1], tmp_path), exact(runs[0], 5)
    assert {key for key in found if not key.endswith("_stderr")} == {
        f"bound_terms/{variance}_{part}" for variance in ("forward", "posterior") for part in PARTS
    }
    for variance in ("forward", "posterior"):
        assert found[f"bound_terms/{variance}_total"] == pytest.approx(
            known[f"bits_per_dim_{variance}_clipped"], abs=1e-9
        )
    assert found["bound_terms/posterior_decoder"] == pytest.approx(known["bits_per_dim_decoder"], abs=1e-9)
    assert found["bound_terms/posterior_steps"] == pytest.approx(known["bits_per_dim_diffusion"], abs=1e-9)
    assert found["bound_terms/posterior_prior"] == pytest.approx(known["bits_per_dim_prior"], abs=1e-9)
    assert found["bound_terms/posterior_total_stderr"] == pytest.approx(known["bits_per_dim_stderr_images"], rel=1e-6)


def test_of_a_sweep_each_variance_comes_from_the_run_that_trained_it(runs, tmp_path):
    found = BoundTerms(images=3, batch=64)(runs, tmp_path)
    names = {key.split("/")[1].split("_")[0] for key in found}
    assert names == {"forward", "posterior", "learned"}
    known = exact(runs[1], 3)
    assert found["bound_terms/learned_total"] == pytest.approx(known["bits_per_dim_learned_clipped"], abs=1e-9)
    with (tmp_path / "bound_terms.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == list(range(31))
    assert sum(float(row["learned"]) for row in rows) == pytest.approx(found["bound_terms/learned_total"], abs=1e-4)
    with Image.open(tmp_path / "bound_terms.png") as image:
        assert image.width > 1000


def test_a_run_with_a_learned_variance_alone_is_asked_for_all_three(runs, tmp_path):
    found = BoundTerms(images=2, batch=64)(runs[1:], tmp_path)
    assert len(found) == 3 * 2 * len(PARTS)


def test_several_runs_with_a_variance_are_told_apart_by_their_number(runs, tmp_path):
    found = BoundTerms(images=2, batch=64)([runs[0], runs[0]], tmp_path)
    assert found["bound_terms/forward_0_total"] == found["bound_terms/forward_1_total"]


def test_what_cannot_be_asked_is_refused(runs):
    with pytest.raises(ConfigError, match="images: 361; allowed are 2 to 360"):
        BoundTerms(images=361, batch=64).check(runs[0].parts, runs[0].config)
    with pytest.raises(ConfigError, match="images: 1"):
        BoundTerms(images=1, batch=64)
