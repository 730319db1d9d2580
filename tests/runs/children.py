"""Whole runs in child processes that share one import of torch and lightning, so that they can be killed cheaply."""

import contextlib
import multiprocessing
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
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
    [
        "torch",
        "lightning",
        *(f"difflab.runs.{command}" for command in ("train", "sample", "evaluate", "study", "inpaint")),
    ]
)


def kill_at(where: str, step: int, signum: int) -> None:
    """Make this process signal itself: before Hydra, reading the data, before a batch, in validation, while saving."""
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
    if where == "command line":
        from difflab.runs import frame

        def cut_resumed(arguments):
            strike()
            return arguments

        frame.resumed = cut_resumed
        return
    if where == "data":
        from difflab.data import Digits

        read = Digits.read

        def cut_read(self):
            strike()
            return read(self)

        Digits.read = cut_read
        return
    name = {"training": "training_step", "validation": "validation_step"}[where]
    original = getattr(Diffusion, name)

    def hooked(self, batch, batch_idx):
        if self.global_step == step:
            strike()
        return original(self, batch, batch_idx)

    setattr(Diffusion, name, hooked)


def no_network() -> None:
    """Downloads go where nobody listens."""
    from torchvision import datasets

    nowhere = "http://127.0.0.1:9/"
    datasets.MNIST.mirrors = datasets.FashionMNIST.mirrors = [nowhere]
    datasets.CIFAR10.url = nowhere + datasets.CIFAR10.filename


def any_checksum() -> None:
    """Small files stand in for those of CIFAR-10 and SVHN."""
    from torchvision import datasets

    for part in (datasets.CIFAR10.train_list, datasets.CIFAR10.test_list):
        for entry in part:
            entry[1] = None
    datasets.CIFAR10.meta["md5"] = None
    for entry in datasets.SVHN.split_list.values():
        entry[2] = None


def importable(folder: Path) -> None:
    """Modules of the user's own."""
    sys.path.insert(0, str(folder))


def poisoned(step: int) -> None:
    """From this optimizer step on, counted from 1, the images are not numbers."""
    from difflab.training import Diffusion

    noised = Diffusion.noised

    def spoilt(self, batch, purpose, times):
        result = noised(self, batch, purpose, times)
        if purpose == "train" and self.global_step >= step - 1:
            result[1].x_t.fill_(float("nan"))
        return result

    Diffusion.noised = spoilt


def spoilt(steps: Iterable[int], example: int, factor: float) -> None:
    """At these optimizer steps, counted from 1, an example of every global batch has its noise and x_t multiplied."""
    from difflab.training import Diffusion

    noised = Diffusion.noised

    def spoil(self, batch, purpose, times):
        result = noised(self, batch, purpose, times)
        here = example - batch.first
        if purpose == "train" and self.global_step + 1 in steps and 0 <= here < len(batch.values):
            result[1].eps[here] *= factor
            result[1].x_t[here] *= factor
        return result

    Diffusion.noised = spoil


def overflown(step: int) -> None:
    """The update of this optimizer step, counted from 1, makes a weight infinite."""
    from difflab.training import Diffusion

    def optimizer_step(self, *args, **kwargs):
        super(Diffusion, self).optimizer_step(*args, **kwargs)
        if self.global_step == step - 1:  # it is counted after this
            next(self.parameters()).data.view(-1)[0] = float("inf")

    Diffusion.optimizer_step = optimizer_step


def failing(step: int) -> None:
    """An error of the program's own, in the middle of training."""
    from difflab.training import Diffusion

    original = Diffusion.training_step

    def broken(self, batch, batch_idx):
        if self.global_step == step:
            raise ValueError("two things\nwent wrong")
        return original(self, batch, batch_idx)

    Diffusion.training_step = broken


def signalled_twice(step: int, signum: int) -> None:
    """Two signals in one step."""
    from difflab.training import Diffusion

    original = Diffusion.training_step

    def struck(self, batch, batch_idx):
        if self.global_step == step:
            os.kill(os.getpid(), signum)
            os.kill(os.getpid(), signum)
        return original(self, batch, batch_idx)

    Diffusion.training_step = struck


def signalled_while_it_ends(step: int, first: int, then: int) -> None:
    """A signal in a step; the other comes when the run has stopped for it and writes down why."""
    from difflab.runs.frame import Frame

    tell = Frame.tell

    def struck(self, *arguments):
        os.kill(os.getpid(), then)
        tell(self, *arguments)

    Frame.tell = struck
    at_step(step, lambda: os.kill(os.getpid(), first))


def marked(trail: Path) -> None:
    """What a job finds in its process when its training begins is a line in a file."""
    import json

    import torch

    from difflab.training import Diffusion

    original = Diffusion.training_step

    def told(self, batch, batch_idx):
        if batch.step:
            return original(self, batch, batch_idx)
        found = {
            "anomaly": torch.is_anomaly_enabled(),
            "environment": sorted(os.environ),
            "arguments": sys.argv,
            "threads": torch.get_num_threads(),
            "numbers": [torch.rand(1).item(), random.random()],
        }
        with trail.open("a") as file:
            file.write(json.dumps(found) + "\n")
        return original(self, batch, batch_idx)

    Diffusion.training_step = told


def waiting(step: int, entered: Path, go: Path) -> None:
    """Stop at a step until a file is there."""
    from difflab.training import Diffusion

    original = Diffusion.training_step

    def held(self, batch, batch_idx):
        if self.global_step == step:
            entered.touch()
            while not go.exists():
                time.sleep(0.01)
        return original(self, batch, batch_idx)

    Diffusion.training_step = held


def no_room_for_checkpoints(step: int) -> None:
    """From the checkpoint of this step on, files of more than 20 kB cannot be written."""
    import lightning.pytorch.trainer.trainer as lightning_trainer

    save = lightning_trainer.Trainer.save_checkpoint

    def limited(trainer, path, *args, **kwargs):
        if trainer.global_step == step:
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
        return save(trainer, path, *args, **kwargs)

    lightning_trainer.Trainer.save_checkpoint = limited


def command(
    config: str,
    task: str,
    arguments: list[str],
    folder: Path,
    kill: tuple[str, int, int] | None,
    prepare: Callable[[], None] | None,
) -> None:
    """The body of a child: a script's command line, its output in files."""
    import torch

    from difflab.runs import run

    torch.set_num_threads(1)
    os.environ["DIFFLAB_QUIET"] = "1"
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    sys.argv = [str(REPOSITORY / ("train.py" if config == "train" else f"scripts/{config}.py")), *arguments]
    if kill is not None:
        kill_at(*kill)
    if prepare is not None:
        prepare()
    with (
        (folder / "output.txt").open("a") as output,
        (folder / "errors.txt").open("a") as errors,
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(errors),
    ):
        if config == "import_weights":
            from difflab.interop.importing import as_training

            run(config, task, owns_folder=True, rewrite=as_training)
        run(config, task, owns_folder=config == "train")


def start(
    name: str,
    arguments: Iterable[str],
    folder: Path,
    kill: tuple[str, int, int] | None = None,
    prepare: Callable[[], None] | None = None,
    task: str | None = None,
) -> multiprocessing.Process:
    """A script in a child with this working folder, its output in output.txt and errors.txt there; its task is the
    module of its name in runs/, if it is no other."""
    here = Path.cwd()
    os.chdir(folder)
    try:
        child = context.Process(
            target=command, args=(name, task or f"difflab.runs.{name}", list(arguments), folder, kill, prepare)
        )
        child.start()
    finally:
        os.chdir(here)
    return child


def script(
    name: str,
    arguments: Iterable[str],
    folder: Path,
    kill: tuple[str, int, int] | None = None,
    prepare: Callable[[], None] | None = None,
    task: str | None = None,
) -> tuple[int, str]:
    """Exit code (negative for a signal) and output, then error output, of a script run in a child."""
    texts = (folder / "output.txt", folder / "errors.txt")
    before = [len(read(text)) for text in texts]
    child = start(name, arguments, folder, kill, prepare, task)
    child.join(240)
    if child.is_alive():
        child.kill()
        raise AssertionError(f"{name} {arguments} did not end")
    assert child.exitcode is not None
    return child.exitcode, "".join(read(text)[n:] for text, n in zip(texts, before, strict=True))


def read(path: Path) -> str:
    """The text of a file; empty where there is none."""
    return path.read_text() if path.exists() else ""


def train(
    *arguments: str,
    folder: Path,
    kill: tuple[str, int, int] | None = None,
    prepare: Callable[[], None] | None = None,
) -> tuple[int, str]:
    """`python train.py` with the small settings."""
    base = () if any(a.startswith("resume=") and "auto" not in a for a in arguments) else SMALL
    return script("train", [*base, *arguments], folder, kill, prepare)


def shell(arguments: Iterable[str], folder: Path, **environment: str) -> subprocess.Popen[str]:
    """`python ARGUMENTS` started as users start it, in a folder and a process group of its own."""
    first, *rest = arguments
    settings = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY / "src"), "XDG_CACHE_HOME": str(folder / "cache")}
    return subprocess.Popen(
        [sys.executable, str(REPOSITORY / first), *rest],
        cwd=folder,
        env=os.environ | settings | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def run_folder(folder: Path) -> Path:
    """The one run folder made there."""
    (found,) = (folder / "outputs" / "runs").glob("*/*")
    return found


SIGKILL, SIGTERM, SIGINT = signal.SIGKILL, signal.SIGTERM, signal.SIGINT
SIGUSR1, SIGUSR2 = signal.SIGUSR1, signal.SIGUSR2


def at_step(step: int, action: Callable[[], object]) -> None:
    """Something happens to a run in the middle of an optimizer step, counted from 0."""
    from difflab.training import Diffusion

    original, over = Diffusion.training_step, []

    def struck(self, batch, batch_idx):
        if self.global_step == step and not over:
            over.append(step)
            action()
        return original(self, batch, batch_idx)

    Diffusion.training_step = struck


def fill(disk: Path) -> None:
    """Leave no byte free on a disk."""
    with contextlib.suppress(OSError), (disk / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def remove(*folders: Path) -> None:
    """Delete folders with all that is in them."""
    for folder in folders:
        shutil.rmtree(folder)


def read_only(folder: Path) -> None:
    """From now on nothing can be written there, but to files that are open."""
    subprocess.run(["mount", "-o", "bind,ro", str(folder), str(folder)], check=True)


def with_workers() -> None:
    """Workers are started as by a process which users start: forked, without importing everything anew."""
    multiprocessing.set_start_method("fork", force=True)


def waiting_with_workers(step: int, entered: Path, go: Path) -> None:
    """The same as `waiting`, in a process that starts others as one does which users start."""
    multiprocessing.set_start_method("fork", force=True)
    waiting(step, entered, go)


def under_slurm(step: int, signum: int, told: Path) -> None:
    """A job of SLURM that is sent a signal in a step; who listened before writes down what it hears."""
    os.environ |= {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "1", "SLURM_JOB_NAME": "training", "SLURM_NODELIST": "here"}
    os.environ |= {"SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0"}
    signal.signal(signum, lambda number, _: told.open("a").write(f"{number}\n"))
    from difflab.runs import train as module

    close = module.close

    def closed(*arguments):  # training is over by then
        close(*arguments)
        os.kill(os.getpid(), signum)

    module.close = closed
    at_step(step, lambda: [os.kill(os.getpid(), signum) for _ in range(2)])
