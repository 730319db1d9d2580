"""Studies: what is asked about a finished run, or about all finished runs of a sweep, and where the answers go."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from omegaconf import OmegaConf

from difflab.errors import ConfigError
from difflab.runs.assemble import Parts
from difflab.runs.build import build
from difflab.runs.folder import RunFolder, write_json
from difflab.runs.load import Run, load_run
from difflab.runs.trust import read_json, without_say


@runtime_checkable
class Study(Protocol):
    """An option of `study=`.

    Attributes:
        of_sweep: whether it is about all finished runs of a sweep together; else each run is asked by itself.
    """

    of_sweep: bool

    def check(self, parts: Parts, config: Mapping[str, Any]) -> None:
        """Refuse a run that it cannot be asked about, before the run is trained.

        Args:
            parts: of the run.
            config: of the run, resolved and plain.

        Raises:
            ConfigError: naming the field.
        """
        ...

    def __call__(self, runs: Sequence[Run], folder: Path) -> dict[str, float]:
        """Figures by their full keys, NAME/FIGURE; pictures and tables are left in the folder."""
        ...


def study_of(config: Mapping[str, Any]) -> Study | None:
    """The study of a config; None where it has none.

    Raises:
        ConfigError: for whatever its constructor refuses.
    """
    node = config.get("study") or {}
    return build(node, "study", list(config["targets"])) if node.get("_target_") else None


def name_of(study: Study) -> str:
    """That of its module, which is its option's too."""
    return type(study).__module__.rpartition(".")[2]


def ask(study: Study, runs: Sequence[Run], home: Path, number: int = 1) -> dict[str, float]:
    """Let a study work in HOME/study/NAME/, add its figures to HOME/metrics.json, and show them.

    Args:
        number: of the study among those of its name that work there: its folder is NAME_2, and so on.
    """
    folder = home / "study" / (name_of(study) if number == 1 else f"{name_of(study)}_{number}")
    folder.mkdir(parents=True, exist_ok=True)
    figures = study(runs, folder)
    write_json(folder / "figures.json", figures)
    path = home / "metrics.json"
    known = read_json(path, "runs") if path.is_file() else {}
    write_json(path, known | figures)
    for key, value in figures.items():
        if not key.endswith("_stderr"):
            error = figures.get(f"{key}_stderr")
            print(f"{key}: {value:.4g}" + ("" if error is None else f" ± {error:.2g}"))
    for path in sorted(folder.iterdir()):
        print(f"study:      {path}")
    return figures


def study_run(study: Study, config: Mapping[str, Any], folder: RunFolder) -> dict[str, float]:
    """The study of one run whose figures and checkpoints are written.

    Raises:
        RuntimeError: for what the study cannot do: the run was trained, and is not refused for it.
    """
    try:
        figures = ask(study, load([folder.path], list(config["targets"])), folder.path)
    except ConfigError as error:
        raise RuntimeError(str(error)) from None
    folder.record({"study": config["study"]} | figures)
    return figures


def study_sweep(jobs: Sequence[Path], sweep: Path, targets: list[str]) -> None:
    """Each study that these jobs of a sweep have chosen, of the jobs that have chosen it.

    Args:
        targets: what the user lets in; some of the jobs may have been here before.
    """
    saved: list[Any] = [OmegaConf.to_container(RunFolder(job).read_config("run")) for job in jobs]
    configs = [without_say(config) | {"targets": targets} for config in saved]
    names: list[str] = []
    for i, config in enumerate(configs):
        study = study_of(config)
        if study is not None and study.of_sweep and config["study"] not in [before["study"] for before in configs[:i]]:
            own = [job for job, other in zip(jobs, configs, strict=True) if other["study"] == config["study"]]
            names.append(name_of(study))
            ask(study, load(own, targets), sweep, names.count(names[-1]))


def finished(paths: Sequence[str | Path]) -> list[Path]:
    """The run folders that these are, or, of sweeps, that have ended well, in the order of their jobs.

    Raises:
        ConfigError: for a folder that is neither, and where no run has ended well.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        if (path / "config.yaml").is_file():
            found.append(path)
            continue
        jobs = [job for job in path.glob("*/") if (job / "config.yaml").is_file()]
        done = [job for job in jobs if RunFolder(job).read_status().get("state") == "done"]
        if not done:
            raise ConfigError(f"runs: {path}; allowed are run folders, and sweeps with a run that has ended well")
        found += sorted(done, key=lambda job: (len(job.name), job.name))
    return found


def load(paths: Sequence[Path], targets: list[str]) -> list[Run]:
    """The runs with their averaged weights."""
    return [load_run(path, targets=targets) for path in paths]
