"""Files of published weights: found or downloaded, checked, and read without running what a pickle may hold."""

import hashlib
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from textwrap import shorten

import torch
from filelock import FileLock
from torch import Tensor

from difflab.errors import ConfigError

PATIENCE = 20.0  # seconds without an answer after which a server is given up


def checkpoints() -> Path:
    """Where torch.hub keeps downloaded weights; under $TORCH_HOME where that is set."""
    return Path(torch.hub.get_dir(), "checkpoints")


def brief(error: BaseException) -> str:
    """What an error says, in one line of bearable length."""
    return shorten(str(error) or type(error).__name__, 200, placeholder=" ...")


@contextmanager
def patience() -> Iterator[None]:
    """A limit on the silence of servers, for code that sets none."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def obtain(given: str | None, file: str, url: str, sha256: str | None) -> Path:
    """The path of a weights file: the one given, else the one in torch's cache, downloaded where it is not there yet.

    Args:
        given: features.weights.
        file: its name in the cache.
        url: where it is published.
        sha256: hexadecimal digits that the hash of the file must begin with; None takes any file.

    Raises:
        ConfigError: where it is not there and cannot be had, or is not the one that was expected.
    """
    path = checkpoints() / file if given is None else Path(given).expanduser()
    if given is not None and not path.is_file():
        raise ConfigError(f"features.weights: {given}; no such file; allowed are null or the path of {file} from {url}")
    if not path.is_file():
        download(url, path, sha256)
    if sha256 is not None:
        check(path, sha256)
    return path


def download(url: str, path: Path, sha256: str | None) -> None:
    """Get a file, once for however many processes ask; what is there is whole."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"), patience():
            if not path.is_file():
                torch.hub.download_url_to_file(url, str(path), sha256)
    except (OSError, RuntimeError, HTTPException) as error:
        raise ConfigError(
            f"features.weights: null; {path.name} is not in {path.parent} and could not be downloaded "
            f"({brief(error)}); put {url} there under that name, or give the path of a copy"
        ) from error


def check(path: Path, sha256: str) -> None:
    """Refuse a file whose hash does not begin with these digits."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not found.startswith(sha256):
        raise ConfigError(
            f"features.weights: {path} of {path.stat().st_size:,} bytes has the sha256 {found}; expected is "
            f"{sha256}{'...' * (len(sha256) < 64)}; remove a damaged file from torch's cache and it is downloaded again"
        )


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name; nothing in it is run.

    Raises:
        ConfigError: where the file holds anything else.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can raise anything
        raise ConfigError(f"features.weights: {path} holds more or less than plain tensors: {brief(error)}") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ConfigError(f"features.weights: {path} holds no tensors by name; allowed is the state dict of a network")
    return state


def fingerprint(what: str, state: Mapping[str, Tensor]) -> str:
    """A hash of words and named tensors."""
    content = hashlib.blake2b(what.encode(), digest_size=16)
    for name, tensor in state.items():
        content.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        content.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return content.hexdigest()
