"""init=: training that begins with the averaged weights of another run, of published ones for example."""

from difflab.errors import ConfigError
from difflab.prediction import Denoiser
from difflab.runs.checkpoint import read
from difflab.runs.folder import RunFolder

PREFIX = "denoiser.network."


def begin_with(path: str, denoise: Denoiser) -> None:
    """Put the averaged weights of a run's last checkpoint into the network; schedule and prediction may be others.

    Args:
        path: of the run folder.
        denoise: whose network is to be trained.

    Raises:
        ConfigError: where it is no run, and for another network: naming the first weight that differs.
    """
    folder = RunFolder.existing("init", path)
    saved = read(folder.checkpoints / "last.ckpt", "init")["state_dict"]
    theirs = {name.removeprefix(PREFIX): weight for name, weight in saved.items() if name.startswith(PREFIX)}
    own = denoise.network.state_dict()
    for name in (*own, *(name for name in theirs if name not in own)):
        there, needed = (tuple(state[name].shape) if name in state else "none" for state in (theirs, own))
        if there != needed:
            raise ConfigError(
                f"init: {path} has {name} of shape {there}, this network {needed}; allowed are runs of the same network"
            )
    denoise.network.load_state_dict(theirs)
