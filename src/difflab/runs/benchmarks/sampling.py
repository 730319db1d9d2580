"""Sampling with the published CIFAR-10 network: against diffusers' DDIM pipeline, and against the network alone."""

import time
from functools import partial
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from difflab.evaluation import generate
from difflab.randomness import stream
from difflab.runs.benchmarks.networks import SHAPE, choices, diffusers, ours, theirs
from difflab.runs.benchmarks.peak import peak
from difflab.runs.benchmarks.row import Row
from difflab.runs.benchmarks.timing import interleaved, medians
from difflab.runs.build import build
from difflab.runs.flops import count
from difflab.runs.load import option
from difflab.samplers import Sampler

CALLS = 5  # of the network, for each sample
SAMPLERS = ("ancestral", "ddim", "dpm_solver", "heun", "unipc")


def sampler_of(name: str, steps: int) -> Sampler:
    """A sampler by its YAML."""
    more = {"grid": option("grid", "uniform", {}), "variance": {"_target_": "difflab.process.Posterior"}}
    return build(option("sampler", name, choices() | more, steps=steps), "sampler")


def pipeline(channels_last: bool) -> Any:
    """diffusers' pipeline of its network, as its documentation has it."""
    library = diffusers()
    network = theirs().eval()
    if channels_last:
        network.to(memory_format=torch.channels_last)
    found = library.DDIMPipeline(network, library.DDIMScheduler(num_train_timesteps=1000, beta_schedule="linear"))
    found.set_progress_bar_config(disable=True)
    return found


def sampling(settings: dict[str, Any]) -> list[Row]:
    """Rows sampling and sampling, tuned peer: the same number of images by the same number of network calls."""
    size, repetitions = settings["batch_size"], settings["repetitions"]
    denoise, chosen, machine = ours(size).eval(), sampler_of("ddim", CALLS), peak(repetitions)
    default, tuned = pipeline(channels_last=False), pipeline(channels_last=True)

    def own(precision: str) -> None:
        generate(denoise, chosen, SHAPE, size, 0, size, precision=precision)

    precisions = ["32-true"] if machine.bfloat16 <= machine.float32 else ["32-true", "bf16-mixed"]
    tried = medians(interleaved({p: partial(own, p) for p in precisions}, 1, label="precisions"))
    precision = min(tried, key=lambda p: tried[p])

    def same_precision() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision != "32-true"):
            tuned(batch_size=size, num_inference_steps=CALLS, output_type="np")

    sides = {
        "ours": partial(own, precision),
        "default": lambda: default(batch_size=size, num_inference_steps=CALLS, output_type="np"),
        "tuned": same_precision,
    }
    found = medians(interleaved(sides, repetitions, label="sampling"))
    rates = {name: size / seconds for name, seconds in found.items()}
    how = (
        f"images/s, DDIM, {CALLS} network calls a sample, {size} samples at a time, {precision}, whole calls of "
        f"generate and of DDIMPipeline in turn, medians of {repetitions}"
    )
    rows = []
    for name, peer, target in (("sampling", "default", 2.0), ("sampling, tuned peer", "tuned", 1.1)):
        ratio, limit = rates["ours"] / rates[peer], machine.best / (rates[peer] * CALLS * forward_operations())
        words = "in our layout and precision" if peer == "tuned" else "as it comes"
        text = f"{how}; the peer {words}"
        target_met = ratio >= target
        rows.append(
            Row(name, rates["ours"], rates[peer], ratio, f"{limit:.2f}", f"at least {target}", target_met, text)
        )
    return rows


def forward_operations() -> int:
    """Of a forward pass of one image, with convolutions as they are defined."""
    return count(ours(1, winograd=False).network.to("meta"), SHAPE).flops


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
def sampler(settings: dict[str, Any]) -> list[Row]:
    """A sampler's whole time against that of its network calls: every deterministic one and ancestral, the slowest."""
    size, steps = settings["batch_size"], settings["steps"]
    denoise = ours(size).eval()
    denoise.network = timed = Timed(denoise.network)
    noise = torch.from_numpy(stream(0, "benchmark", "noise").standard_normal((size, *SHAPE), dtype="float32"))
    found: dict[str, tuple[float, float]] = {}
    for name in SAMPLERS:
        chosen, totals, inside = sampler_of(name, steps), [], []
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
    how = f"seconds a network call, unet_cifar10, batch {size}, {slowest}; beyond the network: {shares}"
    return [Row("sampler", mine, peer, mine / peer, "1.00", "at most 1.02", mine / peer <= 1.02, how)]
