"""scripts/export.py: the averaged weights of a finished run in one file that others can read without trusting it."""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from safetensors.torch import save

from difflab.errors import ConfigError
from difflab.runs.finished import Finished
from difflab.runs.folder import RunFolder, environment
from difflab.runs.load import Run
from difflab.runs.validate import not_an_option


class Format(Protocol):
    """A kind of file.

    Attributes:
        suffix: of its name.
    """

    suffix: str

    def content(self, run: Run, about: Mapping[str, Any]) -> bytes:
        """The file of a run's weights, and of what is to be known about them."""
        ...


class Safetensors:
    """Weights by their names in `run.parts.denoiser`; each entry of `about` is JSON in the metadata.

    Reading it runs nothing: tensors are bytes with a shape, the metadata is text.
    """

    suffix = ".safetensors"

    def content(self, run: Run, about: Mapping[str, Any]) -> bytes:
        state = run.parts.denoiser.state_dict()
        tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in state.items()}
        return save(tensors, {"format": "pt"} | {key: json.dumps(value) for key, value in about.items()})


FORMATS: dict[str, Format] = {"safetensors": Safetensors()}


def about(run: Run, checkpoint: str, length: float | None) -> dict[str, Any]:
    """What it takes to use the weights again: the run's resolved config as it was saved, and what the data fixed."""
    data = run.parts.data
    return {
        "config": OmegaConf.to_container(run.folder.read_config("run")),
        "checkpoint": checkpoint,
        "step": run.step,
        "ema_length": length,
        "shape": list(data.shape),
        "levels": data.levels,
        "sigma_data": data.sigma_data,
        "versions": environment([])["packages"],
    }


def main(cfg: DictConfig, folder: RunFolder) -> None:
    """Write the file, whole or not at all.

    Raises:
        ConfigError: for a format that is not there, what is no run, and a file that cannot be written.
    """
    if cfg.run is None:
        raise ConfigError("run: null; allowed are run folders: run=outputs/runs/NAME/DATE_TIME-XXXX")
    if cfg.format not in FORMATS:
        raise ConfigError(not_an_option("format", cfg.format, sorted(FORMATS)))
    chosen = FORMATS[cfg.format]
    finished = Finished.of(cfg, list(HydraConfig.get().overrides.task))
    length = "" if cfg.ema.length is None else f"_ema{cfg.ema.length:g}"
    usual = Path(finished.path, "export", f"model{length}{chosen.suffix}")
    out = usual if cfg.out is None else Path(cfg.out)
    if out.is_dir():
        raise ConfigError(f"out: {out} is a folder; allowed are files")
    run = finished.load()
    content = chosen.content(run, about(run, cfg.checkpoint, cfg.ema.length))
    unfinished = out.with_name(f".{out.name}.new")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_bytes(content)
        unfinished.replace(out)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink()
        raise ConfigError(f"out: {out} cannot be written ({error.strerror}); allowed are files") from error
    print(f"{len(content):,} bytes, the average of step {run.step}\n{out}")
