"""scripts/export.py: the averaged weights of a finished run as a file or folder that others can use."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from difflab.errors import ConfigError
from difflab.interop.formats import Format, Safetensors
from difflab.interop.onnx_file import Onnx
from difflab.interop.pipeline import Pipeline
from difflab.runs.finished import Finished
from difflab.runs.folder import RunFolder, environment
from difflab.runs.load import Run
from difflab.runs.validate import not_an_option

FORMATS: dict[str, Format] = {"safetensors": Safetensors(), "diffusers": Pipeline(), "onnx": Onnx()}
OURS = "model_index.json"  # by which a folder is known for an export that may be replaced


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


@contextmanager
def unfinished(path: Path) -> Iterator[Path]:
    """The name under which a file or a folder is written; it gets its own when all of it is there.

    Raises:
        OSError: where that cannot be; nothing half-written is left.
    """
    new = path.with_name(f".{path.name}.new")
    remove(new)
    try:
        yield new
        if path.is_dir():
            remove(path)
        new.replace(path)
    finally:
        remove(new)


def remove(path: Path) -> None:
    """A file or a folder that may be there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def check_place(out: Path, chosen: Format) -> None:
    """Refuse a place where something of another kind lies.

    Raises:
        ConfigError: for a folder in the place of a file, and for one that is not empty and no earlier export.
    """
    if out.is_dir() and chosen.suffix:
        raise ConfigError(f"out: {out} is a folder; allowed are files")
    if not chosen.suffix and out.exists() and not (out.is_dir() and ((out / OURS).is_file() or not any(out.iterdir()))):
        raise ConfigError(f"out: {out} is there and is no exported pipeline; allowed are new folders")


def main(cfg: DictConfig, folder: RunFolder) -> None:
    """Write the file or the folder, whole or not at all.

    Raises:
        ConfigError: for a format that is not there or cannot say what the run is, for what is no run, and for a place
            that cannot be written.
    """
    if cfg.run is None:
        raise ConfigError("run: null; allowed are run folders: run=outputs/runs/NAME/DATE_TIME-XXXX")
    if cfg.format not in FORMATS:
        raise ConfigError(not_an_option("format", cfg.format, sorted(FORMATS)))
    chosen = FORMATS[cfg.format]
    finished = Finished.of(cfg, list(HydraConfig.get().overrides.task))
    length = "" if cfg.ema.length is None else f"_ema{cfg.ema.length:g}"
    name = f"model{length}{chosen.suffix}" if chosen.suffix else f"{cfg.format}{length}"
    out = Path(finished.path, "export", name) if cfg.out is None else Path(cfg.out)
    check_place(out, chosen)
    run = finished.load()
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with unfinished(out) as new:
            chosen.write(run, about(run, cfg.checkpoint, cfg.ema.length), new)
    except OSError as error:
        reason = error.strerror or error
        kind = "files" if chosen.suffix else "folders"
        raise ConfigError(f"out: {out} cannot be written ({reason}); allowed are {kind} to write to") from error
    files = [out] if out.is_file() else [path for path in out.rglob("*") if path.is_file()]
    print(f"{sum(path.stat().st_size for path in files):,} bytes, the average of step {run.step}\n{out}")
