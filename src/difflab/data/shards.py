"""Your own images in shards: tar files in the layout of WebDataset, local or behind a URL."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from difflab.data.heads import brief
from difflab.data.members import Members, indexed
from difflab.data.pixels import File
from difflab.data.pools import Pool, Pooled
from difflab.data.stream import Example, Stream
from difflab.data.streamed import Streamed
from difflab.data.tables import library
from difflab.errors import ConfigError


class Shards(Pooled):
    """The images in local tar files: KEY.jpg (or .png, ...), beside it KEY.cls or KEY.json with a class number.

    An index of what lies where is made once, so that images are read in any order: they are shuffled over all shards
    and shared over processes as those of a folder are.

    Args:
        root: folder of the shards.
        train: names of the shards below it, with * and ? as in a shell.
        test: names of the shards for testing; None to hold out a part of the images for training, by content.
        batch_size, val_size, workers, flip, seed, size, channels, classes, test_fraction, memory_gb: as in `Pooled`.

    Raises:
        ConfigError: for names of no shards, and for shards and members that are not what they must be.
    """

    division = "shards of each part; else by content"
    where = "tar files ROOT/train-*.tar, or other names in data.train and data.test"

    def __init__(self, root: str, train: str, test: str | None, **more: Any) -> None:
        super().__init__(root, **more)
        self.train_shards, self.test_shards = train, test

    def pools(self) -> tuple[Pool, Pool | None]:
        train = found(self.root, "train", self.train_shards)
        test = found(self.root, "test", self.test_shards) if self.test_shards is not None else []
        both = sorted(set(train) & set(test))
        if both:
            raise ConfigError(f"data.test: {self.test_shards} names {both[0]}, as data.train does; allowed are others")
        return self.pool(train), self.pool(test) if test else None

    def pool(self, shards: Sequence[Path]) -> Pool:
        members = Members(shards, indexed(shards, self.cache))
        return Pool(members, members.index.hashes, members.index.labels)


def found(root: str, part: str, names: str) -> list[Path]:
    """The files of these names below a folder, in order.

    Raises:
        ConfigError: where there are none.
    """
    folder = Path(root).expanduser()
    shards = sorted(path for path in folder.glob(names) if path.is_file()) if names else []
    if not shards:
        raise ConfigError(f"data.{part}: {names}; no such files in {folder}; allowed are names such as train-*.tar")
    return shards


class RemoteShards(Streamed):
    """Shards behind URLs (http, https, hf, s3, ...), streamed by the library `datasets`.

    Args:
        root: is not looked at.
        train, test: URLs; {0000..0099} in one stands for all numbers in between.
        more: as in `Streamed`.

    Raises:
        ConfigError: for shards that cannot be read, and as `Streamed` does.
    """

    division = "the first images of each stream"
    where = "behind URLs"
    place = "data.train"

    def __init__(self, root: str, train: str, test: str | None, **more: Any) -> None:
        super().__init__(root, **more)
        self.train_shards, self.test_shards = train, test

    def open(self) -> tuple[Stream, Stream | None]:
        train = self.opened("train", self.train_shards)
        return train, None if self.test_shards is None else self.opened("test", self.test_shards)

    def opened(self, part: str, names: str) -> Stream:
        """The stream of these shards: an image in each row, and what its class is read from."""
        datasets, urls = library(), unfolded(names)
        try:
            rows = datasets.load_dataset("webdataset", data_files={part: urls}, split=part, streaming=True)
        except Exception as error:  # those of the network are many
            raise ConfigError(f"data.{part}: {names} cannot be read ({brief(error)})") from error
        images = [column for column, kind in rows.features.items() if isinstance(kind, datasets.Image)]
        if len(images) != 1:
            raise ConfigError(f"data.{part}: {names} has {len(images)} images for each key; allowed is one")
        own = ["__url__", "__key__", *(column for column in ("cls", "json") if column in rows.features)]
        rows = rows.select_columns([*images, *own]).cast_column(images[0], datasets.Image(decode=False))
        return Stream(rows, Member(images[0], f"data.{part}"))


class Member(NamedTuple):
    """From a row of a streamed shard to an example: the column of images, and the field that leads there."""

    column: str
    place: str

    def __call__(self, row: Mapping[str, Any]) -> Example:
        name = f"{row['__url__']}: {row['__key__']}.{self.column}"
        if row[self.column] is None:
            raise ConfigError(f"{self.place}: {name} is missing; allowed is an image for each key")
        label, kind = row.get("cls"), "cls"
        if label is None and isinstance(row.get("json"), dict):
            label, kind = row["json"].get("label"), "json"
        if label is not None and (type(label) is not int or label < 0):
            stated = f"{row['__url__']}: {row['__key__']}.{kind} holds {label!r}"
            raise ConfigError(f"{self.place}: {stated}; allowed are a class number: whole, from 0")
        return Example(File(name, row[self.column]["bytes"], self.place), label)


def open_shards(train: str, test_fraction: float, memory_gb: float, **more: Any) -> Shards | RemoteShards:
    """The data set of configs/data/shards.yaml, of files or behind URLs; the fields of the other are left aside."""
    of_stream = {field: more.pop(field) for field in ("test_size", "reference_size", "buffer")}
    if "://" in train:
        return RemoteShards(train=train, **more, **of_stream)
    return Shards(train=train, test_fraction=test_fraction, memory_gb=memory_gb, **more)


def unfolded(names: str) -> list[str]:
    """Every name that {FIRST..LAST} stands for, numbers with as many digits as FIRST has."""
    found = re.search(r"\{(\d+)\.\.(\d+)\}", names)
    if found is None:
        return [names]
    first, last = found.groups()
    numbers = [str(n).zfill(len(first)) for n in range(int(first), int(last) + 1)]
    return [one for n in numbers for one in unfolded(names[: found.start()] + n + names[found.end() :])]
