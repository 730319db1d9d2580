"""scripts/wandb_sweeps: files that W&B reads, commands as its agent makes them, and a run that it starts."""

import itertools
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf, open_dict
from wandb import wandb_agent
from wandb.apis.public.sweeps import _validate_config_and_fill_distribution
from wandb.sdk.launch.sweeps.utils import load_sweep_config

from difflab.dashboard import keys
from difflab.runs.paths import CONFIGS
from difflab.runs.validate import validate

sys.path.insert(0, str(Path(__file__).parents[1] / "runs"))
from children import REPOSITORY, SMALL, run_folder
from wandb_files import Kept

FILES = sorted((REPOSITORY / "scripts" / "wandb_sweeps").glob("*.yaml"))
# What the server knows, by its published schema; it warns of anything else when a sweep is made.
FIELDS = {"name", "project", "program", "method", "metric", "parameters", "command", "early_terminate", "run_cap"}
KINDS = ({"values"}, {"distribution", "min", "max"})
LOGGED = {keys.LOOK, keys.BITS.removesuffix(".min"), "test/fd_classifier"}


def loaded(file: Path) -> dict[str, Any]:
    """A file as `wandb sweep` reads it."""
    found = load_sweep_config(str(file))
    assert found is not None
    return _validate_config_and_fill_distribution(found)


def points(config: dict[str, Any]) -> list[dict[str, Any]]:
    """All of a grid; of a search some in which each value occurs: of a range its ends, and what lies between them."""
    values = [
        p.get("values") or [p["min"], p["max"], (p["min"] * p["max"]) ** 0.5 or 1e-5]
        for p in config["parameters"].values()
    ]
    if config["method"] == "grid":
        chosen = itertools.product(*values)
    else:
        chosen = itertools.islice(zip(*map(itertools.cycle, values), strict=True), 2 * max(map(len, values)))
    return [dict(zip(config["parameters"], point, strict=True)) for point in chosen]


class Told:
    """In the place of the agent's processes: what it would have started."""

    def __init__(self, command: list[str], env: dict[str, str], forward_signals: bool) -> None:
        self.command, self.environment = command, env


@pytest.fixture
def agent(tmp_path, monkeypatch):
    """An agent without a server, in the repository, whose files and environment do not outlive the test."""
    monkeypatch.chdir(REPOSITORY)
    for name, value in {"WANDB_DIR": str(tmp_path), "WANDB_SWEEP_ID": "s1", "WANDB_RUN_ID": "", "RUN": "a/run"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("WANDB_SWEEP_PARAM_PATH", "")
    return wandb_agent.Agent(None, None, sweep_id="s1")


def start(agent, config: dict[str, Any], point: dict[str, Any], run: str = "run1") -> Any:
    """The process that an agent starts when the server tells it to run a point."""
    agent._sweep_command = list(config["command"])
    arguments = {name: {"value": value} for name, value in point.items()}
    agent._command_run({"type": "run", "run_id": run, "program": config["program"], "args": arguments})
    return agent._run_processes[run]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_server_knows_every_field(file):
    config = loaded(file)
    assert FIELDS >= config.keys() >= {"name", "project", "program", "method", "metric", "parameters", "command"}
    assert config["name"] == file.stem and (REPOSITORY / config["program"]).is_file()
    assert config["method"] in ("grid", "bayes") and ("run_cap" in config) == (config["method"] == "bayes")
    assert config["metric"]["goal"] == "minimize" and config["metric"]["name"] in LOGGED
    for name, parameter in config["parameters"].items():
        assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]*", name) and parameter.keys() in KINDS
        assert config["method"] != "grid" or "values" in parameter
        assert parameter.get("distribution") in (None, "uniform", "log_uniform_values")
    assert config.get("early_terminate", {"type": "hyperband"})["type"] == "hyperband"


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_point_is_a_command_that_composes(file, agent, monkeypatch):
    monkeypatch.setattr(wandb_agent, "AgentProcess", Told)
    config = loaded(file)
    commands = [start(agent, config, point).command for point in points(config)]
    assert len(set(map(tuple, commands))) == len(commands) > 5
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        for command in commands:
            env, interpreter, program, *overrides = command
            assert (env, interpreter, program) == ("/usr/bin/env", "python", config["program"])
            assert not any(o.startswith("-") or "${" in o for o in overrides) and "logger=wandb" in overrides
            name = Path(program).stem
            cfg = compose(name, overrides, return_hydra_config=True)
            choices = OmegaConf.to_container(cfg.hydra.runtime.choices)
            with open_dict(cfg):
                del cfg.hydra
            validate(cfg, name, choices)
            flat = {field: OmegaConf.select(cfg, field) for field in config["parameters"]}
            for field, value in flat.items():
                said = dict(o.split("=", 1) for o in overrides)[field]
                assert said == choices.get(field, str(value)), command


@pytest.mark.slow
def test_a_run_that_an_agent_starts_is_the_one_that_the_server_has_made(agent, tmp_path, monkeypatch):
    """Its id, its sweep and its choices, online or not; its folder is one of ours."""
    environment = {"WANDB_MODE": "offline", "WANDB_PROJECT": "trials", "OMP_NUM_THREADS": "1"}
    environment |= {"PYTHONPATH": str(REPOSITORY / "src"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    config = loaded(REPOSITORY / "scripts" / "wandb_sweeps" / "ablation.yaml")
    small = [o for o in SMALL if not o.startswith("name=")]
    config["command"] = [*config["command"], *small, "trainer.max_steps=2", f"outputs={tmp_path / 'outputs'}"]
    started = start(agent, config, {"schedule": "cosine", "loss": "vlb", "seed": 2}, "given123")
    assert started.wait(timeout=240) == 0
    folder = run_folder(tmp_path)
    assert folder.parent.name == "wandb_ablation"
    chosen = OmegaConf.load(folder / "config.yaml")
    assert (chosen.schedule._target_, chosen.loss._target_) == ("difflab.schedules.Cosine", "difflab.losses.Vlb")
    assert chosen.seed == 2 and (folder / "wandb" / "id").read_text() == "given123"
    kept = Kept(next(tmp_path.rglob("offline-run-*-given123")))
    assert (kept.run.run_id, kept.run.sweep_id, kept.run.project, kept.exit) == ("given123", "s1", "trials", 0)
    assert (kept.config["schedule"], kept.config["loss"], kept.config["seed"]) == ("cosine", "vlb", 2)
    assert {keys.STEP, keys.LOSS} <= {key for row in kept.history for key in row}
