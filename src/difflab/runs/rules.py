"""What values rule each other out, whatever each may be by itself (see ranges)."""

from collections.abc import Iterator
from typing import Any

from difflab.runs.kinds import shown

# The first must be below the second.
ORDERED = (
    ("schedule.sigma_min", "schedule.sigma_max"),
    ("schedule.beta_min", "schedule.beta_max"),
    ("schedule.log_snr_min", "schedule.log_snr_max"),
    ("schedule.start", "schedule.end"),
    ("c_noise.lowest", "c_noise.highest"),
    ("times.log_snr_min", "times.log_snr_max"),
    ("sampler.churn_min", "sampler.churn_max"),
    ("guidance.sigma_min", "guidance.sigma_max"),
)


def processes(flat: dict[str, Any]) -> int | None:
    """How many processes train; None where only the machine knows."""
    devices, nodes = flat.get("trainer.devices"), flat.get("trainer.num_nodes")
    a_node = len(devices) if isinstance(devices, list) else devices
    return a_node * nodes if isinstance(a_node, int) and a_node > 0 and isinstance(nodes, int) else None


def sharing(flat: dict[str, Any]) -> Iterator[str]:
    """A message for batches that the processes cannot share evenly."""
    size, batch, held_out = processes(flat), flat.get("data.batch_size"), flat.get("data.val_size")
    if size is not None and isinstance(batch, int) and batch % size:
        yield f"data.batch_size: {batch} cannot be shared by {size} processes; allowed are multiples of {size}"
    if size is not None and isinstance(held_out, int) and held_out < size:
        yield f"data.val_size: {held_out} for {size} processes; allowed are numbers from {size} on"


def components(flat: dict[str, Any]) -> Iterator[str]:
    """A message for a mixture whose lists are not equally long."""
    means = flat.get("data.means")
    for field in ("data.weights", "data.covariances"):
        value = flat.get(field)
        if isinstance(means, list) and isinstance(value, list) and len(value) != len(means):
            yield f"{field}: {shown(value)}; allowed are as many as there are means: {len(means)}"


def contradictions(flat: dict[str, Any], choices: dict[str, str]) -> Iterator[str]:
    """A message for each choice that another choice rules out."""
    T, steps = flat.get("schedule.T"), flat.get("sampler.steps")
    first, last = flat.get("schedule.beta_first"), flat.get("schedule.beta_last")
    if T is not None and first is not None and last is not None and 1000 / T * max(first, last) >= 1:
        least = 1000 * max(first, last)
        yield f"schedule.T: {T}; betas are scaled by 1000/T and must stay below 1: allowed are more than {least:g}"
    between = choices.get("grid") in ("log_snr", "karras", "explicit")  # grids that also visit times between steps
    between = between or choices.get("sampler") == "plain_langevin"  # all of its steps are at one time
    if T is not None and steps is not None and steps > T and not between:
        yield f"sampler.steps: {steps}; allowed are 1 to schedule.T = {T}"
    for low, high in ORDERED:
        a, b = flat.get(low), flat.get(high)
        if a is not None and b is not None and not a < b:
            yield f"{low}: {shown(a)}; allowed are numbers below {high} = {shown(b)}"
    yield from sharing(flat)
    epoch, together = flat.get("trainer.limit_train_batches"), flat.get("trainer.accumulate_grad_batches")
    if isinstance(epoch, int) and isinstance(together, int) and together > 0 and epoch % together:
        yield (  # Lightning takes a step at the end of an epoch, of however many batches
            f"trainer.limit_train_batches: {epoch}; allowed are multiples of accumulate_grad_batches = {together}"
        )
    yield from components(flat)
    for field in ("sweep.direction", "sweep.trials", "sweep.at_once"):
        if flat.get(field) is not None and choices.get("sweep") != "optuna":
            yield f"{field}: {flat[field]}; only sweep=optuna searches: allowed is null"
    if choices.get("trainer") == "fsdp" and flat.get("trainer.precision") == "16-mixed":
        yield "trainer.precision: 16-mixed; trainer=fsdp scales no loss: allowed are auto, 32-true, bf16-mixed"
    if choices.get("augmentation") == "edm" and flat.get("data.flip"):
        yield "data.flip: true; augmentation=edm mirrors images itself, and tells the network: allowed is false"
    if flat.get("logger.mode") is not None and choices.get("logger") != "wandb":
        yield f"logger.mode: {flat['logger.mode']}; only logger=wandb has modes"
    if flat.get("resume") is not None and flat.get("replay") is not None:
        yield f"replay: {shown(flat['replay'])} beside resume={shown(flat['resume'])}; allowed is one of them"
