"""What a job may change of its process, and finds unchanged; what processes that it starts are told."""

import csv
import json
import os
import random
import signal
import sys
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from difflab.runs.sweeps.isolation import one_job, told_to_end

sys.path.insert(0, str(Path(__file__).parents[1]))
from children import marked, train


@pytest.fixture
def hydra_config(monkeypatch):
    """Hydra's config of a job in a sweep."""
    node = OmegaConf.create({"hydra": {"run": {"dir": "sweep"}, "overrides": {"task": ["seed=1"]}}})
    OmegaConf.set_readonly(node, True)
    monkeypatch.setattr(HydraConfig.instance(), "cfg", node)
    return node


def everything() -> dict[str, object]:
    """What a job could leave behind in its process."""
    import matplotlib as mpl

    return {
        "environment": dict(os.environ),
        "arguments": list(sys.argv),
        "main": sys.modules["__main__"].__spec__,
        "signals": [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)],
        "warnings": list(warnings.filters),
        "dtype": torch.get_default_dtype(),
        "threads": torch.get_num_threads(),
        "grad": torch.is_grad_enabled(),
        "anomaly": torch.is_anomaly_enabled(),
        "precision": torch.get_float32_matmul_precision(),
        "deterministic": torch.get_deterministic_debug_mode(),
        "cudnn": (torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic),
        "random": (random.getstate(), torch.get_rng_state().tolist(), str(np.random.get_state())),  # noqa: NPY002
        "rc": dict(mpl.rcParams),
    }


def spoil() -> None:
    """A job without manners."""
    import matplotlib as mpl
    from matplotlib import pyplot

    os.environ["LEFT_BEHIND"] = "1"
    os.environ["PATH"] = "nowhere"
    del os.environ["HOME"]
    sys.argv.append("more")
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(signum, signal.SIG_IGN)
    warnings.simplefilter("error")
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(torch.get_num_threads() + 1)
    torch.set_grad_enabled(False)
    torch.set_anomaly_enabled(True)
    torch.set_float32_matmul_precision("medium")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = not torch.backends.cudnn.benchmark
    random.random()
    torch.rand(1)
    np.random.rand()  # noqa: NPY002
    mpl.rcParams["font.size"] = 3
    pyplot.figure()


def test_nothing_that_a_job_changes_is_left(hydra_config, tmp_path):
    before = everything()
    with pytest.raises(RuntimeError, match="failed"), one_job(tmp_path, Path("/somewhere/train.py"), []):
        spoil()
        raise RuntimeError("failed")
    after = everything()
    assert {name for name in before if before[name] != after[name]} == set()
    from matplotlib import pyplot

    assert not pyplot.get_fignums()


def test_processes_of_a_job_are_told_of_it_alone(hydra_config, tmp_path):
    with one_job(tmp_path, Path("/somewhere/train.py"), ["resume=there"]):
        assert sys.argv == ["/somewhere/train.py", "seed=1", "resume=there", "hydra.mode=RUN"]
        assert sys.modules["__main__"].__spec__ is None
        assert HydraConfig.get().run.dir == str(tmp_path)


@pytest.mark.slow
def test_switches_of_one_job_are_not_those_of_the_next(tmp_path):
    """Two jobs of one process that log to W&B; the first asks for anomaly detection."""
    trail = tmp_path / "trail.jsonl"
    grid = ("-m", "trainer.detect_anomaly=true,false", "logger=wandb", "logger.mode=offline", "trainer.max_steps=2")
    code, text = train(*grid, folder=tmp_path, prepare=partial(marked, trail))
    assert code == 0, text
    first, second = (json.loads(line) for line in trail.read_text().splitlines())
    assert (first.pop("anomaly"), second.pop("anomaly")) == (True, False)
    differing = set(first.pop("arguments")) ^ set(second.pop("arguments"))
    assert {argument.split("=")[0] for argument in differing} == {"trainer.detect_anomaly"}
    lent = {"WANDB_SERVICE", "KMP_INIT_AT_FORK", "KMP_DUPLICATE_LIB_OK"}  # by libraries, when they are imported first
    assert set(first.pop("environment")) ^ set(second.pop("environment")) <= lent
    assert first == second
    (sweep,) = (tmp_path / "outputs" / "sweeps" / "test").iterdir()
    runs = [sorted(path.name for path in (sweep / job / "wandb").glob("offline-run-*")) for job in ("0", "1")]
    assert [len(found) for found in runs] == [1, 1]
    assert runs[0][0].split("-")[-1] != runs[1][0].split("-")[-1]
    for job in ("0", "1"):
        with (sweep / job / "metrics.csv").open() as file:
            assert [row["step"] for row in csv.DictReader(file)] == ["2"]


def test_a_warning_between_two_jobs_ends_no_process():
    """A worker that dies of it takes with it all that its launcher runs."""
    heard: list[int] = []

    def handler(number: int, _) -> None:
        heard.append(number)

    before = signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    try:
        for jobs in (1, 2):
            with told_to_end(handler):
                os.kill(os.getpid(), signal.SIGUSR1)
            os.kill(os.getpid(), signal.SIGUSR1)
            assert heard == [signal.SIGUSR1] * jobs
    finally:
        signal.signal(signal.SIGUSR1, before)
