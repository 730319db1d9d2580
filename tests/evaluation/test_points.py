"""Figures of points: those of the exact denoiser are those of the law, and a wrong one is found out."""

import pickle

import pytest
import torch
from PIL import Image

from difflab.distributions import Mixture
from difflab.errors import ConfigError
from difflab.evaluation import Drawing, PointProtocol
from difflab.evaluation.densities import of_model
from difflab.likelihood import ProbabilityFlow
from difflab.models import Oracle
from difflab.prediction import Denoiser, Eps
from difflab.schedules import Marginal
from tests.conftest import Formula, option

pytestmark = pytest.mark.slow  # left to make test, so that make check stays quick

CPU = torch.device("cpu")
MEANS = [[-2.0, -1.0], [2.0, 1.0]]
LAW = ("data.weights=[0.2,0.8]", f"data.means={MEANS}", "data.covariances=[0.3,[[0.5,0.2],[0.2,0.4]]]")
SMALL = ("data.size=1200", "data.val_size=100", "data.test_size=1200")
FEW = ("metrics.samples=1000", "metrics.permutations=99", "metrics.directions=10", "metrics.pictures=300")


@pytest.fixture(scope="module")
def data():
    data = option("data", "gaussian_mixture", *LAW, *SMALL)
    data.setup()
    return data


def denoiser(law):
    return Denoiser(Oracle(law, Eps()), option("schedule", "linear"), Eps())


@pytest.fixture(scope="module")
def drawing():
    return Drawing(option("sampler", "dpm_solver", "sampler.steps=20", "sampler.clip=false"), 0, 1000)


def evaluated(denoise, data, drawing, *overrides):
    protocol = option("metrics", "points", *FEW, *overrides)
    assert protocol.prepare(None, data, None, CPU) is None
    return protocol.evaluate(denoise, data, None, drawing, None)


def figures(*arguments):
    return {name.removeprefix("test/"): value for name, value in evaluated(*arguments).figures.items()}


def at_0(n):
    ones = torch.ones(n, dtype=torch.float64)
    return Marginal(ones, 0 * ones, ones * torch.inf)


def test_the_exact_denoiser_passes(data, drawing):
    """Its own density, through the flow, is that of the law at the same points; its samples are of the law."""
    found = figures(denoiser(data.distribution), data, drawing, "metrics.nll=300")
    assert found["energy_p_value"] > 0.02 and found["sliced_wasserstein_p_value"] > 0.02
    assert found["energy_distance"] < 4 * found["energy_distance_floor"]
    assert found["nll"] == pytest.approx(found["nll_floor"], abs=5e-3)
    exact = -data.distribution.log_density(data.test.values[:300], at_0(300))
    assert found["nll_floor"] == pytest.approx(float(exact.mean()), rel=1e-9)
    assert found["nll_stderr"] == pytest.approx(float(exact.std() / 300**0.5), rel=0.02)
    assert abs(found["nll_of_samples"] - found["nll_of_samples_floor"]) < 5 * found["nll_of_samples_stderr"] < 0.3
    assert abs(found["mode_weight_0"] - found["mode_weight_0_real"]) < 5 * found["mode_weight_0_stderr"] < 0.1
    assert found["mode_weight_0"] + found["mode_weight_1"] == pytest.approx(1)
    assert (found["samples"], found["nll_points"], found["network_calls"]) == (1000, 300, 20)


def test_a_wrong_model_is_found_out(data, drawing):
    """A mixture with other weights: both tests say so, and its density is its own, not that of the law."""
    wrong = Mixture([0.5, 0.5], MEANS, [0.3, 0.3])
    found = figures(denoiser(wrong), data, drawing, "metrics.nll=300")
    assert found["energy_p_value"] == found["sliced_wasserstein_p_value"] == 1 / 100
    assert found["energy_distance"] > 5 * found["energy_distance_floor"]
    assert found["sliced_wasserstein"] > 3 * found["sliced_wasserstein_floor"]
    assert found["mode_weight_0"] - found["mode_weight_0_real"] > 0.2
    own = -wrong.log_density(data.test.values[:300], at_0(300)).mean()
    assert found["nll"] == pytest.approx(float(own), abs=0.02)
    assert found["nll"] - found["nll_floor"] > 0.2


def test_a_law_without_density_has_the_figures_that_need_none(drawing):
    data = option("data", "swiss_roll", *SMALL)
    data.setup()
    grey = Denoiser(Formula(lambda x, t: 0.5 * x), option("schedule", "linear"), Eps())
    found = evaluated(grey, data, drawing, "metrics.nll=null")
    names = {name.removeprefix("test/") for name in found.figures}
    assert not [name for name in names if "nll" in name or "mode" in name]
    assert {"energy_distance", "sliced_wasserstein_floor", "seconds/evaluate"} <= names


def test_densities_do_not_depend_on_how_points_are_shared_out(data, monkeypatch):
    flow, denoise = ProbabilityFlow(1e-5, 1e-5, None), denoiser(data.distribution)
    whole = of_model(flow, denoise, data, 24)["nll"]
    monkeypatch.setattr("difflab.evaluation.densities.BATCH", 7)
    assert of_model(flow, denoise, data, 24)["nll"] == pytest.approx(whole, abs=1e-3)


def test_the_picture_can_be_sent_and_is_drawn_later(data, drawing, tmp_path):
    found = evaluated(denoiser(data.distribution), data, drawing, "metrics.nll=null", "metrics.samples=50")
    whole = pickle.dumps(found.pictures)
    assert len(whole) < 60_000  # 300 points and 300 of the test part, nine times 500 of the strip: not all there are
    for stem, draw in pickle.loads(whole).items():
        draw(tmp_path / "new" / f"{stem}.png")
    assert Image.open(tmp_path / "new" / "denoising.png").size[0] > 500
    assert Image.open(tmp_path / "new" / "samples.png").size[0] > 500
    assert not evaluated(
        denoiser(data.distribution), data, drawing, "metrics.nll=null", "metrics.samples=50", "metrics.pictures=0"
    ).pictures


def test_each_kind_of_data_has_its_own_metrics_and_none_serves_both(data, drawing, tmp_path):
    images, denoise = option("data", "digits"), denoiser(data.distribution)
    images.setup()
    with pytest.raises(ConfigError, match=r"^metrics: figures of points; allowed for data of Digits are default, full"):
        option("metrics", "points").prepare(None, images, tmp_path, CPU)
    for name in ("default", "full"):
        with pytest.raises(ConfigError, match=r"^metrics: .*; allowed for data of GaussianMixture are points, none$"):
            option("metrics", name).prepare(None, data, tmp_path, CPU)
    none = option("metrics", "none")
    assert none.prepare(None, data, tmp_path, CPU) is None
    found = none.evaluate(denoise, data, None, drawing, None)
    assert (set(found.figures), found.pictures) == ({"seconds/evaluate"}, {})
    found = option("metrics", "none", "metrics.pictures=5").evaluate(denoise, data, None, drawing, None)
    found.pictures["samples"](tmp_path / "points.png")
    assert Image.open(tmp_path / "points.png").size[0] > 500


def test_what_cannot_be_is_refused(data, drawing):
    broken = Denoiser(Formula(lambda x, t: x * torch.nan), option("schedule", "linear"), Eps())
    with pytest.raises(ConfigError, match=r"^samples: point 0 is not finite; try another sampler"):
        evaluated(broken, data, drawing)
    with pytest.raises(ConfigError, match=r"^metrics\.samples: null; allowed are whole numbers from 1"):
        PointProtocol(None, 10, 99, None, 1e-4, 1e-4, 10, None, 0.1)
