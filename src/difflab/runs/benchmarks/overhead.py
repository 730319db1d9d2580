"""What the Trainer adds to a step of the smallest network: Lightning, logging, moving average and progress."""

from statistics import fmean
from typing import Any

from difflab.runs.assemble import denoiser_of
from difflab.runs.benchmarks.networks import bare_step, choices
from difflab.runs.benchmarks.row import Row
from difflab.runs.benchmarks.steps import EVERY, in_turn
from difflab.runs.build import build
from difflab.runs.load import option

BATCH, STEPS, WARMUP = 64, 2000, 100


def overhead(settings: dict[str, Any]) -> list[Row]:
    """Where a step takes no longer than what surrounds it."""
    data = build(option("data", "swiss_roll", {"seed": 0, "cache": None}, batch_size=BATCH), "data")
    data.setup()
    config = choices(model="mlp")
    config["model"] |= {"width": 32, "blocks": 1}
    own, bare = denoiser_of(config, data), denoiser_of(config, data)
    found = in_turn(own, {"bare": bare_step(bare, data)}, data, STEPS, WARMUP)
    # Means: a row of the log comes every so many steps, and counts.
    mine, peer = 1e3 * fmean(found["ours"]), 1e3 * fmean(found["bare"])
    how = (
        f"milliseconds a step, an MLP of width 32 on points, batch {BATCH}, means of {len(found['ours'])} steps, each "
        f"beside one of a bare loop, a row of the log every {EVERY} steps: {mine - peer:.2f} ms more"
    )
    target = "at most 1.0 ms more"
    return [Row("trainer, smallest network", mine, peer, mine / peer, "0.5 ms more", target, mine - peer <= 1.0, how)]
