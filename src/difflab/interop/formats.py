"""What averaged weights can be exported as."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from safetensors.torch import save

from difflab.runs.load import Run


class Format(Protocol):
    """A kind of file, or of folder.

    Attributes:
        suffix: of its name; empty for a folder.
    """

    suffix: str

    def write(self, run: Run, about: Mapping[str, Any], path: Path) -> None:
        """Write a run's weights, and what is to be known about them.

        Args:
            run: opened, with the weights.
            about: plain values by name.
            path: where nothing lies yet.

        Raises:
            ConfigError: for what the format has no word for.
            OSError: where it cannot be written.
        """
        ...


class Safetensors:
    """Weights by their names in `run.parts.denoiser`; each entry of `about` is JSON in the metadata.

    Reading it runs nothing: tensors are bytes with a shape, the metadata is text.
    """

    suffix = ".safetensors"

    def write(self, run: Run, about: Mapping[str, Any], path: Path) -> None:
        state = run.parts.denoiser.state_dict()
        tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in state.items()}
        path.write_bytes(save(tensors, {"format": "pt"} | {key: json.dumps(value) for key, value in about.items()}))
