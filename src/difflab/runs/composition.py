"""What Hydra could not compose, in one line."""

from hydra.errors import CompactHydraException, MissingConfigException
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from difflab.runs.validate import unknown_to_hydra


def explained(error: Exception, config_name: str) -> str | None:
    """The field, what is wrong with it and what is allowed; None for an error that is not the command line's."""
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options:
        group, _, option = error.missing_cfg_file.rpartition("/")
        return f"{group}: {option}; allowed are {', '.join(error.options)}"
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
