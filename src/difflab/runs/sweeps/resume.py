"""sweep.resume=: going on with a sweep, in its folder."""

import shlex
import warnings
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser

from difflab.errors import ConfigError
from difflab.runs.paths import CONFIGS
from difflab.runs.resume import as_override, override
from difflab.runs.sweeps.folder import SweepFolder
from difflab.runs.trust import check_inside

STORAGE = "optuna.db"  # in the sweep's folder; see configs/sweep/optuna.yaml


def resumed_sweep(arguments: list[str]) -> list[str]:
    """The command line with Hydra's folder set to the sweep to go on with, where it asks for one.

    Raises:
        ConfigError: where that is not the folder of a sweep, or where another process runs it.
    """
    choice = override(arguments, "sweep.resume")
    rest = [a for a in arguments if not a.startswith("sweep.resume=")]
    if choice in (None, "null", ""):
        return rest
    folder = SweepFolder(Path(choice))
    if not folder.file.is_file():
        raise ConfigError(f"sweep.resume: {choice} is not a sweep; allowed are folders with a sweep.json")
    check_inside(folder.path, "sweep.resume")
    if not [a for a in rest if not a.startswith("-")]:
        command = shlex.join(map(str, folder.read().get("command", [])))
        raise ConfigError(f"sweep.resume: {choice} was begun with: {command}; allowed is that beside sweep.resume")
    folder.take()  # held until this process ends
    mode = [] if {"-m", "--multirun"} & set(rest) else ["-m"]
    rest = [*mode, *rest, f"hydra.sweep.dir={as_override(folder.path)}"]
    return [*rest, *unfinished_trials(folder, rest)] if (folder.path / STORAGE).is_file() else rest


def unfinished_trials(folder: SweepFolder, arguments: list[str]) -> list[str]:
    """How many trials of Optuna are left, as an override; those that were cut off are asked for again first.

    Raises:
        ConfigError: where the search was for something else, or its storage cannot be read.
    """
    import optuna
    from optuna.trial import TrialState

    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        typed = OverridesParser.create().parse_overrides([a for a in arguments if not a.startswith("-")])
        fixed = [str(o.input_line) for o in typed if not o.is_sweep_override()]
        composed = compose("train", fixed, return_hydra_config=True)
    before = folder.read()
    for name in ("objective", "direction"):
        if before.get(name, composed.sweep[name]) != composed.sweep[name]:
            raise ConfigError(
                f"sweep.{name}: {composed.sweep[name]}; this search was begun with {before[name]}: allowed is that"
            )
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.load_study(composed.hydra.sweeper.study_name, f"sqlite:///{folder.path / STORAGE}")
    except Exception as error:  # of Optuna, SQLAlchemy or SQLite
        what = " ".join(str(error).split())[:200]
        raise ConfigError(f"sweep.resume: {folder.path / STORAGE} cannot be read ({what})") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # enqueue_trial calls itself experimental
        for params in cut_off(study):
            study.enqueue_trial(params)
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
    done = len(study.get_trials(states=(TrialState.COMPLETE,)))
    seed = composed.seed + len(study.get_trials())  # the same again would draw the same points again
    return [f"hydra.sweeper.n_trials={max(composed.sweep.trials - done, 0)}", f"hydra.sweeper.sampler.seed={seed}"]


def cut_off(study: Any) -> list[dict[str, Any]]:
    """The parameters of trials that have not ended well, each once, and that are not waiting to begin again."""
    from optuna.trial import TrialState

    ended = [trial.params for trial in study.get_trials(states=(TrialState.COMPLETE,))]
    asked = [trial.system_attrs.get("fixed_params") for trial in study.get_trials(states=(TrialState.WAITING,))]
    again: list[dict[str, Any]] = []
    for trial in study.get_trials(states=(TrialState.RUNNING, TrialState.FAIL)):
        if trial.params and trial.params not in [*ended, *asked, *again]:
            again.append(trial.params)
    return again
