import hashlib
import os
import pickle
import socket
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision import datasets

from difflab.data import CIFAR10, MNIST, FashionMNIST, torchvision_sets
from difflab.errors import ConfigError

SETS = [MNIST, FashionMNIST, CIFAR10]


def idx(array):
    """An array of bytes in the format of the MNIST files."""
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def lay_out(root, name, train=60, test=20):
    """Files of that data set with random pixels, and these pixels."""
    raw, rng, images = root / name / "raw", np.random.default_rng(0), {}
    raw.mkdir(parents=True)
    for part, n in (("train", train), ("t10k", test)):
        images[part] = rng.integers(256, size=(n, 28, 28), dtype=np.uint8)
        (raw / f"{part}-images-idx3-ubyte").write_bytes(idx(images[part]))
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(idx(np.arange(n, dtype=np.uint8) % 10))
    return images


def load(kind, root):
    data = kind(str(root), batch_size=32, val_size=10, workers=0, flip=False, seed=0)
    data.setup()
    return data


@pytest.fixture
def no_network(monkeypatch):
    """Downloads go where nobody listens."""
    nowhere = "http://127.0.0.1:9/"
    for kind in (datasets.MNIST, datasets.FashionMNIST):
        monkeypatch.setattr(kind, "mirrors", [nowhere])
    monkeypatch.setattr(datasets.CIFAR10, "url", nowhere + datasets.CIFAR10.filename)


@pytest.mark.parametrize("kind", [MNIST, FashionMNIST])
def test_files_under_the_root_are_read(kind, tmp_path, no_network):
    images = lay_out(tmp_path, kind.__name__)
    data = load(kind, tmp_path)
    assert torch.equal(data.reference.pixels, torch.from_numpy(images["train"])[:, None])
    assert torch.equal(data.test.pixels, torch.from_numpy(images["t10k"])[:, None])
    assert torch.equal(data.test.labels, torch.arange(20) % 10)
    assert (data.shape, data.levels, data.classes, len(data.class_names)) == ((1, 28, 28), 256, 10, 10)


def test_reading_writes_nothing(tmp_path, no_network):
    lay_out(tmp_path, "MNIST")
    before = sorted(tmp_path.rglob("*"))
    load(MNIST, tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("kind", SETS)
def test_without_network_it_says_in_one_line_which_files_to_put_where(kind, tmp_path, no_network):
    with pytest.raises(ConfigError) as refusal:
        load(kind, tmp_path / "new")
    message = str(refusal.value)
    assert message.startswith(f"data.root: {tmp_path / 'new'} lacks files of {kind.__name__}")
    assert "\n" not in message
    assert "refused" in message
    if kind is CIFAR10:
        wanted = ["cifar-10-python.tar.gz", "data_batch_1", "test_batch", str(tmp_path / "new" / "cifar-10-batches-py")]
    else:
        wanted = ["train-images-idx3-ubyte", "t10k-labels-idx1-ubyte", str(tmp_path / "new" / kind.__name__ / "raw")]
    assert all(name in message for name in wanted)


def test_only_what_is_missing_is_asked_for(tmp_path, no_network):
    lay_out(tmp_path, "MNIST")
    (tmp_path / "MNIST/raw/t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(ConfigError, match="put t10k-labels-idx1-ubyte ") as refusal:
        load(MNIST, tmp_path)
    assert "train-images" not in str(refusal.value)


def test_a_root_that_cannot_be_written_to_is_refused(tmp_path, no_network):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"data\.root: .* lacks files of MNIST"):
        load(MNIST, tmp_path / "file" / "below")


def test_a_server_that_stays_silent_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(torchvision_sets, "TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(datasets.MNIST, "mirrors", [f"http://127.0.0.1:{silent.getsockname()[1]}/"])
        with pytest.raises(ConfigError, match="timed out"):
            load(MNIST, tmp_path)
    assert socket.getdefaulttimeout() is None


@pytest.mark.parametrize(
    "damage", ["nothing", "a web page", "its end cut off", "what the classes or the size rule out"]
)
@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
def test_damaged_idx_files_are_named(name, damage, tmp_path, no_network):
    lay_out(tmp_path, "FashionMNIST")
    file = tmp_path / "FashionMNIST" / "raw" / name
    impossible = np.zeros((60, 27, 28)) if "images" in name else np.full(20, 10)
    content = {
        "nothing": b"",
        "a web page": b"<html>",
        "its end cut off": file.read_bytes()[:-1],
        "what the classes or the size rule out": idx(impossible.astype(np.uint8)),
    }
    file.write_bytes(content[damage])
    with pytest.raises(ConfigError, match=f"data.root: {file} is damaged"):
        load(FashionMNIST, tmp_path)


def test_images_without_labels_are_refused(tmp_path, no_network):
    lay_out(tmp_path, "MNIST")
    (tmp_path / "MNIST/raw/t10k-labels-idx1-ubyte").write_bytes(idx(np.zeros(19, dtype=np.uint8)))
    with pytest.raises(ConfigError, match="20 images of the test part but 19 labels"):
        load(MNIST, tmp_path)


def test_damaged_cifar_files_are_named(tmp_path, no_network):
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name in ["data_batch_1", *(f"data_batch_{i}" for i in range(2, 6)), "test_batch", "batches.meta"]:
        (folder / name).write_bytes(b"not what its checksum says")
    with pytest.raises(ConfigError, match=f"data.root: {folder / 'data_batch_1'} is damaged"):
        load(CIFAR10, tmp_path)


def test_cifar_batches_become_images(tmp_path, monkeypatch):
    """The real loader on files of its format, whose checksums it is told."""
    folder, rng, md5, flat = tmp_path / "cifar-10-batches-py", np.random.default_rng(0), {}, {}
    folder.mkdir()
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
        flat[name] = rng.integers(256, size=(20, 3072), dtype=np.uint8)
        (folder / name).write_bytes(pickle.dumps({"data": flat[name], "labels": list(range(10)) * 2}))
    names = [*"abcdefghij"]
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": names}))
    md5 = {file.name: hashlib.md5(file.read_bytes()).hexdigest() for file in folder.iterdir()}
    monkeypatch.setattr(datasets.CIFAR10, "train_list", [[n, md5[n]] for n in flat if n != "test_batch"])
    monkeypatch.setattr(datasets.CIFAR10, "test_list", [["test_batch", md5["test_batch"]]])
    monkeypatch.setattr(datasets.CIFAR10, "meta", datasets.CIFAR10.meta | {"md5": md5["batches.meta"]})

    data = load(CIFAR10, tmp_path)
    train = np.concatenate([flat[f"data_batch_{i}"] for i in range(1, 6)]).reshape(100, 3, 32, 32)
    assert torch.equal(data.reference.pixels, torch.from_numpy(train))
    assert data.reference.pixels.is_contiguous()
    assert torch.equal(data.test.labels, torch.arange(20) % 10)
    assert (data.shape, data.levels, data.class_names) == ((3, 32, 32), 256, tuple(names))


@pytest.mark.skipif("DIFFLAB_TEST_DATA" not in os.environ, reason="DIFFLAB_TEST_DATA names no folder of real data")
@pytest.mark.parametrize("kind", SETS)
def test_the_real_files(kind, no_network):
    root = Path(os.environ["DIFFLAB_TEST_DATA"])
    folder = "cifar-10-batches-py" if kind is CIFAR10 else f"{kind.__name__}/raw"
    if not (root / folder).is_dir():
        pytest.skip(f"no {folder} there")
    data = load(kind, root)
    assert (len(data.reference), len(data.test)) == (50_000 if kind is CIFAR10 else 60_000, 10_000)
    assert data.reference.labels.unique().tolist() == data.test.labels.unique().tolist() == list(range(10))
