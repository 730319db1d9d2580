"""Which classes a config may name: those that cannot run code, read files or write them by being made."""

from functools import cache
from importlib import import_module
from inspect import isclass
from typing import Any, NamedTuple

from difflab.errors import ConfigError
from difflab.runs.paths import CONFIGS
from difflab.runs.trust import quoted

# The rooms whose classes are options, and the sections in which those that keep files or talk to servers may stand;
# without sections: anywhere. Not difflab.runs: what works on files, processes and other runs' configs is no option, and
# a config that came with somebody's checkpoint must not reach it.
ROOMS: dict[str, tuple[str, ...]] = {
    "condition": ("condition",),
    "data": ("data", "augmentation"),
    "distributions": (),
    "evaluation": (),
    "features": (),
    "guidance": ("guidance",),
    "likelihood": (),
    "losses": (),
    "metrics": (),
    "models": (),
    "prediction": (),
    "process": (),
    "samplers": (),
    "schedules": (),
    "studies": ("study",),
    "times": (),
    "training": ("ema", "optim", "logger", "trainer"),
}


class Library(NamedTuple):
    """Classes of others that are let in: subclasses of `bases` that are defined in `packages`.

    Attributes:
        packages: where they are defined, and may be named.
        bases: by their full names.
        above: modules in which they may be named too.
        never: bases of classes that do compile or run what they are given.
        sections: in which they may stand; empty for all.
    """

    packages: tuple[str, ...]
    bases: tuple[str, ...]
    above: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    sections: tuple[str, ...] = ()


# Functions are not let in: torch.load, torch.hub.load and torchvision's get_model would be among them. Of torchmetrics
# only what computes from numbers: its metrics of images and texts load networks from a path that they are given, and
# unpickle it (FrechetInceptionDistance, through torch-fidelity).
LIBRARIES = (
    Library(
        ("torch.nn", "torchvision.models", "torchvision.ops", "torchvision.transforms"),
        ("torch.nn.Module",),
        never=("torch.jit.ScriptModule", "torch.fx.GraphModule"),
    ),
    Library(("torch.optim",), ("torch.optim.Optimizer", "torch.optim.lr_scheduler.LRScheduler")),
    Library(
        (
            "torchmetrics.aggregation",
            "torchmetrics.classification",
            "torchmetrics.clustering",
            "torchmetrics.nominal",
            "torchmetrics.regression",
            "torchmetrics.retrieval",
        ),
        ("torchmetrics.Metric",),
        above=("torchmetrics",),
    ),
    Library(
        ("lightning.pytorch.trainer", "lightning.pytorch.profilers", "lightning.pytorch.strategies"),
        (
            "lightning.pytorch.Trainer",
            "lightning.pytorch.profilers.Profiler",
            "lightning.pytorch.strategies.Strategy",
        ),
        above=("lightning.pytorch",),
        sections=("trainer",),
    ),
    Library(("lightning.pytorch.loggers",), ("lightning.pytorch.loggers.Logger",), sections=("logger", "trainer")),
)
WORDS = (
    "classes of difflab, and those of torch.nn, torch.optim, torchvision, torchmetrics and lightning.pytorch that run "
    "nothing by being made"
)


def under(name: str, prefixes: tuple[str, ...]) -> bool:
    """Whether a dotted name is one of the prefixes or lies below it."""
    return any(name == p or name.startswith(f"{p}.") for p in prefixes)


def located(target: str) -> Any:
    """The thing of that name at the top of a module.

    Raises:
        ImportError, AttributeError, ValueError: where there is none.
    """
    module, _, name = target.rpartition(".")
    return getattr(import_module(module), name)


@cache
def named_by_an_option(target: str) -> bool:
    """Whether a YAML of configs/ has it for its target."""
    return any(f"_target_: {target}\n" in path.read_text() for path in CONFIGS.glob("*/*.yaml"))


def room_of(name: str) -> str | None:
    """The room of difflab that a name belongs to, if its classes are options."""
    return next((room for room in ROOMS if under(name, (f"difflab.{room}",))), None)


def library_of(module: str) -> Library | None:
    """The library whose classes may be named in this module."""
    return next((lib for lib in LIBRARIES if under(module, lib.packages) or module in lib.above), None)


def allowed(target: Any, field: str, more: tuple[str, ...] = ()) -> Any:
    """The class or function of that name.

    It must be named under an allowed module and be defined there too, at the top of its module: a name that an
    allowed module merely imports is somebody else's, and methods (Lightning's load_from_checkpoint unpickles) are not
    constructors. Of difflab's functions only those are let in that an option names; all of them under `more`.

    Args:
        target: what a config says.
        field: where it says so.
        more: modules that the user lets in.

    Raises:
        ConfigError: where it is not allowed or not there.
    """
    ends = (
        f"; allowed are {WORDS}" + (f", and of {', '.join(more)}" if more else "") + "; more through targets=[MODULE]"
    )
    if not isinstance(target, str) or not target.replace(".", "_").isidentifier():
        raise ConfigError(f"{field}._target_: {quoted(target)}{ends}")
    place = f"{field}._target_: {target}"
    if not (under(target, more) or room_of(target) or library_of(target.rpartition(".")[0])):
        raise ConfigError(f"{place}{ends}")
    try:
        found = located(target)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"{place} is not there ({error}){ends}") from error
    objection = against(found, target, field.partition(".")[0], more)
    if objection is not None:
        raise ConfigError(f"{place} {objection}{ends}")
    return found


def against(found: Any, target: str, section: str, more: tuple[str, ...]) -> str | None:
    """What speaks against the thing of an allowed name; None for nothing."""
    home = getattr(found, "__module__", None) or ""
    full = f"{home}.{getattr(found, '__qualname__', '')}"
    if under(target, more) and under(full, more) and callable(found):
        return None
    room, library = room_of(target), library_of(target.rpartition(".")[0])
    packages = tuple(f"difflab.{name}" for name in ROOMS) if room else library.packages if library else ()
    if not callable(found) or not under(full, packages):
        return f"is defined elsewhere ({home or target.rpartition('.')[0]})"
    if room and not isclass(found) and not named_by_an_option(target):
        return "is a function that no option names"
    if library and not isclass(found):
        return "is no class"
    if library and not (has_base(found, library.bases) and not has_base(found, library.never)):
        return f"is none of {', '.join(library.bases)}"
    sections = ROOMS[room] if room else library.sections if library else ()
    if sections and section not in sections:
        return f"belongs to {', '.join(sections)} alone"
    return None


def has_base(kind: Any, names: tuple[str, ...]) -> bool:
    """Whether a class is a subclass of one of these."""
    return issubclass(kind, tuple(located(name) for name in names))
