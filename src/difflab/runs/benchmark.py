"""scripts/benchmark.py: rows of ours against peer, interleaved in one process, medians compared."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table as RichTable
from torch import Tensor, nn

from difflab.data import ImageData, Images
from difflab.errors import ConfigError
from difflab.losses import Simple
from difflab.models import StepIndex
from difflab.prediction import Denoiser, V
from difflab.process import between, diffuse
from difflab.randomness import stream
from difflab.runs.assemble import denoiser_of
from difflab.runs.benchmarks.data import data as data_row
from difflab.runs.benchmarks.likelihood import likelihood
from difflab.runs.benchmarks.row import Row
from difflab.runs.benchmarks.sweep import sweep
from difflab.runs.build import build
from difflab.runs.folder import RunFolder, environment, write_json
from difflab.runs.load import option
from difflab.runs.paths import CONFIGS
from difflab.runs.trainer import quiet_lightning
from difflab.schedules import Marginal
from difflab.times import Uniform
from difflab.training import AdamW, Diffusion, Table, constant_ema
from difflab.training.callbacks import Checkpoints, Figures, StopOnSignal

REPOSITORY = CONFIGS.parent


class RandomImages(ImageData):
    """Random 32x32 RGB images: what a network costs does not depend on what it sees."""

    licence = "none"

    def read(self) -> tuple[Images, Images]:
        levels = stream(0, "benchmark").integers(0, 256, (512, 3, 32, 32), dtype="uint8")
        pixels = torch.from_numpy(levels)
        return Images(pixels[:448], None), Images(pixels[448:], None)


class BareSteps(Callback):
    """Between two steps of the Trainer, a step of a bare PyTorch loop with its own copy of the network; both timed."""

    def __init__(self, step: Callable[[], None], warmup: int) -> None:
        self.step, self.warmup = step, warmup
        self.ours: list[float] = []
        self.peer: list[float] = []
        self.left = 0.0

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        entered = time.perf_counter()
        if trainer.global_step > self.warmup:
            self.ours.append(entered - self.left)
        begun = time.perf_counter()
        self.step()
        if trainer.global_step >= self.warmup:
            self.peer.append(time.perf_counter() - begun)
        self.left = time.perf_counter()


def bare_step(denoiser: Denoiser, pixels: Tensor, batch_size: int) -> Callable[[], None]:
    """What a user would write without any framework: draw, predict, differentiate, clip, update."""
    optimizer = torch.optim.AdamW(denoiser.parameters(), 1e-4, fused=True)
    schedule, weights = denoiser.schedule, list(denoiser.parameters())

    def step() -> None:
        x0 = pixels[torch.randint(len(pixels), (batch_size,))].float() / 127.5 - 1
        eps = torch.randn_like(x0)
        t = torch.randint(1, 1001, (batch_size,)).double() / 1000
        loss = (denoiser(diffuse(schedule, x0, eps, t), t).eps - eps).square().mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()

    return step


def overhead(settings: dict[str, Any]) -> Row:
    """Lightning, logging, EMA and progress against a bare loop: the published CIFAR-10 network, steps in turn."""
    quiet_lightning()
    config = {"seed": 0, "targets": [], "c_noise": C_NOISE}
    config |= {group: option(group, name, config) for group, name in NETWORK.items()}
    data = RandomImages("", settings["batch_size"], 32, 0, False, 0)
    data.setup()
    ours, bare = denoiser_of(config, data), denoiser_of(config, data)
    steps, warmup = settings["steps"] * settings["repetitions"], 1
    interleaved = BareSteps(bare_step(bare, data.train.pixels[:], settings["batch_size"]), warmup)
    module = Diffusion(ours, Simple(), Uniform(), AdamW(1e-4, (0.9, 0.999), 1e-8, 0.0, 100, 1.0), data.scaling, 0)
    with tempfile.TemporaryDirectory() as folder:
        keep = Checkpoints(Path(folder), 10**9, 1)
        callbacks = [
            interleaved,
            constant_ema(0.999, True),
            Figures(10, settings["batch_size"]),
            keep,
            StopOnSignal(keep),
        ]
        options = option("trainer", "default", config) | {"precision": "32-true", "max_steps": steps + warmup + 1}
        del options["max_epochs"]
        fixed = {"max_epochs": -1, "check_val_every_n_epoch": None, "limit_val_batches": 0, "accelerator": "cpu"}
        quiet = dict.fromkeys(("enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
        table = Table(Path(folder) / "metrics.csv")
        trainer = build(options | fixed | quiet | {"callbacks": callbacks, "logger": [table]}, "trainer")
        trainer.fit(module, datamodule=data)
    mine, peer = median(interleaved.ours), median(interleaved.peer)
    how = (
        f"seconds a step, unet_cifar10, batch {settings['batch_size']}, float32, {len(interleaved.ours)} pairs in turn"
    )
    return Row("overhead", mine, peer, mine / peer, "1.00", "below 1.05", mine / peer < 1.05, how)


C_NOISE = {"_target_": "difflab.models.StepIndex"}
VARIANCE = {"_target_": "difflab.process.Posterior"}
NETWORK = {"model": "unet_cifar10", "schedule": "linear", "prediction": "eps"}


class Timed(nn.Module):
    """A network that keeps the time of each of its calls.

    Args:
        network: what is timed.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.c_noise = network, network.c_noise
        self.seconds: list[float] = []

    def forward(self, x: Tensor, c_noise: Tensor) -> Tensor:
        begun = time.perf_counter()
        output = self.network(x, c_noise)
        self.seconds.append(time.perf_counter() - begun)
        return output


@torch.inference_mode()
def sampler(settings: dict[str, Any]) -> Row:
    """A sampler's whole time against that of its network calls: every deterministic one and ancestral, the slowest."""
    config = {"seed": 0, "targets": [], "c_noise": C_NOISE, "grid": option("grid", "uniform", {}), "variance": VARIANCE}
    config |= {group: option(group, name, config) for group, name in NETWORK.items()}
    data = RandomImages("", settings["batch_size"], 32, 0, False, 0)
    data.setup()
    denoise = denoiser_of(config, data).eval()
    denoise.network = timed = Timed(denoise.network)
    shape = (settings["batch_size"], *data.shape)
    noise = torch.from_numpy(stream(0, "benchmark", "noise").standard_normal(shape, dtype="float32"))
    found: dict[str, tuple[float, float]] = {}
    for name in ("ancestral", "ddim", "dpm_solver", "heun", "unipc"):
        chosen = build(option("sampler", name, config, steps=settings["steps"]), "sampler")
        totals, inside = [], []
        for _ in range(settings["repetitions"]):
            timed.seconds.clear()
            begun = time.perf_counter()
            chosen.sample(denoise, denoise.schedule, lambda: noise)
            totals.append((time.perf_counter() - begun) / len(timed.seconds))
            inside.append(sum(timed.seconds) / len(timed.seconds))
        found[name] = median(totals), median(inside)
    slowest = max(found, key=lambda name: found[name][0] / found[name][1])
    mine, peer = found[slowest]
    shares = ", ".join(f"{name} {100 * (a / b - 1):.2f}%" for name, (a, b) in found.items())
    how = (
        f"seconds a network call, unet_cifar10, batch {settings['batch_size']}, {slowest}; beyond the network: {shares}"
    )
    return Row("sampler", mine, peer, mine / peer, "1.00", "below 1.03", mine / peer < 1.03, how)


@torch.inference_mode()
def coefficients(settings: dict[str, Any]) -> Row:
    """All numbers of a step (marginals, transition, row of the prediction, c_noise) for the slowest schedule."""
    steps, found = 50, {}
    for name in sorted(path.stem for path in (CONFIGS / "schedule").glob("*.yaml")):
        schedule = build(option("schedule", name, {}), "schedule")
        parameterisation, c_noise = V(), StepIndex()
        grid = build(option("grid", "uniform", {}), "grid")(schedule, steps)
        batch = [t.expand(settings["batch_size"]) for t in grid]
        seconds = []
        for _ in range(10 * settings["repetitions"]):
            begun = time.perf_counter()
            at = schedule.marginal(grid)
            for i in range(steps - 1):
                at_t, at_s = (Marginal(*(c[j] for c in at)) for j in (i, i + 1))
                between(at_s, at_t)
                parameterisation.row(at_t)
                c_noise(schedule, batch[i])
            seconds.append((time.perf_counter() - begun) / (steps - 1))
        found[name] = median(seconds)
    slowest = max(found, key=lambda name: found[name])
    mine = found[slowest] * 1e6
    how = f"microseconds a step, {slowest} (the slowest of {len(found)} schedules), median of {steps}-step grids"
    return Row("coefficients", mine, None, None, "a handful of scalar operations", "below 50", mine < 50, how)


def first_second(settings: dict[str, Any]) -> Row:
    """How long `--help` and `--cfg job` take, the slower of the two."""
    seconds = []
    for flags in (["--help"], ["--cfg", "job"]):
        times = []
        for _ in range(settings["repetitions"]):
            begun = time.perf_counter()
            subprocess.run([sys.executable, "train.py", *flags], cwd=REPOSITORY, check=True, capture_output=True)
            times.append(time.perf_counter() - begun)
        seconds.append(median(times))
    slower = max(seconds)
    how = f"seconds: --help {seconds[0]:.2f}, --cfg job {seconds[1]:.2f}, median of {settings['repetitions']}"
    return Row("first_second", slower, None, None, "interpreter and hydra", "below 1.5 s", slower < 1.5, how)


ROWS: dict[str, Callable[[dict[str, Any]], Row]] = {
    "overhead": overhead,
    "sampler": sampler,
    "coefficients": coefficients,
    "first_second": first_second,
    "sweep": sweep,
    "likelihood": likelihood,
    "data": data_row,
}


def main(cfg: DictConfig, folder: RunFolder) -> None:
    """Measure, print the table, write it.

    Raises:
        ConfigError: for a row that does not exist.
    """
    settings: Any = OmegaConf.to_container(cfg, resolve=True)
    for name in settings["rows"]:
        if name not in ROWS:
            raise ConfigError(f"rows: {name}; allowed are {', '.join(ROWS)}")
    measured = [ROWS[name](settings) for name in settings["rows"]]
    table = RichTable("row", "ours", "peer", "ratio", "limit", "target", "met", "how")
    for row in measured:
        numbers = ["" if value is None else f"{value:.3f}" for value in (row.ours, row.peer, row.ratio)]
        table.add_row(row.name, *numbers, row.limit, row.target, "yes" if row.met else "no", row.how)
    console = Console()
    console = console if console.is_terminal else Console(width=160)
    console.print(table)
    if settings["out"] is not None:
        rows = [row._asdict() for row in measured]
        write_json(Path(settings["out"]), {"rows": rows, "environment": environment([])})
