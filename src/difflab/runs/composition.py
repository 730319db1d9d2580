"""What Hydra could not compose, in one line."""

import re
import sys
from collections.abc import Sequence

from hydra.errors import CompactHydraException, MissingConfigException
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from difflab.runs.validate import groups_of, not_an_option, options_of, unknown_to_hydra


def no_name(arguments: Sequence[str], config_name: str) -> str:
    """The refusal of the group that is set to something that can be no name of an option."""
    for argument in arguments:
        group, _, value = argument.partition("=")
        if group in groups_of(config_name) and (
            value in ("null", "true", "false") or re.fullmatch(r"[-+.\de]+", value)
        ):
            return not_an_option(group, value, options_of(group))
    wrong = next((a for a in arguments if a.startswith("=")), "an option")
    return f"{wrong}: allowed are GROUP=OPTION and KEY=VALUE"


def explained(error: Exception, config_name: str, arguments: Sequence[str] | None = None) -> str | None:
    """The field, what is wrong with it and what is allowed; None for an error that is not the command line's.

    Args:
        arguments: of the command line; None for that of this process.
    """
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options:
        group, _, option = error.missing_cfg_file.rpartition("/")
        return not_an_option(group, option, error.options)
    if isinstance(error, ValueError) and "Config group override must be" in str(error):
        return no_name(sys.argv[1:] if arguments is None else arguments, config_name)
    twice = re.match(r"Multiple values for (\S+)\. To override", str(error))
    if twice is not None:
        return f"{twice[1]}: has a value already, which + cannot add; allowed is {twice[1]}=OPTION"
    cause = error if isinstance(error, OmegaConfBaseException) else error.__cause__
    if isinstance(cause, ConfigAttributeError | ConfigKeyError) and cause.full_key:
        return unknown_to_hydra(cause.full_key, config_name)
    if isinstance(error, CompactHydraException | OmegaConfBaseException):
        lines = [line.strip() for line in str(error).splitlines()]
        lines = [line for line in lines if line and not line.startswith(("full_key", "object_type"))]
        return "\n".join(lines if len(lines) <= 3 else [lines[0], lines[-1].lstrip("0123456789. ")])
    if isinstance(error, OSError):
        return f"outputs: {error.filename} cannot be written ({error.strerror}); allowed are folders to write to"
    return None
