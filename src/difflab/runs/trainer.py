"""Lightning's Trainer with what only this project knows: its callbacks, its loggers, and what it may not print."""

import logging
import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import Logger
from lightning.pytorch.plugins.environments import ClusterEnvironment, LightningEnvironment, SLURMEnvironment

from difflab.data import Indexed
from difflab.errors import ConfigError
from difflab.runs.assemble import Parts
from difflab.runs.build import build
from difflab.runs.folder import RunFolder, code
from difflab.runs.frame import verdict
from difflab.runs.processes import check_places, tasks
from difflab.runs.trust import read_json
from difflab.runs.validate import flatten
from difflab.training import EMA, Table
from difflab.training.callbacks import Agreement, Budget, Checkpoints, Figures, Looks, StopOnSignal
from difflab.training.loggers import Wandb

UNTOLD = ("sweep", "replay", "resume")  # what is of the command line, and not of the run


def quiet_lightning() -> None:
    """Lightning's advertisements and advice that does not apply here go nowhere."""
    for name in ("lightning.pytorch", "lightning.fabric", "pytorch_lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("lightning.pytorch.profilers").setLevel(logging.INFO)  # what trainer.profiler finds, to run.log
    for text in (
        ".*does not have many workers.*",
        ".*is not resumable.*",
        ".*`LightningDataModule.*",
        ".*Checkpoint directory.*",
        ".*LeafSpec.*",
        ".*returned a view tensor.*",  # of FSDP2; nobody changes a network's output in place
        ".*distributed.nn.functional.all_gather.*",
    ):
        warnings.filterwarnings("ignore", text)
    warnings.filterwarnings("ignore", category=UserWarning, module="lightning.*")


def training_callbacks(
    config: dict[str, Any], parts: Parts, folder: RunFolder, ema: EMA, figures: Figures
) -> list[Callback]:
    """In the order in which they act after a step: average, figures, looks; then, before the next, save and stop."""
    keep, data = config["checkpoints"], parts.data
    checkpoints = Checkpoints(folder.checkpoints, keep["every"], keep["keep"])
    images = data.batch_size * config["trainer"]["accumulate_grad_batches"]
    looks = Looks(folder.samples, parts.protocol, ema, parts.drawing(config), parts.likelihood, data, figures, images)
    agreement = Agreement(flatten(config), data.fingerprint)
    budget, stop = Budget(config["trainer"]["max_time"]), StopOnSignal(checkpoints)
    return [agreement, ema, figures, looks, budget, checkpoints, stop]


def loggers(config: dict[str, Any], folder: RunFolder) -> list[Logger]:
    """metrics.csv, and the logger that the config asks for."""
    if not config["logger"].get("_target_"):
        return [Table(folder.table)]
    made = folder.path / "environment.json"  # by the first process
    environment = read_json(made, "logger") if made.is_file() else {}
    more = {"choices": folder.choices(), "environment": environment}
    name = f"{config['name']}/{folder.path.name}"
    return [Table(folder.table), *chosen_loggers(config | more, folder, "train", name)]


def chosen_loggers(
    config: Mapping[str, Any], folder: RunFolder, job_type: str, name: str, place: Path | None = None, **more: Any
) -> list[Logger]:
    """The logger that a config asks for.

    Args:
        folder: of the run.
        job_type: train or eval.
        name: of what is logged.
        place: of its files; None for the run's folder.
        more: which the logger may want to know.
    """
    if not config["logger"].get("_target_"):
        return []
    sweep = folder.path.resolve().parent
    told = {key: value for key, value in config.items() if key not in UNTOLD}
    offers = {
        "folder": place or folder.path,
        "name": name,
        "tags": config["tags"],
        "settings": told,
        "sweep": f"{sweep.parent.name}/{sweep.name}" if (sweep / "sweep.json").is_file() else None,
        "job_type": job_type,
        "code": code,
    }
    return [build(config["logger"], "logger", config["targets"], **offers, **more)]


def build_trainer(config: dict[str, Any], data: Indexed, callbacks: list[Callback], folder: RunFolder) -> Trainer:
    """Lightning's Trainer, with what only this project knows filled in; its loggers write, and so come later.

    Raises:
        ConfigError: for whatever the Trainer refuses, and for batches that its processes cannot share.
    """
    options = dict(config["trainer"])
    epochs = options.pop("max_epochs")
    if epochs is not None and data.streamed:
        raise ConfigError(f"trainer.max_epochs: {epochs}; nobody knows where a stream ends: allowed is null")
    if epochs is not None:  # batches have no end here, so epochs are counted in steps
        steps = len(data.train) // data.batch_size // options["accumulate_grad_batches"] * epochs
        options["max_steps"] = min(options["max_steps"], steps)
    if options["precision"] == "auto":
        gpu = torch.cuda.is_available() and options["accelerator"] in ("auto", "gpu", "cuda")
        options["precision"] = "bf16-mixed" if gpu else "32-true"
    del options["max_time"]  # a callback's
    options["val_check_interval"] *= options["accumulate_grad_batches"]  # Lightning counts batches, we steps
    own: dict[str, Any] = {
        "default_root_dir": str(folder.path),  # not where another program's checkpoints for SLURM may lie
        "plugins": slurm(),
        "max_epochs": -1,
        "check_val_every_n_epoch": None,
        "num_sanity_val_steps": 0,
        "use_distributed_sampler": False,
        "reload_dataloaders_every_n_epochs": 1,  # where limit_train_batches makes epochs, batches go on
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "callbacks": callbacks,
        "logger": False,
    }
    taken = sorted(options.keys() & own.keys())
    if taken:
        raise ConfigError(f"trainer.{taken[0]}: {options[taken[0]]}; allowed is nothing: difflab sets it itself")
    trainer = build(options, "trainer", config["targets"], **own)
    check_places(trainer.num_devices, trainer.num_nodes)
    data.trainer = trainer
    data.train_dataloader()  # refuses now what it would refuse then
    data.val_dataloader()
    return trainer


def slurm() -> ClusterEnvironment | None:
    """Where SLURM runs this: its tasks are the processes, and one task alone starts others as anywhere else.

    Raises:
        ConfigError: for tasks of which nobody says how many are on a node.
    """
    if not SLURMEnvironment.detect():
        return None
    if not tasks():
        return LightningEnvironment()
    if "SLURM_NTASKS_PER_NODE" not in os.environ:
        raise ConfigError(f"srun: {tasks()} tasks; allowed is srun --ntasks-per-node=N, N the devices of a node")
    return SLURMEnvironment(auto_requeue=False)


def close(folder_loggers: Sequence[Logger], error: BaseException | None = None) -> None:
    """End the loggers' runs with the exit code of an error, or of that of this moment; the next job has its own."""
    error = error or sys.exception()
    status = 0 if error is None else verdict(error)[0]
    for logger in folder_loggers:
        with suppress(Exception):
            logger.finalize("success" if status == 0 else "failed")
        if isinstance(logger, Wandb):
            logger.end(status)
        elif type(logger).__name__ == "WandbLogger":  # Lightning's, of a config of the user's own
            import wandb

            wandb.finish(exit_code=status)
