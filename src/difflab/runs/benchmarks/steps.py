"""Steps of the Trainer as a run has them, each beside a step of every loop that it is compared with."""

import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from difflab.data import Indexed
from difflab.losses import Simple
from difflab.prediction import Denoiser
from difflab.runs.build import build
from difflab.runs.load import option
from difflab.runs.trainer import quiet_lightning
from difflab.times import Uniform
from difflab.training import AdamW, Diffusion, Table, constant_ema
from difflab.training.callbacks import Checkpoints, Figures, StopOnSignal

EVERY = 50  # steps between two rows of the log, as by default


class Beside(Callback):
    """Between two steps of the Trainer a step of each other loop; seconds of all of them.

    Args:
        others: loops, by name.
        warmup: steps that are not counted.
    """

    def __init__(self, others: Mapping[str, Callable[[], Any]], warmup: int) -> None:
        self.others, self.warmup = others, warmup
        self.seconds: dict[str, list[float]] = {"ours": [], **{name: [] for name in others}}
        self.left = 0.0

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        entered = time.perf_counter()
        if trainer.global_step > self.warmup:
            self.seconds["ours"].append(entered - self.left)
        for name, step in self.others.items():
            begun = time.perf_counter()
            step()
            if trainer.global_step >= self.warmup:
                self.seconds[name].append(time.perf_counter() - begun)
        self.left = time.perf_counter()


def in_turn(
    denoiser: Denoiser,
    others: Mapping[str, Callable[[], Any]],
    data: Indexed,
    steps: int,
    warmup: int,
    precision: str = "32-true",
) -> dict[str, list[float]]:
    """Seconds of so many steps of the Trainer, and of the others, by name.

    The Trainer has the callbacks of a run: average, figures with their bar, checkpoints, signals, watchdog.
    """
    quiet_lightning()
    beside = Beside(others, warmup)
    module = Diffusion(denoiser, Simple(), Uniform(), AdamW(1e-4, (0.9, 0.999), 1e-8, 0.0, 100, 1.0), data.scaling, 0)
    with tempfile.TemporaryDirectory() as folder:
        keep = Checkpoints(Path(folder), 10**9, 1)
        figures = Figures(EVERY, data.batch_size)
        callbacks = [beside, module.watchdog, constant_ema(0.999, True), figures, keep, StopOnSignal(keep)]
        options = option("trainer", "default", {}) | {"precision": precision, "max_steps": steps + warmup + 1}
        del options["max_epochs"], options["max_time"]
        fixed = {"max_epochs": -1, "check_val_every_n_epoch": None, "limit_val_batches": 0, "accelerator": "cpu"}
        quiet = dict.fromkeys(("enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
        table = Table(Path(folder) / "metrics.csv")
        trainer = build(options | fixed | quiet | {"callbacks": callbacks, "logger": [table]}, "trainer")
        trainer.fit(module, datamodule=data)
    return beside.seconds
