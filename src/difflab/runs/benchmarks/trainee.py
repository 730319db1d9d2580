"""A process that trains the CIFAR-10 network and tells its peak memory: python -m difflab.runs.benchmarks.trainee SIDE.

A line on its input is a step, which a line of its output answers; at the end of its input it tells its memory.
"""

import json
import resource
import sys
from collections.abc import Callable
from pathlib import Path

SIDES = ("ours", "checkpointed", "peer")


def peak_gb() -> float:
    """The most that this process had in memory so far, in 10^9 bytes.

    Linux hands the figure of getrusage down from the process that has started this one; the one in /proc is its own.
    """
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e9
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def training(side: str, batch_size: int) -> Callable[[], None]:
    """A step of training: the same loop, optimizer and average for every network."""
    import torch
    from torch.nn import functional

    from difflab.process import diffuse
    from difflab.runs.benchmarks.networks import GROUPS, ours, random_images, theirs, update
    from difflab.runs.build import build
    from difflab.runs.load import option

    data = random_images(batch_size)
    if side == "peer":
        network = theirs().to(memory_format=torch.channels_last).train()
    else:
        network = ours(batch_size, checkpointing=side == "checkpointed").network.train()
    schedule, values = build(option("schedule", GROUPS["schedule"], {}), "schedule"), data.train.values[:]
    by = update(network)

    def step() -> None:
        x0 = data.scaling.encode(values[torch.randint(len(values), (batch_size,))])
        noise, k = torch.randn_like(x0), torch.randint(0, 1000, (batch_size,))
        x_t = diffuse(schedule, x0, noise, (k + 1).double() / 1000).contiguous(memory_format=torch.channels_last)
        found = network(x_t, k.float())
        loss = functional.mse_loss(found.sample if side == "peer" else found, noise)
        by(loss)

    return step


def main(side: str, batch_size: int) -> None:
    """Import what any side needs, make the network, train as told."""
    from diffusers import UNet2DModel  # noqa: F401

    from difflab.runs.benchmarks import networks  # noqa: F401

    before = peak_gb()
    step = training(side, batch_size)
    for _ in sys.stdin:
        step()
        print(flush=True)
    print(json.dumps({"imports": before, "peak": peak_gb()}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
