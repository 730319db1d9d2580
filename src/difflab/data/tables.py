"""Tables with images as the library `datasets` has them, from the Hub or from files."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from difflab.data.heads import brief
from difflab.data.kept import alone
from difflab.data.pixels import DIGEST, File, content_hashes
from difflab.errors import ConfigError

SAVED = ("state.json", "dataset_dict.json")  # in a folder that `save_to_disk` has written
BESIDE = "allowed are the name of a data set of the Hub (which needs the network the first time), or a folder"


class Columns(NamedTuple):
    """The columns of images and of class numbers, and the names of the classes; None for none."""

    image: str
    label: str | None
    names: tuple[str, ...] | None


class TableImages:
    """The images of a table as a source of pictures.

    Args:
        table: of the library `datasets`.
        image: the column.
        what: it is, for messages.
    """

    def __init__(self, table: Any, image: str, what: str) -> None:
        self.rows, self.image, self.what = encoded(table, image), image, what

    def __len__(self) -> int:
        return len(self.rows)

    def name(self, i: int) -> str:
        return f"{self.what} row {i}"

    def __getitem__(self, i: int) -> File:
        return file_in(self.rows[i][self.image], self.name(i))


def library() -> Any:
    """The library `datasets`.

    Raises:
        ConfigError: where it is not installed.
    """
    try:
        import datasets
    except ImportError as error:
        raise ConfigError("data: hf; it needs the library datasets: pip install 'difflab[data]'") from error
    return datasets


def loaded(path: str, name: str | None, field: str, split: str, streaming: bool) -> Any:
    """One split of a data set.

    Raises:
        ConfigError: where it cannot be had, with the reason of the library.
    """
    datasets, folder = library(), Path(path).expanduser()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    if path.startswith((".", "/", "~")) and not folder.is_dir():
        raise ConfigError(f"data.path: {path} is not a folder; {BESIDE}")
    try:
        if any((folder / file).is_file() for file in SAVED):
            whole = datasets.load_from_disk(str(folder))
            if isinstance(whole, dict) and split not in whole:
                raise ConfigError(f"data.{field}: {split}; allowed are {', '.join(whole)}")
            table = whole[split] if isinstance(whole, dict) else whole
            return table.to_iterable_dataset() if streaming else table
        place = str(folder) if folder.is_dir() else path
        return datasets.load_dataset(place, name, split=split, streaming=streaming)
    except ConfigError:
        raise
    except Exception as error:  # it has many, and those of the network beside them
        reason = brief(error)
        if "split" in reason.lower():
            raise ConfigError(f"data.{field}: {split}; {path} has no such split ({reason})") from error
        raise ConfigError(f"data.path: {path} cannot be loaded ({reason}); {BESIDE}") from error


def columns_of(table: Any, image: str | None, label: str | None) -> Columns:
    """The columns that were asked for, or the only ones.

    Raises:
        ConfigError: for columns that are not there, that are of another kind, or that could be several.
    """
    datasets, features = library(), table.features or {}
    images = [name for name, kind in features.items() if isinstance(kind, datasets.Image)]
    classes = [name for name, kind in features.items() if isinstance(kind, datasets.ClassLabel)]
    numbers = [name for name, kind in features.items() if str(getattr(kind, "dtype", "")).startswith(("int", "uint"))]
    chosen = one_of("image", image, images, images)
    if chosen is None:
        there = ", ".join(features) or "none"
        asked = image or "null"
        raise ConfigError(f"data.image: {asked}; this data set has no column of images; its columns are {there}")
    picked = one_of("label", label, classes, [*classes, *(name for name in numbers if name not in classes)])
    return Columns(chosen, picked, tuple(features[picked].names) if picked in classes else None)


def one_of(field: str, asked: str | None, usual: Sequence[str], possible: Sequence[str]) -> str | None:
    """The column that is asked for, else the only usual one; None where there is none."""
    if asked is not None and asked not in possible:
        raise ConfigError(f"data.{field}: {asked}; allowed are {', '.join(possible) or 'no columns of this data set'}")
    if asked is None and len(usual) > 1:
        raise ConfigError(f"data.{field}: null; this data set has several: allowed are {', '.join(usual)}")
    return asked or next(iter(usual), None)


def encoded(table: Any, image: str, label: str | None = None) -> Any:
    """These columns alone, images as they are stored."""
    columns = [image] if label is None else [image, label]
    return table.select_columns(columns).cast_column(image, library().Image(decode=False))


def file_in(cell: Mapping[str, Any] | None, name: str) -> File:
    """The picture in a cell, or that its path leads to.

    Raises:
        ConfigError: for an empty cell, and for a path that leads nowhere.
    """
    if cell is None:
        raise ConfigError(f"data.image: {name} is empty; allowed are images in every row")
    if cell["bytes"] is not None:
        return File(name, cell["bytes"], "data.path")
    try:
        if "://" not in cell["path"]:
            return File(name, Path(cell["path"]).read_bytes(), "data.path")
        import fsspec

        with fsspec.open(cell["path"], "rb") as file:
            return File(name, file.read(), "data.path")
    except OSError as error:
        raise ConfigError(f"data.image: {name}: {cell['path']} cannot be read ({brief(error)})") from error


def hashes_of(source: TableImages, table: Any, cache: Path | None) -> np.ndarray:
    """The hashes of all images, kept under the fingerprint that the library gives a table."""
    if cache is None:
        return content_hashes(source, source.what)
    path = cache / f"table-{table._fingerprint}-{source.image}-{len(source)}.npy"
    with alone(path) as writable:
        try:
            known = np.load(path, allow_pickle=False)
            if known.shape == (len(source), DIGEST) and known.dtype == np.uint8:
                return known
        except (OSError, ValueError, EOFError):
            pass
        found = content_hashes(source, source.what)
        if writable:
            with path.open("wb") as file:
                np.save(file, found)
    return found
