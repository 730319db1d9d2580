"""Data sets of the Hugging Face Hub, or saved by its library `datasets`: any that has a column of images."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from difflab.data.pools import UNLABELLED, Pool, Pooled
from difflab.data.stream import Example, Stream
from difflab.data.streamed import Streamed
from difflab.data.tables import Columns, TableImages, columns_of, encoded, file_in, hashes_of, loaded


class HubImages(Pooled):
    """A data set that is on disk after it was fetched, or lies there already.

    Args:
        path: its name on the Hub, a folder that `datasets` reads (of pictures, parquet, ...), or one that it wrote.
        name: which of its configurations; None where there is one.
        train, test: names of splits, or slices of them such as train[:90%]; of None for test a part is held out.
        image, label: names of columns; None for the only ones of images and of class labels.
        batch_size, val_size, workers, flip, seed, size, channels, classes, test_fraction, memory_gb: as in `Pooled`.

    Raises:
        ConfigError: for a data set that cannot be had, for splits and columns that it has not, and for pictures that
            are none.
    """

    licence = "that of the data set"
    division = "splits of the data set; else by content"
    where = "the cache of the library datasets, or a folder"

    def __init__(
        self,
        path: str,
        name: str | None,
        train: str,
        test: str | None,
        image: str | None,
        label: str | None,
        **more: Any,
    ) -> None:
        super().__init__(path, **more)
        self.path, self.configuration, self.image, self.label = path, name, image, label
        self.train_split, self.test_split = train, test

    def pools(self) -> tuple[Pool, Pool | None]:
        pool = self.pool("train", self.train_split)
        return pool, None if self.test_split is None else self.pool("test", self.test_split)

    def pool(self, field: str, split: str) -> Pool:
        table = loaded(self.path, self.configuration, field, split, streaming=False)
        columns = columns_of(table, self.image, self.label)
        self.class_names = columns.names
        source = TableImages(table, columns.image, f"{self.path} {split}")
        labels = np.full(len(source), UNLABELLED)
        if columns.label is not None:
            numbers = table.select_columns([columns.label]).with_format("numpy")[:][columns.label]
            labels = np.nan_to_num(np.asarray(numbers, dtype=float), nan=UNLABELLED).astype(np.int64)
        return Pool(source, hashes_of(source, table, self.cache), labels)


class HubStream(Streamed):
    """The same, read from the network (or from files) as it is trained on; nothing is kept on disk.

    Args:
        path, name, train, test, image, label: as in `HubImages`.
        more: as in `Streamed`.

    Raises:
        ConfigError: as `HubImages` and `Streamed` do.
    """

    licence = "that of the data set"
    division = "the first images of each split"
    place = "data.path"
    where = "on the Hub, or a folder"

    def __init__(
        self,
        path: str,
        name: str | None,
        train: str,
        test: str | None,
        image: str | None,
        label: str | None,
        **more: Any,
    ) -> None:
        super().__init__(path, **more)
        self.path, self.configuration, self.image, self.label = path, name, image, label
        self.train_split, self.test_split = train, test

    def open(self) -> tuple[Stream, Stream | None]:
        train = self.opened("train", self.train_split)
        return train, None if self.test_split is None else self.opened("test", self.test_split)

    def opened(self, field: str, split: str) -> Stream:
        rows = loaded(self.path, self.configuration, field, split, streaming=True)
        columns = columns_of(rows, self.image, self.label)
        self.class_names = columns.names
        return Stream(encoded(rows, columns.image, columns.label), Row(f"{self.path} {split}", columns))


class Row(NamedTuple):
    """From a row of a stream to an example: what the stream is called, and its columns."""

    path: str
    columns: Columns

    def __call__(self, row: Mapping[str, Any]) -> Example:
        cell, label = row[self.columns.image], self.columns.label
        name = f"{self.path}: {(cell or {}).get('path') or 'an image'}"
        return Example(file_in(cell, name), None if label is None else row[label])


def open_hub(streaming: bool, test_fraction: float, memory_gb: float, **more: Any) -> HubImages | HubStream:
    """The data set of configs/data/hf.yaml, streamed or not; the fields of the other kind are left aside."""
    of_stream = {field: more.pop(field) for field in ("test_size", "reference_size", "buffer")}
    if streaming:
        return HubStream(**more, **of_stream)
    return HubImages(**more, test_fraction=test_fraction, memory_gb=memory_gb)
