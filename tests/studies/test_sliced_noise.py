"""Without noise sliced score matching goes on falling and jumps; with noise it stays above its bound and settles."""

import csv
import json
from statistics import stdev

import pytest
import torch
from PIL import Image

from difflab.errors import ConfigError
from difflab.losses import Noised, Rademacher, Sliced
from difflab.plots.losses import Losses
from difflab.prediction import Denoiser, DirectScore
from difflab.process import diffuse
from difflab.schedules import Geometric
from difflab.studies.sliced_noise import SlicedNoise, bound_of, read, scale_of
from difflab.times import OneLevel
from tests.conftest import Formula
from tests.studies.trained import script

pytestmark = pytest.mark.slow  # left to make test, so that make check stays quick


def settings(times, power=2.0, noise=0.3, **loss):
    """The plain config of a run, as far as the study looks at it."""
    return {
        "loss": {"_target_": "difflab.losses.Sliced", "power": power, "noise": noise} | loss,
        "times": {"_target_": f"difflab.times.{times}"} | ({"sigma": 3.0} if times == "OneLevel" else {}),
        "targets": [],
    }


def ladder():
    return Geometric(0.5, 8.0, 5)  # 0.5, 1, 2, 4, 8


@pytest.mark.parametrize(("power", "schedule"), [(2.0, Geometric(0.5, 8.0, None)), (1.0, ladder()), (0.0, ladder())])
def test_no_score_of_noisy_data_does_better_than_the_bound(power, schedule):
    """On data without any spread the best score reaches it, by the loss itself at the times of the training."""
    config, draws, n = settings("OneLevel", power), torch.Generator().manual_seed(0), 200_000
    x0, eps = torch.zeros(n, 1, dtype=torch.float64), torch.randn(n, 1, dtype=torch.float64, generator=draws)
    t = OneLevel(3.0, schedule)(torch.rand(n, dtype=torch.float64, generator=draws), schedule).t
    noised = Noised(x0, eps, t, diffuse(schedule, x0, eps, t), lambda: torch.randn(x0.shape, generator=draws))
    best = Denoiser(Formula(lambda x, t: -x / 0.3**2), schedule, DirectScore())
    loss = Sliced(power, 0.3, 1, Rademacher())(best, noised, schedule).detach()
    bound = bound_of(0.3, scale_of(config, schedule))
    assert bound == pytest.approx(float(loss.mean()), rel=0.02)
    assert bound_of(0.0, scale_of(config, schedule)) is None


def test_there_is_no_line_where_the_level_of_the_loss_is_not_one():
    assert scale_of(settings("Uniform", power=2.0), ladder()) is None and bound_of(0.3, None) is None
    assert scale_of(settings("Uniform", power=0.0), ladder()) == 1


def test_figures_are_of_the_last_share():
    values = [0.0] * 80 + [-1.0, -3.0] * 5 + [-4.0, -6.0] * 5
    found = SlicedNoise(0.1).figures(Losses("", range(100), values, None))
    assert found["loss"] == -5 and found["spread"] == pytest.approx(stdev([-4.0, -6.0] * 5))
    assert found["relative_spread"] == pytest.approx(found["spread"] / 5)
    assert found["relative_fall"] == pytest.approx(3 / 5)
    assert (found["lowest"], found["highest"]) == (-6, -4)


def test_losses_are_read_from_the_rows_that_have_one(tmp_path):
    (tmp_path / "metrics.csv").write_text("step,train/loss,val/loss\n1,-0.5,\n2,-1.5,\n2,,3.0\n")
    assert read(tmp_path / "metrics.csv") == ([1, 2], [-0.5, -1.5])


def test_runs_of_other_losses_are_refused():
    study, parts = SlicedNoise(0.1), None
    study.check(parts, settings("Uniform"))
    study.check(parts, settings("Uniform", noise=0.0, _target_="difflab.losses.SlicedVR"))
    for other in ({"_target_": "difflab.losses.Implicit"}, {"noise": None}, {"_target_": "difflab.losses.Score"}):
        with pytest.raises(ConfigError, match=r"study: sliced_noise .* allowed are loss=sliced and") as refused:
            study.check(parts, settings("Uniform", **other))
        assert "\n" not in str(refused.value)
    with pytest.raises(ConfigError, match="last: 0"):
        SlicedNoise(0.6)


@pytest.mark.slow
def test_the_claim_of_the_note_on_a_short_training(tmp_path):
    code, text = script("train", ["experiment=sliced_noise", "trainer.max_steps=700", "study.last=0.2"], tmp_path)
    assert code == 0, text
    (sweep,) = (tmp_path / "outputs" / "sweeps").glob("*/*")
    found, folder = json.loads((sweep / "metrics.json").read_text()), sweep / "study" / "sliced_noise"
    without, noisy = (
        {k.partition(f"{n}_")[2]: v for k, v in found.items() if f"noise_{n}_" in k} for n in ("0", "0.1")
    )
    assert without["spread"] > 2 * noisy["spread"]
    assert without["relative_spread"] > noisy["relative_spread"]
    assert noisy["loss"] > noisy["bound"] and "bound" not in without
    assert without["loss"] < noisy["loss"]
    with (folder / "losses.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 2 * 700
    with Image.open(folder / "losses.png") as image:
        assert image.width > 900
