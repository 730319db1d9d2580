"""scripts/cost.py: what the training and the sampling of experiments cost on common GPUs, from counted operations."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from hydra import compose
from omegaconf import DictConfig, OmegaConf

from difflab.data import Indexed
from difflab.errors import ConfigError
from difflab.runs.assemble import conditioning_of, schedule_of, told, untried_sampler
from difflab.runs.build import build
from difflab.runs.flops import Counted, count
from difflab.runs.folder import RunFolder, write_json
from difflab.runs.validate import not_an_option, options_of

# Operations a second, dense, in bfloat16 with sums in float32: NVIDIA's data sheets (A100, H100 SXM) and its paper on
# the Ada architecture (RTX 4090).
PEAKS = {"A100": 312e12, "H100": 989e12, "RTX 4090": 165e12}
BACKWARD = 2  # in forward passes: gradients of inputs and of weights
STATE = 20  # bytes a parameter in float32: itself, its gradient, two averages of Adam, the moving average
FID = 50_000  # samples of a published distance


class Cost(NamedTuple):
    """Of one experiment.

    Attributes:
        counted: of its network.
        batch: images of an optimizer step.
        images: that it is trained on, each as often as it is seen.
        calls: network calls of a sample; None for a solver that chooses its own steps.
    """

    name: str
    counted: Counted
    batch: int
    images: int
    calls: int | None

    @property
    def training(self) -> float:
        """Operations."""
        return (1 + BACKWARD) * self.counted.flops * self.images

    @property
    def sampling(self) -> float | None:
        """Operations of as many samples as a published distance is of."""
        return None if self.calls is None else self.counted.flops * self.calls * FID

    @property
    def memory(self) -> int:
        """Bytes of training on one GPU in float32, but for what libraries take for themselves."""
        return STATE * self.counted.parameters + self.batch * self.counted.kept


def shape_of(data: Indexed, settings: Mapping[str, Any]) -> tuple[int, ...]:
    """The shape that a data set of images has by what it says of itself and by its settings, without its files.

    Raises:
        ConfigError: for one that does not say it.
    """
    sides: list[int] = []
    for word in data.form.split(",")[0].split(" x "):
        value = int(word) if word.isdigit() else settings.get(word)
        sides += value if isinstance(value, list) else [value]
    sides = sides if len(sides) == 3 else [*sides, sides[-1]]
    if len(sides) != 3 or not all(isinstance(side, int) for side in sides):
        raise ConfigError(f"experiments: {type(data).__name__} says its shape with its files; allowed are other data")
    return tuple(sides)


def cost_of(name: str, config: Mapping[str, Any]) -> Cost:
    """The cost of a composed experiment.

    Raises:
        ConfigError: for what cannot be built without data.
    """
    more = list(config["targets"])
    data = build(config["data"], "data", more)
    data.shape, data.bounded = shape_of(data, config["data"]), True
    variance = build(config["variance"], "variance", more)
    offers = {"shape": data.shape, "outputs": 1 + variance.outputs} | told(config, data, conditioning_of(config, data))
    with torch.device("meta"):
        network = build(config["model"], "model", more, **offers)
    batch = config["data"]["batch_size"] * config["trainer"]["accumulate_grad_batches"]
    calls = untried_sampler(config, data).calls(schedule_of(config, data.shape))
    return Cost(name, count(network, data.shape), batch, batch * config["trainer"]["max_steps"], calls)


def figures(cost: Cost) -> dict[str, Any]:
    """All of it, by name."""
    found = cost._asdict() | cost.counted._asdict()
    del found["counted"]
    return found | {"training": cost.training, "sampling": cost.sampling, "memory": cost.memory}


def table(costs: list[Cost], utilisation: float) -> str:
    """A row for each, in Markdown."""
    head = ["experiment", "parameters", "GFLOP forward", "images", "EFLOP training"]
    head += [f"{gpu}, hours" for gpu in PEAKS] + ["memory, GB", "calls a sample", "A100, hours for 50,000 samples"]
    lines = [head, ["---"] * len(head)]
    for cost in costs:
        hours = [cost.training / (peak * utilisation) / 3600 for peak in PEAKS.values()]
        sampling = "" if cost.sampling is None else f"{cost.sampling / (PEAKS['A100'] * utilisation) / 3600:.3g}"
        lines.append(
            [
                *(cost.name, f"{cost.counted.parameters:,}", f"{cost.counted.flops / 1e9:.3g}"),
                *(f"{cost.images:,}", f"{cost.training / 1e18:.3g}"),
                *(f"{each:.3g}" for each in hours),
                *(f"{cost.memory / 1e9:.2g}", "its own" if cost.calls is None else f"{cost.calls:,}", sampling),
            ]
        )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(cfg: DictConfig, folder: RunFolder) -> None:
    """Count, print the table, write the figures.

    Raises:
        ConfigError: for an experiment that does not exist, or whose cost needs its data.
    """
    for name in cfg.experiments:
        if name not in options_of("experiment"):
            raise ConfigError(not_an_option("experiments", name, options_of("experiment")))
    costs = []
    for name in cfg.experiments:
        composed: Any = OmegaConf.to_container(compose("train", [f"experiment={name}", "name=cost"]), resolve=True)
        costs.append(cost_of(name, composed))
    print(table(costs, cfg.utilisation))
    if cfg.out is not None:
        rows = [figures(cost) for cost in costs]
        write_json(Path(cfg.out), {"rows": rows, "peaks": PEAKS, "utilisation": cfg.utilisation})
