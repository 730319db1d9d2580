"""failure.json: the step that stopped a run, with all that is needed to train up to it again; replay= on command lines.

Imports nothing heavy.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from difflab.errors import ConfigError
from difflab.runs.folder import RunFolder, environment, write_text
from difflab.runs.resume import as_override, key_of, override

if TYPE_CHECKING:
    from lightning.pytorch import Trainer

    from difflab.data import Indexed
    from difflab.training.watchdog import Found

ANOMALY = "trainer.detect_anomaly"
BESIDE = (ANOMALY, "targets")
KEYS = {"what", "step", "value", "batches", "checkpoint", "max_steps", "processes"}
WORDS = {"loss": "the loss is", "grad_norm": "the gradient norm is", "state": "numbers of the state that are none:"}


def plain(value: Any) -> Any:
    """A number as JSON has it, digit for digit; as text where it is not finite. Of each in a list."""
    if isinstance(value, list):
        return [plain(each) for each in value]
    return str(value) if isinstance(value, float) and not isfinite(value) else value


def described(found: "Found", data: "Indexed", trainer: "Trainer", seed: int, folder: RunFolder) -> dict[str, Any]:
    """What failure.json holds; `streams` are the paths below a seed of the random streams that the step has opened."""
    streams = [stream for batch in found.batches for stream in batch["streams"]]
    module: Any = trainer.lightning_module
    made = environment([])
    return {
        "what": found.what,
        "step": found.step,
        "value": plain(found.value),
        "bound": found.bound,
        "batches": examples(found, data),
        "seeds": {"seed": seed, "data": data.seed, "streams": [*streams, *of_data(found, data)]},
        "checkpoint": checkpoint_of(Path(module.last_checkpoint), folder),
        "max_steps": trainer.max_steps,
        "processes": trainer.world_size,
        "device": trainer.strategy.root_device.type,
        "precision": str(trainer.precision),
        "versions": {"python": made["python"], **made["packages"]},
        "commit": made["commit"],
    }


def examples(found: "Found", data: "Indexed") -> list[dict[str, Any]]:
    """The global batches of the step: training examples by their indices, in the same order their times and losses."""
    from difflab.data.batches import Order

    batches = []
    for batch in found.batches:
        order = Order(len(data.train), data.batch_size, data.seed, batch["number"], 0, 1)
        indices = [None] * data.batch_size if data.streamed else next(iter(order)).indices
        losses = {"losses": plain(batch["losses"])} if "losses" in batch else {}
        batches.append({"number": batch["number"], "indices": indices, "times": batch["times"]} | losses)
    return batches


def of_data(found: "Found", data: "Indexed") -> list[str]:
    """The random streams of the order of the data and of mirroring."""
    numbers = [batch["number"] for batch in found.batches]
    a_epoch = len(data.train) // data.batch_size
    epochs = {} if data.streamed else dict.fromkeys(number // a_epoch for number in numbers)
    return [f"order/{epoch}" for epoch in epochs] + [f"flip/{number}" for number in numbers if data.flip]


def checkpoint_of(path: Path, folder: RunFolder) -> str | None:
    """A checkpoint of the run as seen from its folder, by the name that stays its own; None for any other path."""
    if path.parent != folder.checkpoints or not path.exists():
        return None
    same = [other for other in folder.checkpoints.glob("step_*.ckpt") if other.samefile(path)]
    return f"checkpoints/{(same or [path])[0].name}"


def compact(content: dict[str, Any]) -> str:
    """JSON with the numbers of a list on one line."""
    text = json.dumps(content, indent=1, allow_nan=False)
    return re.sub(r"\[\s+([^][{}]*?)\s+\]", lambda found: f"[{' '.join(found[1].split())}]", text) + "\n"


@contextmanager
def told(folder: RunFolder, data: "Indexed", trainer: "Trainer", seed: int) -> Iterator[None]:
    """A bad step within it leaves a failure.json, and its message says how to go there again."""
    from difflab.training import BadStep

    try:
        yield
    except BadStep as error:
        if trainer.is_global_zero:
            path = folder.path / "failure.json"
            try:
                write_text(path, compact(described(error.found, data, trainer, seed, folder)))
            except OSError as problem:
                error.args = (f"{error}; {path} could not be written ({problem.strerror})",)
            else:
                there = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
                error.args = (f"{error}; again: python train.py replay={there}",)
        raise


class Failure:
    """A failure.json that a run has left in its folder.

    Args:
        path: of the file.

    Raises:
        ConfigError: naming replay, where it is none.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise ConfigError(f"replay: there is no file {path}; allowed is the failure.json of a run")
        try:
            content = json.loads(path.read_text())
            counts = [content[key] for key in ("step", "max_steps", "processes")]
            whole = content.keys() >= KEYS and content["what"] in WORDS and all(type(n) is int for n in counts)
        except (OSError, ValueError, AttributeError, KeyError, TypeError, RecursionError):
            whole = False
        if not whole:
            raise ConfigError(f"replay: {path} is not the failure.json of a run, as the run has written it")
        self.folder = RunFolder.existing("replay", path.parent)
        self.content: dict[str, Any] = content
        self.what, self.step, self.value = content["what"], content["step"], content["value"]

    def start(self) -> Path | None:
        """The last good checkpoint of then; None for the beginning of training.

        Raises:
            ConfigError: for a name that is not that of a checkpoint of the run.
        """
        name = self.content["checkpoint"]
        if name is None:
            return None
        if not isinstance(name, str) or name != f"checkpoints/{Path(name).name}":
            raise ConfigError(f"replay: checkpoint {name} in {self.path}; allowed are names below checkpoints/")
        return self.folder.path / name


def replayed(arguments: list[str]) -> list[str]:
    """The command line of a replay with a folder of its own, RUN/replays/N: the run's own files stay as they are.

    Raises:
        ConfigError: where that is not the failure.json of a run, and for anything beside it.
    """
    path = override(arguments, "replay") or ""
    rest = [a for a in arguments if not a.startswith("replay=")]
    if {"-m", "--multirun"} & set(arguments):
        raise ConfigError(f"replay: {path} in a sweep; allowed is one at a time, without -m")
    others = [a for a in rest if "=" in a and key_of(a) not in BESIDE]
    if others:
        raise ConfigError(f"{key_of(others[0])}: {others[0]}; beside replay= only {' and '.join(BESIDE)} may be given")
    failure = Failure(Path(path))
    replays = failure.folder.path / "replays"
    number = 1 + max((int(p.name) for p in replays.glob("*") if p.name.isdecimal()), default=0)
    return [*rest, f"replay={as_override(failure.path)}", f"hydra.run.dir={as_override(replays / str(number))}"]
