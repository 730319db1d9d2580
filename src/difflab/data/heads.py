"""The first images of a stream, in memory."""

from itertools import pairwise
from textwrap import shorten

import numpy as np

from difflab.data.pixels import DIGEST, File, content_hash
from difflab.data.pools import UNLABELLED, Pool
from difflab.data.stream import Example, Stream, unbound
from difflab.errors import ConfigError
from difflab.progress import Progress

TABLE = 64  # rows that are read at a time


def heads(stream: Stream, sizes: dict[str, int], known: set[bytes], place: str) -> list[Pool]:
    """The first different images of a stream that are not known yet, so many of each; of the last maybe fewer.

    Args:
        sizes: how many, by the field that says so.
        known: hashes of contents; those that are found come to them.
        place: the field of the config that leads to the stream.

    Raises:
        ConfigError: for a stream that is too short, and for one that cannot be read.
    """
    found: list[Example] = []
    *others, last = sizes.values()
    total = sum(others) + last
    try:
        with Progress("reading the first images of the stream", total) as progress:
            for table in stream.rows.iter(TABLE):
                for one in map(stream.example, unbound(table)):
                    content = content_hash(one.file.content)
                    if content not in known and len(found) < total:
                        known.add(content)
                        found.append(one)
                        progress.advance()
                if len(found) == total:
                    break
    except ConfigError:
        raise
    except Exception as error:  # what a stream raises depends on where it comes from
        after = f" after {found[-1].file.name}" if found else ""
        raise ConfigError(f"{place}: the stream cannot be read{after} ({brief(error)})") from error
    if len(found) <= sum(others):
        fields, values = ", ".join(f"data.{field}" for field in sizes), ", ".join(map(str, sizes.values()))
        raise ConfigError(f"{fields}: {values}; the stream has {len(found)} different images: allowed are fewer")
    ends = np.cumsum([0, *sizes.values()]).tolist()
    return [held(found[a:b]) for a, b in pairwise(ends)]


class Held:
    """Examples in memory as a source of pictures."""

    def __init__(self, examples: list[Example]) -> None:
        self.examples = examples

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, i: int) -> File:
        return self.examples[i].file

    def name(self, i: int) -> str:
        return self.examples[i].file.name


def held(examples: list[Example]) -> Pool:
    hashes = b"".join(content_hash(example.file.content) for example in examples)
    labels = [UNLABELLED if example.label is None else example.label for example in examples]
    return Pool(
        Held(examples), np.frombuffer(hashes, dtype=np.uint8).reshape(-1, DIGEST), np.array(labels, dtype=np.int64)
    )


def brief(error: BaseException) -> str:
    """What an error says, in one line of bearable length."""
    return shorten(str(error) or type(error).__name__, 200, placeholder=" ...")
