"""A finished run as the scripts open it: the folder, and what the command line changes of it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from omegaconf import DictConfig, OmegaConf

from difflab.errors import ConfigError
from difflab.evaluation import Store
from difflab.evaluation.store import identity
from difflab.runs.assemble import Parts
from difflab.runs.folder import RunFolder
from difflab.runs.load import Run, load_run
from difflab.runs.settings import changes
from difflab.runs.trust import without_say

DRAWN_BY = (
    *("data", "model", "condition", "c_noise", "prediction", "schedule", "warp", "variance", "guidance", "sampler"),
    "targets",
)


class Finished(NamedTuple):
    """Plain values, so that other processes can open the same.

    Attributes:
        path: of the run folder.
        checkpoint: name of the file in checkpoints/.
        targets: module prefixes that the run's config may name beside difflab's own.
        ema_length: of the average whose weights are loaded; None for the first.
        changes: sections of the config that are replaced.
    """

    path: str
    checkpoint: str
    targets: list[str]
    ema_length: float | None
    changes: dict[str, Any]

    @classmethod
    def of(cls, cfg: DictConfig, overrides: list[str]) -> "Finished":
        """What a command line asks for.

        Raises:
            ConfigError: where the folder is no run or the checkpoint is not in it.
        """
        folder = RunFolder.existing("run", cfg.run)
        saved = without_say(cast(dict[str, Any], OmegaConf.to_container(folder.read_config("run"))))
        there = sorted(path.name for path in folder.checkpoints.glob("*.ckpt"))
        if not there:
            raise ConfigError(f"run: there is no checkpoint in {folder.path}; allowed are runs that have saved one")
        if cfg.checkpoint not in there:
            known = ", ".join(there)
            raise ConfigError(f"checkpoint: there is no checkpoint {cfg.checkpoint} in {folder.path}; allowed: {known}")
        changed = changes(saved, cfg, overrides) | ({} if cfg.cache is None else {"cache": cfg.cache})
        return cls(str(folder.path), cfg.checkpoint, list(cfg.targets), cfg.ema.length, changed)

    def config(self) -> dict[str, Any]:
        """The run's config with the changes."""
        saved = OmegaConf.to_container(RunFolder(Path(self.path)).read_config("run"))
        return without_say(cast(dict[str, Any], saved)) | self.changes

    def load(self) -> Run:
        """The run with its weights, on the device of this process."""
        return load_run(self.path, self.checkpoint, self.targets, ema_length=self.ema_length, **self.changes)


def store_of(
    folder: RunFolder,
    config: Mapping[str, Any],
    parts: Parts,
    seed: int,
    chunk: int,
    classes: Sequence[int] | None = None,
    precision: str = "32-true",
) -> Store:
    """Where finished chunks of a run's samples are kept until all are there: in its samples/.

    Args:
        parts: of the run, with the weights that are sampled from.
        classes: that are asked for.
        precision: of the network.
    """
    settings = {key: config.get(key) for key in DRAWN_BY} | {"classes": classes}
    numbers = {
        "seed": seed,
        "chunk": chunk,
        "precision": precision,
        "shape": parts.data.shape,
        "device": parts.denoiser.device.type,
    }
    key = identity(parts.denoiser.state_dict(), settings | numbers | {"images": parts.data.fingerprint()})
    return Store(folder.samples, key)
