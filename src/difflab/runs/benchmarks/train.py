"""Training of the published CIFAR-10 network: against diffusers, against a bare loop, and against the machine."""

from collections.abc import Callable
from contextlib import nullcontext
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from difflab.data import Indexed
from difflab.process import diffuse
from difflab.runs.benchmarks.networks import SHAPE, bare_step, diffusers, ours, random_images, theirs, update
from difflab.runs.benchmarks.peak import Peak, peak
from difflab.runs.benchmarks.row import Row
from difflab.runs.benchmarks.steps import in_turn
from difflab.runs.benchmarks.timing import interleaved, medians

PRECISIONS = {"float32": "32-true", "bfloat16": "bf16-mixed"}


def as_its_example(data: Indexed) -> Callable[[], None]:
    """A step of diffusers' example of unconditional training: its network, scheduler, moving average and settings."""
    library = diffusers()
    from diffusers.training_utils import EMAModel

    network = theirs().train()
    scheduler = library.DDPMScheduler(num_train_timesteps=1000, beta_schedule="linear")
    average = EMAModel(network.parameters(), decay=0.9999, use_ema_warmup=True, inv_gamma=1.0, power=0.75)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, betas=(0.95, 0.999), weight_decay=1e-6, eps=1e-8)

    def step() -> None:
        clean = batch(data)
        noise = torch.randn(clean.shape)
        timesteps = torch.randint(0, 1000, (len(clean),))
        loss = functional.mse_loss(network(scheduler.add_noise(clean, noise, timesteps), timesteps).sample, noise)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        average.step(network.parameters())

    return step


def tuned(data: Indexed, precision: str) -> Callable[[], None]:
    """The same network with our layout, precision, optimizer and average."""
    network = theirs().train().to(memory_format=torch.channels_last)
    by = update(network)
    schedule = ours(1).schedule

    def step() -> None:
        clean = batch(data).contiguous(memory_format=torch.channels_last)
        noise = torch.randn_like(clean)
        t = torch.randint(1, 1001, (len(clean),))
        mixed = torch.autocast("cpu", torch.bfloat16) if precision == "bfloat16" else nullcontext()
        with mixed:
            found = network(diffuse(schedule, clean, noise, t / 1000), t - 1).sample
            loss = functional.mse_loss(found.float(), noise)
        by(loss)

    return step


def batch(data: Indexed) -> Tensor:
    """Random images of the training part, in the model's numbers."""
    return data.scaling.encode(data.train.values[torch.randint(len(data.train), (data.batch_size,)).tolist()])


def operations() -> int:
    """Of the forward and backward pass of one image, as PyTorch counts them, with convolutions as they are defined."""
    network = ours(1, winograd=False).network.to("meta")
    x, c_noise = torch.empty(1, *SHAPE, device="meta"), torch.empty(1, device="meta")
    with FlopCounterMode(display=False) as counter:
        network(x, c_noise).sum().backward()
    return counter.get_total_flops()


def fastest(data: Indexed, machine: Peak) -> str:
    """Our precision on this machine: bfloat16 is tried where its products are faster."""
    if machine.bfloat16 <= machine.float32:
        return "float32"
    sides = {}
    for name in PRECISIONS:
        step = bare_step(ours(data.batch_size), data)
        sides[name] = step if name == "float32" else mixed(step)
    found = medians(interleaved(sides, 2, label="precisions"))
    return min(found, key=lambda name: found[name])


def mixed(step: Callable[[], None]) -> Callable[[], None]:
    """The step under autocast."""

    def autocast() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            step()

    return autocast


def train(settings: dict[str, Any]) -> list[Row]:
    """Rows train, tuned, utilisation and trainer: all sides in turn, a step of each."""
    size, steps = settings["batch_size"], settings["steps"] * settings["repetitions"]
    data, machine = random_images(size), peak(settings["repetitions"])
    precision = fastest(data, machine)
    bare = bare_step(ours(size), data)
    others = {
        "bare": bare if precision == "float32" else mixed(bare),
        "example": as_its_example(data),
        "tuned": tuned(data, precision),
    }
    seconds = in_turn(ours(size), others, data, steps, 2, PRECISIONS[precision])
    found = {name: median(times) for name, times in seconds.items()}
    achieved = operations() * size / found["ours"]
    most = machine.best * found["example"] / (operations() * size)
    best = getattr(machine, precision)
    how = f"batch {size}, {precision}, channels last, {len(seconds['ours'])} steps of each side in turn, medians"
    units = "has" if machine.bfloat16 > machine.float32 else "has no"
    rates = {name: size / time for name, time in found.items()}

    def against(name: str, peer: str, limit: str, target: float, words: str) -> Row:
        ratio = rates["ours"] / rates[peer]
        text = f"images/s in training, the Trainer's steps against {words}; {how}; this CPU {units} units for bfloat16"
        return Row(name, rates["ours"], rates[peer], ratio, limit, f"at least {target}", ratio >= target, text)

    share, over = achieved / best, found["ours"] / found["bare"]
    return [
        against("train", "example", f"{most:.2f}", 2.0, "diffusers' example of unconditional training"),
        against(
            "train, tuned peer", "tuned", f"{most * found['tuned'] / found['example']:.2f}", 1.25, "tuned diffusers"
        ),
        Row(
            *("utilisation", achieved / 1e9, best / 1e9, share, "1.00", "at least 0.75", share >= 0.75),
            f"GFLOP/s of convolutions and products as defined ({operations() / 1e9:.2f} GFLOP an image) against matrix "
            f"products of this run: float32 {machine.float32 / 1e9:.0f}, bfloat16 {machine.bfloat16 / 1e9:.0f}; {how}",
        ),
        Row(
            *("trainer", found["ours"], found["bare"], over, "1.00", "at most 1.03", over <= 1.03),
            f"seconds a step, unet_cifar10: Lightning, log, average and bar against a bare loop without them; {how}",
        ),
    ]
