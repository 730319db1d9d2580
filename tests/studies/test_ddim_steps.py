"""The paper's sigma-hat is the forward variance; distances are those of the protocol; differences are paired."""

import csv

import pytest
import torch
from scipy import stats

from difflab.errors import ConfigError
from difflab.evaluation import FeatureSpace, as_pictures
from difflab.metrics import frechet_distance, moments
from difflab.process import Forward, transition
from difflab.randomness import SampleNoise
from difflab.runs.paths import cache_folder
from difflab.studies.ddim_steps import DDIMSteps, Row, figures, ordering
from tests.conftest import option
from tests.studies.trained import trained

pytestmark = pytest.mark.slow  # left to make test, so that make check stays quick

SETTINGS = {"steps": [3, 5], "etas": [0.0, 1.0], "samples": 20, "draws": 2, "full_draws": 1}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("ddim"), "schedule.T=30", "sampler.steps=5")


def test_the_forward_variance_of_a_sub_grid_is_sigma_hat():
    schedule = option("schedule", "linear")
    abar = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), 0)
    s, t = torch.tensor([1, 100, 500]), torch.tensor([100, 500, 1000])
    variance = Forward()(transition(schedule, s.double() / 1000, t.double() / 1000), None)
    torch.testing.assert_close(variance, 1 - abar[t - 1] / abar[s - 1], rtol=1e-9, atol=0)


def test_differences_are_paired_over_the_draws():
    rows = [Row("eta0", 10, [5.0, 7.0, 6.0]), Row("eta1", 10, [6.0, 8.1, 6.9]), Row("forward", 10, [5.5, 9.0, 8.0])]
    found = figures(rows)
    assert found["ddim_steps/eta0_10"] == pytest.approx(6) and found["ddim_steps/eta0_10_stderr"] == pytest.approx(
        3**-0.5
    )
    assert found["ddim_steps/eta1_above_eta0_10"] == pytest.approx(1.0)
    assert found["ddim_steps/eta1_above_eta0_10_stderr"] == pytest.approx(0.1 / 3**0.5)  # of 1.0, 1.1, 0.9
    gaps = ordering(rows)[10]
    alone = stats.ttest_rel(rows[1].distances, rows[0].distances).pvalue
    assert gaps["eta0", "eta1"].p == pytest.approx(3 * alone) and 3 * alone < 0.05  # the least of three
    assert gaps["eta1", "forward"].p > 0.05


def test_a_single_draw_has_no_error():
    found = figures([Row("eta0", 10, [5.0]), Row("forward", 10, [7.0])])
    assert found == {"ddim_steps/eta0_10": 5.0, "ddim_steps/forward_10": 7.0, "ddim_steps/forward_above_eta0_10": 2.0}


@pytest.mark.slow
def test_the_study_on_a_run(run, tmp_path):
    study = DDIMSteps(**SETTINGS)
    study.check(run.parts, run.config)
    found = study([run], tmp_path)
    space = FeatureSpace(run.parts.extractor, run.parts.data, cache_folder(run.config["cache"]))
    space.prepare(run.parts.denoiser.device)
    reference = moments(space.train.features)
    assert found["ddim_steps/floor"] == pytest.approx(frechet_distance(*moments(space.test.features[:20]), *reference))
    pictures = as_pictures(run.sample(40, "ddim", steps=5), run.parts.data)
    halves = space.of(lambda where: pictures[where], 40, "samples").features.chunk(2)
    each = [frechet_distance(*moments(half), *reference) for half in halves]
    assert found["ddim_steps/eta0_5"] == pytest.approx(sum(each) / 2, rel=1e-4)
    assert {k for k in found if k.count("_") == 2 and k.endswith("_30")} == {
        f"ddim_steps/{name}_30" for name in ("eta0", "eta1", "forward")
    }
    with (tmp_path / "ddim_steps.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 3 * (2 + 2 + 1)
    with (tmp_path / "ordering.csv").open() as file:
        assert [row["difference"] != "" for row in csv.DictReader(file)] == [True] * 9  # three pairs at 3, 5, 30
    assert (tmp_path / "ddim_steps.png").stat().st_size > 10_000


@pytest.mark.slow
def test_the_forward_variant_is_the_papers_generation_with_sigma_hat(run):
    """x_s = sqrt(abar_s) x0_hat + sqrt(1 - abar_s - sigma(1)^2) eps_hat + sigma-hat z (Song et al., 2021, sec. 5)."""
    denoise, schedule = run.parts.denoiser, run.parts.denoiser.schedule
    found = run.sample(4, DDIMSteps(**SETTINGS).variants(run, 5)["forward"], seed=3)
    noise = SampleNoise(3, range(4), run.parts.data.shape)
    times = run.parts.sampler.grid(schedule, 5)
    abar = schedule.marginal(times).alpha.float() ** 2
    x = noise()
    for i in range(5):
        prediction = denoise(x, times[i].expand(4))
        x0 = prediction.x0.clamp(-1, 1)
        if i == 4:
            break
        a_t, a_s = abar[i], abar[i + 1]
        eps = (x - a_t.sqrt() * x0) / (1 - a_t).sqrt()
        of_eta_1 = (1 - a_s) / (1 - a_t) * (1 - a_t / a_s)
        x = a_s.sqrt() * x0 + (1 - a_s - of_eta_1).sqrt() * eps + (1 - a_t / a_s).sqrt() * noise()
    torch.testing.assert_close(found, x0, atol=1e-4, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"samples": 8}, "study.samples: 8; allowed are 9 to 360"),
        ({"samples": 361}, "study.samples: 361; allowed are 9 to 360"),
        ({"steps": [5, 31]}, "study.steps: 31; allowed are 2 to schedule.T = 30"),
    ],
)
def test_what_cannot_be_asked_of_a_run_is_refused_before(run, changed, message):
    with pytest.raises(ConfigError, match=message):
        DDIMSteps(**SETTINGS | changed).check(run.parts, run.config)


@pytest.mark.parametrize(
    ("field", "value"), [("etas", [1.0, 0.0]), ("etas", [0.0, 1.5]), ("steps", [1]), ("draws", 0), ("samples", 1)]
)
def test_numbers_that_cannot_be_are_refused(field, value):
    with pytest.raises(ConfigError, match=f"study.{field}"):
        DDIMSteps(**SETTINGS | {field: value})
