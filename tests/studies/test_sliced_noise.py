"""Without noise sliced score matching goes on falling and jumps; with noise it stays above its bound and settles."""

import csv
import json
from statistics import stdev

import pytest
import torch
from PIL import Image

from difflab.errors import ConfigError
from difflab.plots.losses import Losses
from difflab.studies.sliced_noise import SlicedNoise, bound_of, noise_of, read
from tests.studies.trained import script


def test_no_score_of_noisy_data_does_better_than_the_bound():
    """On data without any spread the best score, -(x - x0)/sigma^2, reaches it."""
    sigma = 0.3
    x = sigma * torch.randn(200_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    loss = -1 / sigma**2 + 0.5 * (x / sigma**2).square().mean()
    assert bound_of(sigma) == pytest.approx(float(loss), rel=0.01)
    assert bound_of(0.0) is None


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
    with pytest.raises(ConfigError, match="sliced_noise; allowed are runs with loss=sliced"):
        noise_of({"loss": {"power": 1.0}})
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
