"""sweep.resume=: going on with a sweep, in its folder."""

import shlex
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser

from difflab.errors import ConfigError
from difflab.runs.paths import CONFIGS
from difflab.runs.resume import override, quoted
from difflab.runs.trust import check_inside, read_json

STORAGE = "optuna.db"  # in the sweep's folder; see configs/sweep/optuna.yaml


def resumed_sweep(arguments: list[str]) -> list[str]:
    """The command line with Hydra's folder set to the sweep to go on with, where it asks for one.

    Raises:
        ConfigError: where that is not the folder of a sweep.
    """
    choice = override(arguments, "sweep.resume")
    rest = [a for a in arguments if not a.startswith("sweep.resume=")]
    if choice in (None, "null", ""):
        return rest
    folder = Path(choice)
    if not (folder / "sweep.json").is_file():
        raise ConfigError(f"sweep.resume: {choice} is not a sweep; allowed are folders with a sweep.json")
    check_inside(folder, "sweep.resume")
    if not [a for a in rest if not a.startswith("-")]:
        command = shlex.join(map(str, read_json(folder / "sweep.json", "sweep.resume").get("command", [])))
        raise ConfigError(
            f"sweep.resume: {choice} was begun with: {command}; allowed is that again beside sweep.resume"
        )
    mode = [] if {"-m", "--multirun"} & set(rest) else ["-m"]
    rest = [*mode, *rest, f"hydra.sweep.dir={quoted(folder)}"]
    return [*rest, *unfinished_trials(folder, rest)] if (folder / STORAGE).is_file() else rest


def unfinished_trials(folder: Path, arguments: list[str]) -> list[str]:
    """How many trials of Optuna are left, as an override; those that were cut off are asked for again first."""
    import optuna
    from optuna.trial import TrialState

    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        typed = OverridesParser.create().parse_overrides([a for a in arguments if not a.startswith("-")])
        fixed = [str(o.input_line) for o in typed if not o.is_sweep_override()]
        composed = compose("train", fixed, return_hydra_config=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sweeper = composed.hydra.sweeper
    study = optuna.load_study(sweeper.study_name, f"sqlite:///{folder / STORAGE}")
    for trial in study.get_trials(states=(TrialState.RUNNING, TrialState.FAIL)):
        if "again" not in trial.user_attrs:
            study._storage.set_trial_user_attr(trial._trial_id, "again", True)
            study.enqueue_trial(trial.params)
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
    done = len(study.get_trials(states=(TrialState.COMPLETE,)))
    seed = composed.seed + len(study.get_trials())  # the same again would draw the same points again
    return [f"hydra.sweeper.n_trials={max(composed.sweep.trials - done, 0)}", f"hydra.sweeper.sampler.seed={seed}"]
