"""The error of a choice that cannot run."""


class ConfigError(ValueError):
    """A refused choice: the message names the field, the value and what is allowed, in one line."""
