"""replay=: training up to the step that stopped a run: does it go wrong again, and which example does it?"""

import logging
from collections.abc import Iterator
from math import inf, isfinite
from pathlib import Path
from typing import Any

from lightning import Callback, LightningModule, Trainer
from omegaconf import DictConfig, OmegaConf

from difflab.data import Indexed
from difflab.errors import ConfigError
from difflab.runs.assemble import assemble, data_of
from difflab.runs.build import build
from difflab.runs.checkpoint import read
from difflab.runs.failure import ANOMALY, WORDS, Failure, examples, plain
from difflab.runs.folder import RunFolder, environment
from difflab.runs.init import begin_with
from difflab.runs.launcher import other_processes
from difflab.runs.train import diffusion, watchdog_of
from difflab.runs.trainer import build_trainer
from difflab.runs.trust import without_say
from difflab.training import BadStep
from difflab.training.callbacks import Figures
from difflab.training.watchdog import Found, unfinite

log = logging.getLogger(__name__)
FEW = 8  # examples of a batch that are worth a line


class Differs(RuntimeError):
    """A replay that has not come to the value of failure.json."""


class Until(Callback):
    """Ends training after a step, and looks at the state then.

    Args:
        step: that many optimizer steps.
    """

    def __init__(self, step: int) -> None:
        self.step = step
        self.unfinite = 0

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if trainer.global_step >= self.step:
            self.unfinite = unfinite(trainer)
            trainer.should_stop = True


def replay(cfg: DictConfig, folder: RunFolder) -> None:
    """Train from the last good checkpoint to the step of a failure.json, looking at every step, and compare.

    With the saved config and as many processes. Nothing of the run changes.

    Raises:
        ConfigError: for a failure.json, a config or a checkpoint that cannot be used.
        Differs: where the value is another one this time.
    """
    logging.captureWarnings(True)  # where anomaly mode says which operation it was
    failure = Failure(Path(cfg.replay))
    config = settings(failure, cfg.trainer.detect_anomaly, list(cfg.targets))
    start = failure.start()
    if start is not None and not start.exists():
        say(f"{start} is no longer there: from the beginning")
        start = None
    if start is not None:
        read(start, "replay")
    data = data_of(config)
    parts = assemble(config, data=data)
    if start is None and config.get("init") is not None:
        begin_with(config["init"], parts.denoiser)
    watchdog = watchdog_of(config, at_once=True)
    module = diffusion(config, parts, watchdog)
    images = data.batch_size * config["trainer"]["accumulate_grad_batches"]
    ema = build(config["ema"], "ema", config["targets"], images=images, folder=folder.path)
    ema.snapshots = None
    figures, until = Figures(config["trainer"]["log_every_n_steps"], data.batch_size), Until(failure.step)
    trainer = build_trainer(config, data, [watchdog, ema, figures, until], folder)
    if trainer.world_size != failure.content["processes"]:
        raise ConfigError(
            f"replay: {failure.path} is of {failure.content['processes']} processes; here are {trainer.world_size}"
        )
    found = None
    with other_processes(trainer, folder):
        try:
            trainer.fit(module, datamodule=data, ckpt_path=start, weights_only=True)
        except BadStep as error:
            found = error.found
    if not trainer.is_global_zero:
        return
    ahead = found is not None and (found.step, found.what) != (failure.step, failure.what)
    values = watchdog.newest | {"state": until.unfinite}
    value = plain(found.value if found is not None else values[failure.what])
    for line in culprits(found, data) if found is not None else []:
        say(line)
    what = f"step {failure.step}: {WORDS[failure.what]} {failure.value} in {failure.path}"
    if ahead or value != failure.value:
        here = found.words if ahead and found is not None else f"it is {value} this time"
        raise Differs("; ".join([what, here, *changes(failure, trainer)]))
    say(f"replayed: step {failure.step}: {WORDS[failure.what]} {value}, as in {failure.path}")
    if not config["trainer"]["detect_anomaly"] and isinstance(value, str):
        say(f"{ANOMALY}=true beside replay= shows the operation whose gradient is the first that is no number")


def settings(failure: Failure, anomaly: bool, targets: list[str]) -> dict[str, Any]:
    """The saved config of the run, as it was when it stopped, without what does not change the training."""
    plain: Any = OmegaConf.to_container(failure.folder.read_config("replay"))
    saved = without_say(plain) | {"targets": targets}
    saved["trainer"] |= {
        "max_steps": failure.content["max_steps"],
        "max_epochs": None,
        "max_time": None,
        "limit_val_batches": 0,
        "profiler": None,
        "detect_anomaly": anomaly,
    }
    return saved


def culprits(found: Found, data: Indexed) -> Iterator[str]:
    """A line for each example whose own loss is bad, or for the one of the largest loss where none is."""
    rows = [row for b in examples(found, data) for row in zip(b["indices"], b["times"], b["losses"], strict=True)]
    rows = [(index, t, float(loss)) for index, t, loss in rows]
    limit = inf if found.bound is None else found.bound
    bad = [row for row in rows if not isfinite(row[2]) or row[2] > limit]
    for index, t, loss in bad[:FEW]:
        yield f"training example {index}: t = {t:.6g}, its loss {loss:g}"
    if len(bad) > FEW:
        yield f"and {len(bad) - FEW} more of {len(rows)} examples"
    if not bad:
        index, t, loss = max(rows, key=lambda row: row[2])
        yield f"no loss of the {len(rows)} examples is bad by itself; the largest: {index}: t = {t:.6g}, {loss:g}"


def changes(failure: Failure, trainer: Trainer) -> Iterator[str]:
    """What is not as it was when the run stopped."""
    then = failure.content
    made = environment([])
    now = {"device": trainer.strategy.root_device.type, "precision": str(trainer.precision), "commit": made["commit"]}
    for name, value in now.items():
        if name in then and then[name] != value:
            yield f"{name} was {then[name]}, is {value}"
    versions = {"python": made["python"], **made["packages"]}
    for name, value in then.get("versions", {}).items():
        if versions.get(name) != value:
            yield f"{name} was {value}, is {versions.get(name)}"


def say(line: str) -> None:
    """On the terminal and in run.log."""
    print(line, flush=True)
    log.info("%s", line)
