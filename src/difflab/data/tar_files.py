"""Tar files of images in the layout of WebDataset: KEY.jpg, beside it KEY.cls or KEY.json."""

import json
import tarfile
from collections.abc import Iterator
from io import BytesIO
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from difflab.data.picture import SUFFIXES
from difflab.data.pixels import content_hash
from difflab.errors import ConfigError

UNLABELLED = -1


class Found(NamedTuple):
    """One image of a shard."""

    name: str
    offset: int
    size: int
    label: int
    hash: bytes


def examples(shard: Path) -> Iterator[Found]:
    """The examples of a shard: members in a row whose names are equal up to the first dot of the last part.

    One of them is an image. KEY.cls is its class, or `label` in KEY.json; members of other kinds are not looked at.
    """
    for key, group in groupby(members(shard), lambda member: stem(member.name)):
        image, label = None, UNLABELLED
        for member in group:
            kind = f".{member.name.rpartition('.')[2].lower()}"
            if kind in SUFFIXES:
                if image is not None:
                    raise refusal(shard, f"{member.name} is a second image of {key}", "one for each key")
                image = member
            elif kind in (".cls", ".json"):
                label = label_in(shard, member, kind, label)
        if image is None:
            raise refusal(shard, f"{key} has no image", "one for each key")
        try:
            Image.open(BytesIO(image.content)).close()
        except Exception as error:  # decoders have no error in common
            raise refusal(shard, f"{image.name} is not an image", "images under such a name") from error
        yield Found(image.name, image.offset, len(image.content), label, content_hash(image.content))


class Member(NamedTuple):
    """A file within a shard."""

    name: str
    offset: int
    content: bytes


def members(shard: Path) -> Iterator[Member]:
    """The files in a shard that belong to examples, in order.

    Raises:
        ConfigError: for a shard that is cut off or damaged, with the last member that is whole.
    """
    last, whole = "its beginning", "whole tar files, not compressed"
    try:
        with tarfile.open(shard, "r:") as tar:
            for member in tar:
                tar.members = []  # which it would keep  # pyrefly: ignore
                file = tar.extractfile(member) if member.isfile() else None
                content = b"" if file is None else file.read()
                if file is not None and stem(member.name):
                    yield Member(member.name, member.offset_data, content)
                last = member.name
            end = tar.offset
        with shard.open("rb") as whole_file:  # tarfile takes a damaged header, and no end at all, for the end
            whole_file.seek(end)
            mark = whole_file.read(tarfile.BLOCKSIZE)
        if mark != bytes(tarfile.BLOCKSIZE):
            raise refusal(shard, f"is {'damaged' if mark else 'cut off'} after {last}", whole)
    except tarfile.TarError as error:
        raise refusal(shard, f"is cut off or damaged after {last} ({error})", whole) from error
    except OSError as error:
        raise refusal(shard, f"cannot be read ({error.strerror})", whole) from error


def stem(name: str) -> str:
    """The key of a member: its path up to the first dot of the last part; empty for names that begin with a dot."""
    folder, slash, last = name.rpartition("/")
    key = last.partition(".")[0]
    return f"{folder}{slash}{key}" if key and "." in last else ""


def label_in(shard: Path, member: Member, kind: str, before: int) -> int:
    """The class that a member states; `before` where it states none.

    Raises:
        ConfigError: for other than a whole number from 0.
    """
    stated: object = member.content[:20]
    try:
        stated = int(member.content) if kind == ".cls" else json.loads(member.content)
        if isinstance(stated, dict):
            if "label" not in stated:
                return before
            stated = stated["label"]
        if type(stated) is int and stated >= 0:
            return stated
    except ValueError:
        pass
    raise refusal(shard, f"{member.name} holds {stated!r}", "a class number: whole, from 0")


def refusal(shard: Path, what: str, allowed: str) -> ConfigError:
    return ConfigError(f"data.root: {shard}: {what}; allowed are {allowed}")
