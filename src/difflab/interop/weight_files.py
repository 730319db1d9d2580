"""Somebody else's weights and configs from files that run nothing by being read: safetensors and JSON."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from difflab.errors import ConfigError

PICKLES = (".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".bin")
WEIGHTS = "diffusion_pytorch_model"  # as diffusers calls the file of a network
CONVERT = (
    "import torch; from safetensors.torch import save_file\n"
    'state = torch.load("{name}", map_location="cpu", weights_only=True)\n'
    'save_file({{key: w.contiguous() for key, w in state.items()}}, "{stem}.safetensors")'
)
CONVERT_EDM = (
    "in a checkout of NVlabs/edm, whose code it runs: import pickle; from safetensors.torch import save_file\n"
    'network = pickle.load(open("{name}", "rb"))["ema"]\n'
    'save_file({{key: w.contiguous() for key, w in network.state_dict().items()}}, "{stem}.safetensors")'
)


def refuse_pickle(path: Path) -> None:
    """Refuse a file whose reading could run code, with the three lines that make another one of it.

    Raises:
        ConfigError: for such a file, by its name.
    """
    if path.suffix.lower() not in PICKLES:
        return
    how = CONVERT_EDM if path.suffix.lower() in (".pkl", ".pickle") else CONVERT
    raise ConfigError(
        f"weights: {path} is a pickle, which can run code: allowed is .safetensors, made by: "
        + how.format(name=path.name, stem=path.stem)
    )


def weights_of(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors file.

    Raises:
        ConfigError: for another kind of file, and for one that is damaged.
    """
    refuse_pickle(path)
    if path.suffix != ".safetensors":
        raise ConfigError(f"weights: {path}; allowed are .safetensors files and folders of diffusers")
    try:
        return load_file(path)
    except (OSError, SafetensorError, ValueError) as error:
        raise ConfigError(f"weights: {path} cannot be read as safetensors ({str(error).splitlines()[0]})") from error


def weights_in(folder: Path) -> dict[str, Tensor]:
    """The tensors of a network's folder, of one file or of several with an index.

    Raises:
        ConfigError: where there are none that can be read.
    """
    index = folder / f"{WEIGHTS}.safetensors.index.json"
    if index.is_file():
        names = json_of(index).get("weight_map")
        parts = sorted(set(names.values())) if isinstance(names, Mapping) else []
        if not parts or any(Path(str(part)).name != part for part in parts):
            raise ConfigError(f"weights: {index} names no files beside it; no diffusers writes that: refused")
        return {name: tensor for part in parts for name, tensor in weights_of(folder / part).items()}
    path = folder / f"{WEIGHTS}.safetensors"
    if path.is_file():
        return weights_of(path)
    for pickle in (folder / f"{WEIGHTS}.bin", *sorted(p for p in folder.iterdir() if p.suffix in PICKLES)):
        if pickle.is_file():
            refuse_pickle(pickle)
    raise ConfigError(f"weights: {folder} has no {path.name}; allowed are folders of a UNet2DModel with one")


def json_of(path: Path) -> dict[str, Any]:
    """A config of diffusers.

    Raises:
        ConfigError: where it is none.
    """
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"weights: {path} cannot be read ({str(error).splitlines()[0]})") from error
    if not isinstance(content, dict):
        raise ConfigError(f"weights: {path} holds no names and values; allowed are configs of diffusers")
    return content
