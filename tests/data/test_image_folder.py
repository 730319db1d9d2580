import os
import shutil
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from difflab.data import FilePixels, ImageFolder
from difflab.errors import ConfigError


def picture(path, seed, size=(8, 8)):
    """A file with random pixels [H, W, 3] that depend on the seed."""
    pixels = np.random.default_rng(seed).integers(256, size=(*size, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return pixels


def load(root, **changes):
    options = {"batch_size": 4, "val_size": 2, "workers": 0, "flip": False, "seed": 0}
    own = {"size": 8, "channels": 3, "classes": "auto", "test_fraction": 0.1, "memory_gb": 1.0}
    data = ImageFolder(str(root), **options | own | changes)
    data.setup()
    return data


def images(part):
    return {bytes(pixels.permute(1, 2, 0).contiguous().numpy()) for pixels in part.pixels}


def test_train_and_test_folders_are_the_split(tmp_path):
    train = [picture(tmp_path / f"train/{i}.png", i) for i in range(10)]
    test = [picture(tmp_path / f"test/{i}.png", 100 + i) for i in range(3)]
    picture(tmp_path / "val/0.png", 200)
    data = load(tmp_path)
    assert images(data.reference) == {bytes(pixels) for pixels in train}
    assert images(data.test) == {bytes(pixels) for pixels in test}
    assert (data.shape, data.levels, data.classes, data.class_names) == ((3, 8, 8), 256, None, None)
    assert data.reference.labels is data.test.labels is None


def test_val_is_the_test_part_where_there_is_no_test(tmp_path):
    for i in range(10):
        picture(tmp_path / f"train/{i}.png", i)
    only = picture(tmp_path / "val/0.png", 100)
    assert images(load(tmp_path).test) == {bytes(only)}


@pytest.mark.parametrize(("folder", "fraction", "test"), [("", 0.1, 4), ("train", 0.25, 10), ("", 0.001, 1)])
def test_one_pool_is_split_by_content(tmp_path, folder, fraction, test):
    pool = {bytes(picture(tmp_path / "one" / folder / f"{i}.png", i)) for i in range(40)}
    data = load(tmp_path / "one", test_fraction=fraction)
    train, held_out = images(data.reference), images(data.test)
    assert (len(held_out), len(train)) == (test, 40 - test)
    assert train | held_out == pool
    (tmp_path / "two").mkdir()
    for i in range(40):
        shutil.copy(tmp_path / "one" / folder / f"{i}.png", tmp_path / "two" / f"renamed{39 - i:02}.png")
    assert images(load(tmp_path / "two", test_fraction=fraction).test) == held_out


def test_equal_files_are_on_one_side(tmp_path):
    for i in range(20):
        picture(tmp_path / f"{i}.png", i // 5)
    data = load(tmp_path, test_fraction=0.3)
    assert len(data.test) in (10, 15)
    assert not images(data.test) & images(data.reference)


def test_class_folders_are_classes(tmp_path):
    label = {}
    for part in ("train", "test"):
        for n, name in enumerate(["ant", "bee", "cat"]):
            for i in range(8 if part == "train" else 2):
                below = "deeper/" if i == 1 else ""
                label[bytes(picture(tmp_path / part / name / f"{below}{i}.png", (n, i, part == "train")))] = n
    (tmp_path / "test/bee").rename(tmp_path / "bee")  # a class may lack in the test part
    shutil.rmtree(tmp_path / "bee")
    data = load(tmp_path)
    assert (data.classes, data.class_names) == (3, ("ant", "bee", "cat"))
    for part, n in ((data.reference, 24), (data.test, 4)):
        found = [label[bytes(pixels.permute(1, 2, 0).contiguous().numpy())] for pixels in part.pixels]
        assert found == part.labels.tolist()
        assert len(found) == n
    assert data.reference.labels.tolist() != sorted(data.reference.labels)  # or validation would see one class only


def test_a_pool_of_class_folders_has_classes_on_both_sides(tmp_path):
    for i in range(40):
        picture(tmp_path / ("b" if i % 2 else "a") / f"{i}.png", i)
    data = load(tmp_path, test_fraction=0.5)
    assert data.reference.labels.unique().tolist() == data.test.labels.unique().tolist() == [0, 1]
    assert torch.cat([data.reference.labels, data.test.labels]).bincount().tolist() == [20, 20]


@pytest.mark.parametrize("channels", [1, 3])
def test_mixed_kinds_and_sizes_become_one(tmp_path, channels):
    for i, (kind, mode, size) in enumerate(
        [("png", "RGB", (8, 8)), ("jpg", "L", (31, 9)), ("bmp", "P", (9, 31)), ("webp", "RGBA", (64, 64))] * 3
    ):
        pixels = np.random.default_rng(i).integers(256, size=(*size, 4), dtype=np.uint8)
        Image.fromarray(pixels, "RGBA").convert(mode).save(tmp_path / f"{i}.{kind.upper() if i % 2 else kind}")
    data = load(tmp_path, channels=channels, size=16)
    assert data.shape == (channels, 16, 16)
    assert (len(data.reference), len(data.test)) == (11, 1)
    assert data.reference.pixels.dtype == torch.uint8


def test_other_files_and_hidden_ones_are_not_looked_at(tmp_path):
    for i in range(12):
        picture(tmp_path / f"{i}.png", i)
    for name in ("labels.csv", "README", ".hidden.png", "._0.png", "__MACOSX/._1.png", ".git/x.png", "notes/a.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("no image")
    data = load(tmp_path)
    assert len(data.reference) + len(data.test) == 12
    assert data.classes is None


def test_more_files_than_a_block_keep_their_order(tmp_path):
    """Threads, too, put every image where it belongs: large files take that way."""
    pool = {bytes(picture(tmp_path / f"{i}.bmp", i, (40, 40))) for i in range(150)}
    data = load(tmp_path, size=40)
    assert images(data.reference) | images(data.test) == pool
    again = load(tmp_path, size=40)
    assert torch.equal(data.reference.pixels, again.reference.pixels)


@pytest.mark.parametrize("content", [b"a text", b"", "cut"])
@pytest.mark.parametrize("where", ["7.png", "11.png"])
def test_a_broken_image_is_named(tmp_path, where, content):
    for i in range(12):
        picture(tmp_path / f"{i}.png", i)
    file = tmp_path / where
    file.write_bytes(file.read_bytes()[:-40] if content == "cut" else content)
    with pytest.raises(ConfigError, match=f"data.root: {file} cannot be read .*; allowed .* whole images"):
        load(tmp_path)


def test_a_link_to_nothing_is_named(tmp_path):
    for i in range(12):
        picture(tmp_path / f"{i}.png", i)
    (tmp_path / "13.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(ConfigError, match=f"data.root: {tmp_path / '13.png'} cannot be read"):
        load(tmp_path)


def test_folders_that_are_missing_or_empty_are_named(tmp_path):
    with pytest.raises(ConfigError, match=f"data.root: {tmp_path / 'gone'} is not a folder; allowed is"):
        load(tmp_path / "gone")
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ConfigError, match=f"data.root: {tmp_path / 'notes.txt'} is not a folder; allowed is"):
        load(tmp_path / "notes.txt")
    with pytest.raises(ConfigError, match=f"data.root: {tmp_path} holds no images; allowed are"):
        load(tmp_path)
    picture(tmp_path / "train/0.png", 0)
    (tmp_path / "test").mkdir()
    with pytest.raises(ConfigError, match=f"data.root: {tmp_path / 'test'} holds no images; allowed are"):
        load(tmp_path)


def test_folders_that_could_mean_two_things_are_refused(tmp_path):
    picture(tmp_path / "a/a/0.png", 0)
    (tmp_path / "a/b").mkdir()
    with pytest.raises(ConfigError, match=f"data.root: {tmp_path / 'a/b'} holds no images"):
        load(tmp_path / "a")
    picture(tmp_path / "a/1.png", 1)
    with pytest.raises(ConfigError, match=f"data.root: {tmp_path / 'a'} holds images beside the folder a of images"):
        load(tmp_path / "a")


@pytest.mark.parametrize("test", ["test/a/0.png", "test/0.png"])
def test_both_parts_need_the_same_classes(tmp_path, test):
    for i in range(8):
        picture(tmp_path / f"train/{'bc'[i % 2]}/{i}.png", i)
    picture(tmp_path / test, 9)
    with pytest.raises(ConfigError, match=f"data.root: {tmp_path / 'test'} holds .*; allowed are the classes .* b, c"):
        load(tmp_path)


def test_too_few_images_are_refused(tmp_path):
    for i in range(6):
        picture(tmp_path / f"{i}.png", i)
    with pytest.raises(ConfigError, match=r"data.batch_size, data.val_size: 4 and 2; .* at most 5"):
        load(tmp_path)
    picture(tmp_path / "6.png", 6)
    assert len(load(tmp_path).train) == 4


@pytest.mark.parametrize(("field", "value"), [("size", 0), ("channels", 5), ("test_fraction", 0), ("test_fraction", 1)])
def test_values_out_of_range_are_refused(tmp_path, field, value):
    with pytest.raises(ConfigError, match=f"data.{field}: {value}; allowed"):
        load(tmp_path, **{field: value})


@pytest.mark.skipif("DIFFLAB_TEST_DATA" not in os.environ, reason="DIFFLAB_TEST_DATA names no folder of real data")
def test_real_photographs():
    root = Path(os.environ["DIFFLAB_TEST_DATA"]) / "cifar10_jpeg" / "test"
    if not root.is_dir():
        pytest.skip(f"no {root}")
    data = load(root, size=32)
    assert (len(data.reference), len(data.test), data.classes) == (9000, 1000, 10)
    assert torch.cat([data.reference.labels, data.test.labels]).bincount().tolist() == [1000] * 10
    assert 0.4 < data.reference.pixels.float().mean() / 255 < 0.55


def cached(root, cache, **changes):
    options = {"batch_size": 4, "val_size": 2, "workers": 0, "flip": False, "seed": 0, "test_fraction": 0.1}
    own = {"size": 8, "channels": 3, "classes": "auto", "memory_gb": 0.0}
    data = ImageFolder(str(root), **options | own | changes)
    data.cache = cache
    data.setup()
    return data


def test_on_demand_and_in_memory_are_the_same(tmp_path):
    for i in range(40):
        picture(tmp_path / f"{'ab'[i % 2]}/{i}.png", i % 37, (9, 8))
    one, two = load(tmp_path), load(tmp_path, memory_gb=0.0)
    assert isinstance(one.train.pixels, torch.Tensor)
    assert isinstance(two.train.pixels, FilePixels)
    assert isinstance(two.val.pixels, torch.Tensor)
    for name in ("train", "val", "test", "reference"):
        assert torch.equal(getattr(one, name).pixels, getattr(two, name).pixels[:])
        assert torch.equal(getattr(one, name).labels, getattr(two, name).labels)
    assert one.statistics == two.statistics


def test_files_that_have_not_changed_are_not_read_again(tmp_path, monkeypatch):
    for i in range(20):
        picture(tmp_path / f"images/{i}.png", i)
    first = cached(tmp_path / "images", tmp_path / "cache")
    read, read_bytes = [], Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: read.append(path.name) or read_bytes(path))
    again = cached(tmp_path / "images", tmp_path / "cache")
    assert len(read) == len(again.val)  # which is decoded
    assert again.fingerprint() == first.fingerprint()
    assert again.statistics == first.statistics
    read.clear()
    picture(tmp_path / "images/3.png", 100)
    changed = cached(tmp_path / "images", tmp_path / "cache")
    assert read[0] == "3.png"  # its hash alone is new
    assert changed.fingerprint() != first.fingerprint()


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_broken_file_is_refused_before_training_though_it_is_decoded_later(tmp_path, part):
    for i in range(20):
        picture(tmp_path / f"train/{i}.png", i)
        picture(tmp_path / f"test/{i}.png", i + 20)
    file = tmp_path / part / "7.png"
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(ConfigError, match=f"data.root: {file} cannot be read"):
        load(tmp_path, memory_gb=0.0)


def test_three_folders_are_three_parts(tmp_path, caplog):
    made = {}
    for n, part in enumerate(("train", "val", "test")):
        made[part] = [picture(tmp_path / f"{part}/{i}.png", (n, i)) for i in range(9)]
    shutil.copy(tmp_path / "train/3.png", tmp_path / "test/again.png")
    data = load(tmp_path, val_size=9, batch_size=9)
    assert images(data.train) == images(data.reference) == {bytes(pixels) for pixels in made["train"]}
    assert images(data.val) == {bytes(pixels) for pixels in made["val"]}
    assert len(data.test) == 10
    assert f"1 images of {tmp_path / 'test'} are in train too" in caplog.text


def test_a_copy_of_a_held_out_image_is_not_trained_on(tmp_path):
    for i in range(30):
        picture(tmp_path / f"{i}.png", i // 3)
    data = load(tmp_path, val_size=4)
    train, val, test = (images(part) for part in data.parts().values())
    assert not train & val
    assert not (train | val) & test
    assert len(data.val) == 4


def test_whether_folders_are_classes_can_be_said(tmp_path):
    for i in range(20):
        picture(tmp_path / f"{'ab'[i % 2]}/{i}.png", i)
    assert load(tmp_path, classes=True).classes == load(tmp_path, classes=2).classes == 2
    assert load(tmp_path, classes=False).classes is None
    with pytest.raises(ConfigError, match=r"data.classes: 3; .* holds 2: the classes a, b"):
        load(tmp_path, classes=3)
    picture(tmp_path / "20.png", 20)
    with pytest.raises(ConfigError, match=r"images beside the folder a of images; .* data.classes=false"):
        load(tmp_path)
    data = load(tmp_path, classes=False)
    assert (len(data.reference) + len(data.test), data.classes) == (21, None)
    for i in range(8):
        picture(tmp_path / f"flat/{i}.png", i)
    for value in (True, 2):
        with pytest.raises(ConfigError, match=rf"data.classes: {str(value).lower()}; .* in no folders of classes"):
            load(tmp_path / "flat", classes=value)


@pytest.mark.parametrize(("channels", "size"), [(1, [8, 12]), (2, [12, 8]), (3, [6, 8]), (4, [8, 12])])
def test_shapes_of_every_kind(tmp_path, channels, size):
    for i in range(12):
        picture(tmp_path / f"{i}.png", i)
    data = load(tmp_path, channels=channels, size=size)
    assert data.shape == (channels, *size)
    shown = data.viewed(data.test.pixels)
    assert shown.shape[1:] == (1 if channels < 3 else 3, *size)


@pytest.mark.parametrize("size", [[8], [8, 8, 8], [8, 0], [8.0, 8]])
def test_sizes_that_are_none_are_refused(tmp_path, size):
    with pytest.raises(ConfigError, match=r"data.size: .*; allowed are whole numbers from 1 on, or \[HEIGHT, WIDTH\]"):
        load(tmp_path, size=size)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_decoded_on_demand(tmp_path, workers):
    for i in range(20):
        picture(tmp_path / f"{i}.png", i)
    expected, found = load(tmp_path, flip=True), load(tmp_path, flip=True, memory_gb=0.0, workers=workers)
    for data in (expected, found):
        data.trainer = SimpleNamespace(global_step=3, accumulate_grad_batches=1, global_rank=0, world_size=1)
    batches = list(islice(expected.train_dataloader(), 6))
    for one, other in zip(batches, found.train_dataloader(), strict=False):
        assert torch.equal(one.values, other.values)
        assert (one.step, one.first, one.total) == (other.step, other.first, other.total)
