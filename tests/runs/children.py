"""Whole runs in child processes that share one import of torch and lightning, so that they can be killed cheaply."""

import contextlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

SMALL = (
    "model=mlp",
    "model.width=16",
    "model.blocks=1",
    "metrics=none",
    "trainer.max_steps=12",
    "trainer.val_check_interval=4",
    "trainer.log_every_n_steps=2",
    "trainer.accelerator=cpu",
    "checkpoints.every=3",
    "data.batch_size=32",
    "name=test",
)

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(
    ["torch", "lightning", "difflab.runs.train", "difflab.runs.sample", "difflab.runs.evaluate"]
)


def kill_at(where: str, step: int, signum: int) -> None:
    """Make this process signal itself at a point of its training: before a batch, in validation, while saving."""
    from difflab.training import Diffusion

    struck = []

    def strike() -> None:
        if not struck:
            struck.append(step)
            os.kill(os.getpid(), signum)

    if where == "saving":
        import lightning.pytorch.trainer.trainer as lightning_trainer

        save = lightning_trainer.Trainer.save_checkpoint

        def cut(trainer, path, *args, **kwargs):
            if trainer.global_step == step:
                Path(path).write_bytes(b"half a checkpoint")
                strike()
            return save(trainer, path, *args, **kwargs)

        lightning_trainer.Trainer.save_checkpoint = cut
        return
    name = {"training": "training_step", "validation": "validation_step"}[where]
    original = getattr(Diffusion, name)

    def hooked(self, batch, batch_idx):
        if self.global_step == step:
            strike()
        return original(self, batch, batch_idx)

    setattr(Diffusion, name, hooked)


def command(config: str, task: str, arguments: list[str], output: Path, kill: tuple[str, int, int] | None) -> None:
    """The body of a child: a script's command line, its output in a file."""
    import torch

    from difflab.runs import run

    torch.set_num_threads(1)
    os.environ["DIFFLAB_QUIET"] = "1"
    sys.argv = [f"{config}.py", *arguments]
    if kill is not None:
        kill_at(*kill)
    with output.open("a") as file, contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
        run(config, task, owns_folder=config == "train")


def script(
    name: str, arguments: Iterable[str], folder: Path, kill: tuple[str, int, int] | None = None
) -> tuple[int, str]:
    """Exit code (negative for a signal) and output of a script run in a child with this working folder."""
    output = folder / "output.txt"
    before = output.stat().st_size if output.exists() else 0
    here = Path.cwd()
    os.chdir(folder)
    try:
        child = context.Process(target=command, args=(name, f"difflab.runs.{name}", list(arguments), output, kill))
        child.start()
    finally:
        os.chdir(here)
    child.join(240)
    if child.is_alive():
        child.kill()
        raise AssertionError(f"{name} {arguments} did not end")
    assert child.exitcode is not None
    text = output.read_text()[before:] if output.exists() else ""
    return child.exitcode, text


def train(*arguments: str, folder: Path, kill: tuple[str, int, int] | None = None) -> tuple[int, str]:
    """`python train.py` with the small settings."""
    base = () if any(a.startswith("resume=") and "auto" not in a for a in arguments) else SMALL
    return script("train", [*base, *arguments], folder, kill)


def run_folder(folder: Path) -> Path:
    """The one run folder made there."""
    (found,) = (folder / "outputs" / "runs").glob("*/*")
    return found


SIGKILL, SIGTERM, SIGINT = signal.SIGKILL, signal.SIGTERM, signal.SIGINT
