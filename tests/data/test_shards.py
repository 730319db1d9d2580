"""Local shards: every image is found where it lies, and whatever is no example is named."""

import json
import sys
from pathlib import Path

import pytest
import torch

from difflab.data import Shards, open_shards
from difflab.data.shards import unfolded
from difflab.errors import ConfigError
from tests.data.shard_files import labelled, pixels, png, shard, shards

sys.path.insert(0, str(Path(__file__).parents[1] / "runs"))
from children import train


def load(root, cache=None, **changes):
    options = {"train": "train-*.tar", "test": None, "batch_size": 8, "val_size": 10, "workers": 0, "flip": False}
    options |= {"seed": 0, "size": 8, "channels": 3, "classes": "auto", "test_fraction": 0.1, "memory_gb": 0.0}
    options |= {"test_size": 1, "reference_size": 1, "buffer": 1}
    data = open_shards(root=str(root), **options | changes)
    data.cache = cache
    data.setup()
    return data


def numbered(part, numbers):
    """Which of these examples the images are; their classes are those of the examples."""
    known = {pixels(i).transpose(2, 0, 1).tobytes(): i for i in numbers}
    found = [known[bytes(image.contiguous().numpy())] for image in part.pixels[:]]
    assert part.labels is None or part.labels.tolist() == [i % 3 for i in found]
    return found


@pytest.mark.parametrize("memory_gb", [0.0, 1.0])
def test_every_image_is_in_one_part(tmp_path, memory_gb):
    data = load(shards(tmp_path / "shards"), tmp_path / "cache", memory_gb=memory_gb)
    assert isinstance(data, Shards)
    assert isinstance(data.train.pixels, torch.Tensor) == bool(memory_gb)
    parts = [numbered(part, range(120)) for part in (data.train, data.val, data.test)]
    assert [len(part) for part in parts] == [98, 10, 12]
    assert sorted(n for part in parts for n in part) == list(range(120))
    assert parts[0] != sorted(parts[0]) and (data.classes, data.shape) == (3, (3, 8, 8))
    again = load(tmp_path / "shards", tmp_path / "cache", memory_gb=memory_gb)
    assert again.fingerprint() == data.fingerprint()
    assert numbered(again.train, range(120)) == parts[0]


def test_shards_for_testing_are_the_test_part(tmp_path):
    shards(shards(tmp_path), 1, 20, "test", 500)
    data = load(tmp_path, test="test-*.tar")
    assert sorted(numbered(data.test, range(500, 520))) == list(range(500, 520))
    assert sorted(numbered(data.reference, range(120))) == list(range(120))


def test_the_index_is_kept_as_long_as_the_shards_are_the_same(tmp_path):
    root, cache = shards(tmp_path / "shards", 2), tmp_path / "cache"
    load(root, cache)
    kept = {path: path.stat().st_mtime_ns for path in cache.glob("shard-*.npz")}
    assert len(kept) == 2
    load(root, cache)
    shard(root / "train-1.tar", range(200, 240))
    data = load(root, cache)
    assert sorted(numbered(data.reference, range(240)) + numbered(data.test, range(240))) == [
        *range(30),
        *range(200, 240),
    ]
    now = {path: path.stat().st_mtime_ns for path in cache.glob("shard-*.npz")}
    assert kept.items() < now.items() and len(now) == 3
    for path in now:
        path.write_bytes(path.read_bytes()[:100])
    assert load(root, cache).fingerprint() == data.fingerprint()


def test_a_shard_that_changes_after_it_was_indexed_is_noticed(tmp_path):
    data = load(shards(tmp_path, 1))
    shards(tmp_path, 1, first=300)
    with pytest.raises(ConfigError, match=r"data.root: .*train-0.tar: \d+.png is not what it was"):
        data.train.pixels[:4]


@pytest.mark.parametrize("classes", ["auto", False])
def test_shards_without_classes(tmp_path, classes):
    files = (lambda i: {f"{i:04}.png": png(i)}) if classes == "auto" else labelled
    shard(tmp_path / "train-0.tar", range(60), files)
    data = load(tmp_path, classes=classes)
    assert data.classes is data.train.labels is None
    with pytest.raises(ConfigError, match=r"data.classes: .*.png has no class; allowed are class numbers"):
        load(shard(tmp_path / "b/train-0.tar", range(60), lambda i: {f"{i}.png": png(i)}).parent, classes=True)


def test_other_members_and_folders_are_not_looked_at(tmp_path):
    def files(i):
        named = {
            "._x.png": b"",
            f"a.b/{i:04}.txt": b"a caption",
            f"a.b/{i:04}.json": json.dumps({"label": i % 3}).encode(),
        }
        return named | {f"a.b/{i:04}.PNG": png(i)}

    data = load(shard(tmp_path / "train-0.tar", range(60), files).parent)
    assert len(numbered(data.train, range(60))) == 44 and data.classes == 3


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"7.png": b"a text", "7.cls": b"1"}, r"train-1.tar: 7.png is not an image"),
        ({"7.cls": b"1"}, r"train-1.tar: 7 has no image"),
        ({"7.png": png(7), "7.jpg": png(8)}, r"train-1.tar: 7.jpg is a second image of 7"),
        ({"7.png": png(7), "7.cls": b"cat"}, r"train-1.tar: 7.cls holds b'cat'; allowed are a class number"),
        ({"7.png": png(7), "7.cls": b"-1"}, r"train-1.tar: 7.cls holds -1; allowed are a class number"),
        ({"7.png": png(7), "7.json": b'{"label": 0.5}'}, r"train-1.tar: 7.json holds 0.5; allowed are a class number"),
        ({"7.png": png(7)}, r"data.classes: .*train-1.tar: 7.png has no class; allowed are 0 to 2 for every image"),
        ({"7.png": png(7), "7.cls": b"12"}, r"train-1.tar: 7.png has class 12; allowed are 0 to 2"),
        ({"7.png": png(7)[:-30], "7.cls": b"1"}, r"data.root: .*train-1.tar: 7.png cannot be read"),
        ({}, r"train-1.tar: holds no images"),
    ],
)
def test_what_is_no_example_is_named(tmp_path, files, message):
    shard(shards(tmp_path, 1) / "train-1.tar", [7], lambda i: files)
    with pytest.raises(ConfigError, match=message) as error:
        load(tmp_path, classes=3)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[:9000], r"train-0.tar: is cut off or damaged after 000\d.(png|cls)"),
        (lambda content: content[: content.index(b"0009.png")], r"train-0.tar: is cut off after 0008.cls"),
        (lambda content: content.replace(b"0009.png", b"0009.pnG"), r"train-0.tar: is damaged after 0008.cls"),
        (lambda content: b"", r"train-0.tar: is cut off or damaged after its beginning \(empty file\)"),
        (lambda content: b"no tar file" * 100, r"train-0.tar: is cut off or damaged after its beginning"),
    ],
)
def test_damaged_shards_are_named(tmp_path, damage, message):
    path = shards(tmp_path, 1) / "train-0.tar"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ConfigError, match=f"data.root: .*{message}"):
        load(tmp_path)


def test_names_of_no_shards_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"data.train: train-\*.tar; no such files in .*; allowed"):
        load(tmp_path)
    shards(tmp_path, 1)
    with pytest.raises(ConfigError, match=r"data.test: train-0.tar names .*train-0.tar, as data.train does"):
        load(tmp_path, test="train-0.tar")
    with pytest.raises(ConfigError, match=r"data.test: val.tar; no such files"):
        load(tmp_path, test="val.tar")


def test_braces_stand_for_numbers():
    assert unfolded("a-{08..11}.tar") == [f"a-{n}.tar" for n in ("08", "09", "10", "11")]
    assert unfolded("{0..1}/{0..1}") == ["0/0", "0/1", "1/0", "1/1"]
    assert unfolded("plain") == ["plain"]


@pytest.mark.slow
def test_a_corrupt_shard_is_refused_before_any_work(tmp_path):
    path = shards(tmp_path / "shards") / "train-2.tar"
    path.write_bytes(path.read_bytes()[:9000])
    code, text = train("data=shards", f"data.root={path.parent}", "data.size=8", folder=tmp_path)
    assert code == 2 and f"data.root: {path}: is cut off or damaged after" in text
