import json
import math
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from filelock import FileLock
from omegaconf import OmegaConf
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import norm

import difflab
from difflab.errors import ConfigError
from difflab.runs.assemble import data_of, sampler_of, schedule_of
from difflab.runs.auto import distance, filled
from tests.conftest import composed, options

pytestmark = pytest.mark.slow  # left to make test, so that make check stays quick

CHOICES = {"schedule": "geometric", "sampler": "langevin"}
AUTO = ("schedule=geometric", "sampler=langevin", "schedule.auto=true")


def config_of(*typed):
    return OmegaConf.to_container(composed(*typed, "name=test"), resolve=True)


@pytest.fixture(scope="module")
def digits():
    return data_of(config_of())


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def largest(digits):
    """All pairs of the digits at once, from their levels."""
    x = digits.train.values.double().flatten(1) / 8 - 1
    return float(torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist").max())


def run(digits, cache, *more, choices=CHOICES):
    typed = [*AUTO, *more]
    return filled(config_of(*typed), digits, cache, typed, choices)


def best_size(ratio, inner):
    """Technique 4 by the steps of the recursion."""

    def off(a):
        variance = ratio**2
        for _ in range(inner):
            variance = (1 - a) ** 2 * variance + 2 * a
        return abs(variance - 1)

    return minimize_scalar(off, bounds=(0, 1), method="bounded", options={"xatol": 1e-12}).x


def test_the_numbers_are_those_of_the_techniques(digits, cache, largest, capsys):
    result = run(digits, cache, "schedule.sigma_min=0.02")
    width = math.sqrt(2 * 64)
    most = brentq(lambda g: norm.cdf(width * (g - 1) + 3 * g) - norm.cdf(width * (g - 1) - 3 * g) - 0.5, 1, 9)
    levels = 1 + math.ceil(math.log(largest / 0.02) / math.log(most))
    a = best_size((largest / 0.02) ** (1 / (levels - 1)), 5)
    assert result["schedule"] == config_of(*AUTO)["schedule"] | {
        "sigma_min": 0.02,
        "sigma_max": pytest.approx(largest, rel=1e-6),
        "L": levels,
        "auto": False,
    }
    assert (result["sampler"]["inner"], result["sampler"]["step_size"]) == (5, pytest.approx(a, abs=1e-6))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" by ")[0] for line in lines] == [
        f"schedule.sigma_max: {largest:.5g}",
        f"schedule.L: {levels}",
        f"sampler.step_size: {a:.6g}",
    ]
    for number, line in zip((1, 2, 4), lines, strict=True):
        assert f"Technique {number}" in line
    assert "1309 training examples" in lines[0]
    assert "64 dimensions" in lines[1]
    schedule = schedule_of(result, digits.shape)
    assert (
        sampler_of(result, SimpleNamespace(schedule=schedule, network=None), digits).calls(schedule) == 5 * levels + 1
    )


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("schedule.sigma_max=2.0", {"sigma_max": 2.0}),
        ("schedule.sigma_max=50.0", {"sigma_max": 50.0}),  # its default, but somebody's choice
        ("schedule.L=10", {"L": 10}),
        ("sampler.step_size=0.1", {"step_size": 0.1}),
        ("sampler.step_size=0.062", {"step_size": 0.062}),
        ("sampler.inner=20", {"inner": 20}),
        ("ablation=technique_1_off", {"sigma_max": 2.0}),
        ("ablation=technique_2_off", {"L": 10}),
        ("ablation=technique_4_off", {"step_size": 0.1}),
    ],
)
def test_what_somebody_chose_stays_and_the_rest_follows(digits, cache, largest, typed, kept, capsys):
    result = run(digits, cache, typed)
    found = result["schedule"] | result["sampler"]
    assert {key: found[key] for key in kept} == kept
    if "sigma_max" not in kept:
        assert found["sigma_max"] == pytest.approx(largest, rel=1e-6)
    if "L" not in kept:
        assert (found["L"] - 1) * math.log(1.3608498) >= math.log(found["sigma_max"] / 0.01)
        assert (found["L"] - 2) * math.log(1.3608497) < math.log(found["sigma_max"] / 0.01)
    if "step_size" not in kept:
        ratio = (found["sigma_max"] / 0.01) ** (1 / (found["L"] - 1))
        assert found["step_size"] == pytest.approx(best_size(ratio, found["inner"]), abs=1e-6)
    said = capsys.readouterr().out
    for key, technique in {"sigma_max": 1, "L": 2, "step_size": 4}.items():
        assert (f"Technique {technique}" in said) == (key not in kept)


def test_as_many_steps_as_the_budget_allows(digits, cache):
    sampler = run(digits, cache, "schedule.L=10", "sampler.calls=1001")["sampler"]
    assert (sampler["inner"], sampler["calls"]) == (100, None)
    five = run(digits, cache, "schedule.L=10", "sampler.inner=100")["sampler"]
    assert sampler == five


@pytest.mark.parametrize("name", options("sampler"))
def test_other_samplers_are_left_as_they_are(digits, cache, name):
    typed = ["schedule=geometric", f"sampler={name}", "schedule.auto=true"]
    config = config_of(*typed)
    result = filled(config, digits, cache, typed, CHOICES | {"sampler": name})
    assert (result["sampler"] == config["sampler"]) == (name != "langevin")
    assert (result["schedule"]["L"] is None) == (name != "langevin")


def test_without_auto_nothing_changes(digits, cache, capsys):
    for typed in (["schedule=geometric", "sampler=langevin"], ["schedule=linear"]):
        config = config_of(*typed)
        assert filled(config, digits, cache, typed, CHOICES) == config
    assert capsys.readouterr().out == ""
    with pytest.raises(ConfigError, match=r"schedule\.auto: true"):
        schedule_of(config_of(*AUTO), digits.shape)


def test_data_that_a_technique_does_not_suit_is_refused(cache):
    typed = [*AUTO, "data=swiss_roll"]
    config = config_of(*typed)
    points = data_of(config)
    with pytest.raises(ConfigError, match=r"schedule\.L: Technique 2 has no solution in 2 dimensions"):
        filled(config, points, cache, typed, CHOICES)
    typed = [*typed, "schedule.L=12"]
    assert filled(config_of(*typed), points, cache, typed, CHOICES)["schedule"]["L"] == 12


def test_levels_below_the_finest_are_refused(digits, cache):
    with pytest.raises(ConfigError, match=r"schedule\.sigma_min: 20\.0; "):
        run(digits, cache, "schedule.sigma_min=20.0")
    with pytest.raises(ConfigError, match=r"sampler\.calls: 22; "):
        run(digits, cache, "sampler.calls=22", "schedule.L=22")


def test_the_distance_is_computed_once_for_each_content(digits, tmp_path, largest):
    assert distance(digits, tmp_path) == pytest.approx(largest, rel=1e-6)
    (file,) = tmp_path.glob("*.json")
    assert digits.fingerprint(digits.train) in file.name
    file.write_text(json.dumps({"largest_distance": 3.5}))
    assert distance(digits, tmp_path) == 3.5
    file.write_text("half a fi")
    assert distance(digits, tmp_path) == pytest.approx(largest, rel=1e-6)
    assert json.loads(file.read_text())["largest_distance"] == pytest.approx(largest, rel=1e-6)


CHILD = """
import sys
from pathlib import Path
from difflab.data import Digits
from difflab.runs.auto import distance
digits = Digits("data", 128, 128, 0, False, 0)
digits.setup()
print("ready", flush=True)
print(distance(digits, Path(sys.argv[1])))
"""


@pytest.mark.slow
def test_a_second_process_waits_for_the_first(digits, tmp_path):
    """It takes what the first, which holds the lock, writes: not what it would have found itself."""
    path = tmp_path / f"largest_distance-{digits.fingerprint(digits.train)}.json"
    environment = {"PYTHONPATH": str(Path(difflab.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", CHILD, str(tmp_path)]
    with FileLock(f"{path}.lock"):
        child = subprocess.Popen(command, env=os.environ | environment, stdout=subprocess.PIPE, text=True)
        assert child.stdout.readline() == "ready\n"
        path.write_text(json.dumps({"largest_distance": 3.5}))
    assert child.communicate()[0] == "3.5\n"
