"""resume=: going on in the folder of an earlier run, with its saved config."""

from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from difflab.errors import ConfigError
from difflab.runs.folder import RunFolder
from difflab.runs.paths import CONFIGS
from difflab.runs.processes import is_child
from difflab.runs.trust import read_json, without_say

MAY_CHANGE = ("trainer.max_steps", "trainer.max_time", "logger", "metrics")
ANEW = ("targets", "cache", "features.checked")  # what a run folder has no say in, see trust.without_say


def override(arguments: list[str], key: str) -> str | None:
    """The value of the last KEY=VALUE on a command line."""
    values = [a.split("=", 1)[1].strip("'\"") for a in arguments if a.split("=", 1)[0] == key and "=" in a]
    return values[-1].replace("\\'", "'") if values else None


def resumed(arguments: list[str]) -> list[str]:
    """The command line with Hydra's folders set to the run to go on with, where it asks for one.

    Raises:
        ConfigError: where that is not a run, or where something changes that may not.
    """
    if override(arguments, "replay") not in (None, "null", ""):
        from difflab.runs.failure import replayed  # it imports this module

        return replayed(arguments)
    choice = override(arguments, "resume")
    rest = [a for a in arguments if not a.startswith("resume=")]
    if choice in (None, "null", ""):
        there = override(rest, "hydra.run.dir")
        if there is not None and RunFolder(Path(there)).config.exists() and not is_child():
            raise ConfigError(f"hydra.run.dir: {there} holds a run; allowed are new folders, or resume={there}")
        return rest
    if {"-m", "--multirun"} & set(arguments):
        raise ConfigError(f"resume: {choice} in a sweep; allowed is one run at a time, without -m")
    fixed = [a for a in rest if "=" in a and not may_change(a)]
    if choice == "auto":
        found = newest_unfinished(rest)
        if found is None:
            return rest
        before = read_json(found / "environment.json", "resume").get("overrides", [])
        before = [a for a in map(str, before) if not may_change(a)]
        fixed, choice = sorted(set(fixed) ^ set(before)), str(found)
        if "name" in {key_of(a) for a in fixed}:
            fixed = [a for a in fixed if key_of(a) != "name"]
    if fixed:
        raise ConfigError(
            f"{key_of(fixed[0])}: {fixed[0]} differs from the run {choice}; beside resume= only "
            f"{', '.join(MAY_CHANGE)} may change"
        )
    folder = RunFolder.existing("resume", choice)
    number = 1 + len(list((folder.path / ".hydra").glob("resume-*")))
    path = as_override(folder.path)
    return [*rest, f"resume={path}", f"hydra.run.dir={path}", f"hydra.output_subdir=.hydra/resume-{number}"]


def as_override(path: Path) -> str:
    """A path as the value of an override, absolute."""
    return "'" + str(path.resolve()).replace("'", "\\'") + "'"


def key_of(argument: str) -> str:
    """The field that an override sets."""
    return argument.lstrip("+~").split("=", 1)[0]


def may_change(argument: str) -> bool:
    """Whether an override is one of those that a resumed run may carry."""
    key = key_of(argument)
    may_change = (*MAY_CHANGE, *ANEW)
    return key.startswith(("hydra.", "hydra/")) or any(key == may or key.startswith(f"{may}.") for may in may_change)


def newest_unfinished(arguments: list[str]) -> Path | None:
    """The newest run folder of the name that these arguments would give, whose status is not done."""
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        composed = compose("train", arguments, return_hydra_config=True)
    if composed.hydra.mode == RunMode.MULTIRUN:
        raise ConfigError("resume: auto of a sweep; allowed is the folder of one of its runs, resume=SWEEP/JOB")
    folders = [path.parent for path in (Path(composed.outputs) / "runs" / composed.name).glob("*/config.yaml")]
    statuses = {path: RunFolder(path).read_status() for path in folders}
    unfinished = [path for path, status in statuses.items() if status.get("state") not in ("done", "refused")]
    newest = sorted(unfinished, key=lambda path: (str(statuses[path].get("time", "")), path.name))
    return newest[-1] if newest else None


def saved_config(folder: RunFolder, composed: DictConfig, overrides: list[str]) -> DictConfig:
    """The saved config, with the few things that the command line may change."""
    saved = OmegaConf.create(without_say(folder.read_config("resume")))
    with open_dict(saved):
        saved.targets, saved.cache = composed.targets, composed.cache
        for item in overrides:
            key = item.lstrip("+").split("=", 1)[0]
            if any(key == may or key.startswith(f"{may}.") for may in (*MAY_CHANGE, *ANEW)):
                value = OmegaConf.select(composed, key)
                OmegaConf.update(saved, key, value, merge=False, force_add=True)
    return saved


def checkpoint(folder: RunFolder) -> tuple[Path | None, list[str]]:
    """The newest whole checkpoint, and what was wrong with newer ones; the best one where nothing else is left.

    Raises:
        ConfigError: where there are checkpoints but none of them can be used.
    """
    from difflab.runs.checkpoint import problem
    from difflab.training.checkpoint_files import by_step

    last, best = folder.checkpoints / "last.ckpt", folder.checkpoints / "best.ckpt"
    complaints: list[str] = []
    for path in [last, *reversed(by_step(folder.checkpoints)), best]:
        if not path.exists():
            continue
        wrong = problem(path)
        if wrong is None:
            return path, complaints
        complaints.append(f"{path}: {wrong}")
    if complaints:
        raise ConfigError(f"resume: no checkpoint of {folder.path} can be used: {complaints[0]}")
    return None, complaints
