"""The studies of points in the plane, on denoisers that are known, and what they refuse."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image
from torch import nn

from difflab.distributions import Mixture
from difflab.errors import ConfigError
from difflab.models import Oracle
from difflab.prediction import Denoiser, Eps
from difflab.runs.assemble import assemble
from difflab.runs.folder import RunFolder
from difflab.runs.load import Run
from difflab.studies import ScoreFields, SlowMixing, SwissRoll
from tests.conftest import composed

pytestmark = pytest.mark.slow  # left to make test, so that make check stays quick

MIXTURE = Mixture([0.2, 0.8], [[-5, -5], [5, 5]], [1.0, 1.0])
SMALL = ("data.size=2000", "data.val_size=512", "data.test_size=1000", "model.width=16", "model.blocks=1")


class Silent(nn.Module):
    """A network that predicts no noise, so that its score is 0."""

    def c_noise(self, schedule, t):
        return t

    def forward(self, x, t):
        return torch.zeros_like(x)


def run(folder: Path, *overrides: str, law: Mixture | None = None, network: nn.Module | None = None) -> Run:
    """A run of an experiment that was never trained, or whose denoiser is the exact one of a law, or a network."""
    config = OmegaConf.to_container(composed("name=test", *SMALL, *overrides), resolve=True)
    parts = assemble(config)
    if law is not None:
        network = Oracle(law, Eps())
    if network is not None:
        parts = replace(parts, denoiser=Denoiser(network, parts.denoiser.schedule, Eps()))
    return Run(RunFolder(folder), config, parts, 0)


def pictures(folder: Path) -> list[str]:
    """Those in a folder; all of them can be opened."""
    found = sorted(folder.glob("*.png"))
    assert all(Image.open(path).width > 300 for path in found)
    return [path.name for path in found]


class TestSwissRoll:
    OVERRIDES = ("experiment=swiss_roll", "data=gaussian_mixture", "schedule.T=50")

    def asked(self, folder, law):
        study = SwissRoll(times=[0.5], samples=300, permutations=99, floors=3)
        one = run(folder, *self.OVERRIDES, law=law)
        study.check(one.parts, one.config)
        return study([one], folder)

    @pytest.mark.slow
    @pytest.mark.parametrize("right", [True, False])
    def test_the_p_value_tells_the_law_from_another(self, tmp_path, right):
        law = MIXTURE if right else Mixture([0.35, 0.65], [[-5, -5], [5, 5]], [1.0, 1.0])
        found = self.asked(tmp_path, law)
        assert (found["swiss_roll/energy_p_value"] > 0.05) == right
        assert (found["swiss_roll/energy_distance"] < 3 * found["swiss_roll/energy_distance_floor"]) == right
        assert pictures(tmp_path) == ["samples.png", "swiss_roll.png", "trajectories.png"]
        table = dict(csv.reader((tmp_path / "swiss_roll.csv").open()))
        assert float(table["swiss_roll/energy_p_value"]) == found["swiss_roll/energy_p_value"]

    def test_images_and_more_samples_than_there_are_points_are_refused(self, tmp_path):
        study = SwissRoll(times=[0.5], samples=1001, permutations=99, floors=3)
        with pytest.raises(ConfigError, match=r"study.samples: 1001; allowed are 2 to data.test_size = 1000"):
            one = run(tmp_path, *self.OVERRIDES)
            study.check(one.parts, one.config)
        config = OmegaConf.to_container(composed("name=test", "model=mlp"), resolve=True)
        with pytest.raises(ConfigError, match="swiss_roll draws points of the plane"):
            study.check(assemble(config), config)
        with pytest.raises(ConfigError, match=r"study.times"):
            SwissRoll(times=[0.5, 0.2], samples=10, permutations=9, floors=3)


class TestSlowMixing:
    def asked(self, folder, samples, *overrides):
        study = SlowMixing(samples=samples, step_size=0.1, seed=0)
        one = run(folder, "experiment=slow_mixing", *overrides, law=MIXTURE)
        study.check(one.parts, one.config)
        return study([one], folder)

    def test_annealing_finds_the_weights_and_langevin_alone_does_not(self, tmp_path):
        """Few samples and steps."""
        found = self.asked(tmp_path, 500, "sampler.inner=40", "sampler.step_size=0.3")
        light = {name: found[f"slow_mixing/{name}_weight"] for name in ("exact", "annealed_exact", "annealed_learned")}
        assert all(abs(share - 0.2) < 0.08 for share in light.values()), light
        assert found["slow_mixing/langevin_exact_weight"] > 0.4
        assert found["slow_mixing/exact_weight_stderr"] == pytest.approx(
            (light["exact"] * (1 - light["exact"]) / 500) ** 0.5
        )
        assert pictures(tmp_path) == ["slow_mixing.png"]
        rows = list(csv.DictReader((tmp_path / "slow_mixing.csv").open()))
        shares = {(row["samples"], row["mode"]): float(row["share"]) for row in rows}
        assert shares["annealed_exact", "0"] == pytest.approx(light["annealed_exact"])
        assert all(shares[name, "0"] + shares[name, "1"] == pytest.approx(1) for name, _ in shares)
        assert json.loads(json.dumps(found)) == found

    @pytest.mark.slow
    def test_the_weights_of_the_notes(self, tmp_path):
        """The ladder, steps and start of Song & Ermon's example: 2,000 samples, standard error 0.009."""
        found = self.asked(tmp_path, 2000, "generation.chunk=2000")
        assert abs(found["slow_mixing/annealed_exact_weight"] - 0.2) < 0.03
        assert abs(found["slow_mixing/annealed_learned_weight"] - 0.2) < 0.03
        assert found["slow_mixing/langevin_exact_weight"] - 0.2 > 0.15
        assert found["slow_mixing/exact_std"] == pytest.approx(1, abs=0.03)
        assert found["slow_mixing/langevin_exact_std"] == pytest.approx(1, abs=0.04)
        assert found["slow_mixing/annealed_exact_std"] == pytest.approx(2**0.5, abs=0.04)  # 1 and the last sigma, 1

    def test_other_laws_and_samplers_are_refused(self, tmp_path):
        study = SlowMixing(samples=10, step_size=0.1, seed=0)
        with pytest.raises(ConfigError, match="needs the exact score of a mixture"):
            one = run(tmp_path, "experiment=slow_mixing", "data=two_moons")
            study.check(one.parts, one.config)
        with pytest.raises(ConfigError, match=r"sampler: ddim; .*allowed is langevin"):
            one = run(tmp_path, "data=gaussian_mixture", "sampler=ddim")
            study.check(one.parts, one.config)
        with pytest.raises(ConfigError, match=r"study.step_size: 0"):
            SlowMixing(samples=10, step_size=0, seed=0)


class TestScoreFields:
    STUDY = ScoreFields(sigma=0.1, share=0.95, points=400, edges=[0, 1, 3, 9])

    def test_errors_are_those_of_the_networks(self, tmp_path):
        """None of the exact one; all of the score where the network says 0."""
        runs = [
            run(tmp_path, "experiment=score_fields", "times=one_level", network=Silent()),
            run(tmp_path, "experiment=score_fields", "times=uniform", law=MIXTURE),
        ]
        for one in runs:
            self.STUDY.check(one.parts, one.config)
        found = self.STUDY(runs, tmp_path)
        for region in ("inside", "outside"):
            assert found[f"score_fields/one_error_{region}"] == pytest.approx(1, abs=1e-6)
            assert found[f"score_fields/many_error_{region}"] < 1e-3
            assert found[f"score_fields/many_coarsest_error_{region}"] < 1e-3
        assert pictures(tmp_path) == ["score_fields.png"]
        rows = list(csv.DictReader((tmp_path / "score_fields.csv").open()))
        assert {row["where"] for row in rows} > {"inside", "outside"} and len(rows) == 3 * (2 + 3)

    @pytest.mark.slow
    def test_runs_that_differ_in_their_seed_are_one_group(self, tmp_path):
        runs = [
            run(tmp_path, "experiment=score_fields", "times=uniform", network=Silent()),
            run(tmp_path, "experiment=score_fields", "times=uniform", "seed=1", law=MIXTURE),
        ]
        found = self.STUDY(runs, tmp_path)
        assert found["score_fields/many_error_inside"] == pytest.approx(0.5, abs=1e-3)
        assert found["score_fields/many_error_inside_stderr"] == pytest.approx(0.5, abs=1e-3)  # of 0 and 1
        assert not any("/one" in key for key in found)

    def test_a_level_that_the_schedule_does_not_have_is_refused(self, tmp_path):
        one = run(tmp_path, "experiment=score_fields", "times=uniform")
        with pytest.raises(ConfigError, match=r"study.sigma: 0.01; the nearest that this schedule has is 0.1"):
            ScoreFields(sigma=0.01, share=0.95, points=400, edges=[0, 1]).check(one.parts, one.config)
        with pytest.raises(ConfigError, match=r"study.edges"):
            ScoreFields(sigma=0.1, share=0.95, points=400, edges=[1, 2])
