"""What varies between runs, as users type it and as W&B keeps it."""

from dataclasses import dataclass

from difflab.errors import ConfigError
from difflab.runs.validate import defaults, groups_of, options_of, unknown_to_hydra


@dataclass(frozen=True)
class Factor:
    """A group of configs, such as `schedule`, or a field, such as `optim.lr`.

    Attributes:
        name: on the command line.
        path: in the config that W&B keeps of a run: of a group the name of the chosen option.
    """

    name: str
    path: str


def factor(name: str) -> Factor:
    """The factor of this name.

    Raises:
        ConfigError: where train.yaml has neither a group nor a field of that name.
    """
    groups = groups_of("train")
    if name in groups:
        return Factor(name, f"choices.{name}")
    section = name.split(".")[0]
    options = options_of(section) if section in groups else [None]
    if not any(name in defaults("train", {section: option} if option else {}) for option in options):
        raise ConfigError(unknown_to_hydra(name, "train").replace(name, f"factors: {name}", 1))
    return Factor(name, name)
