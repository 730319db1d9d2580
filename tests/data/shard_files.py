"""Small tar files of images in the layout of WebDataset, and a server for them."""

import io
import tarfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
from PIL import Image


def pixels(i: int, side: int = 8) -> np.ndarray:
    """Random levels [H, W, 3] that are a function of i."""
    return np.random.default_rng(i).integers(256, size=(side, side, 3), dtype=np.uint8)


def png(i: int, side: int = 8) -> bytes:
    """The same as a file."""
    content = io.BytesIO()
    Image.fromarray(pixels(i, side)).save(content, "PNG")
    return content.getvalue()


def labelled(i: int) -> dict[str, bytes]:
    """An image and its class, of 3."""
    return {f"{i:04}.png": png(i), f"{i:04}.cls": b"%d" % (i % 3)}


def shard(path: Path, numbers: Iterable[int], files: Callable[[int], dict[str, bytes]] = labelled) -> Path:
    """A tar file of these examples."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for i in numbers:
            for name, content in files(i).items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return path


def shards(folder: Path, count: int = 4, each: int = 30, part: str = "train", first: int = 0) -> Path:
    """Some of them, with examples numbered from `first` on."""
    for s in range(count):
        shard(folder / f"{part}-{s}.tar", range(first + s * each, first + (s + 1) * each))
    return folder


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


class Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:  # readers leave when they have enough
        ...


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The URL of a folder on this machine."""
    server = Server(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
