import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import datasets, transforms

from difflab.data import CelebA, FilePixels
from difflab.errors import ConfigError
from tests.runs.tiny_data import celeba


def load(root, **changes):
    options = {"batch_size": 8, "val_size": 4, "workers": 0, "flip": False, "seed": 0}
    own = {"size": 16, "crop": 140, "attribute": None, "memory_gb": 1.0}
    data = CelebA(str(root), **options | own | changes)
    data.setup()
    return data


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return celeba(tmp_path_factory.mktemp("files"))


@pytest.mark.parametrize("memory_gb", [0.0, 1.0])
def test_the_official_parts(files, memory_gb):
    data = load(files, memory_gb=memory_gb)
    assert isinstance(data.train.pixels, FilePixels) == (memory_gb == 0)
    assert (len(data.train), len(data.val), len(data.test), data.shape) == (24, 4, 12, (3, 16, 16))
    assert data.classes is data.train.labels is None
    crop = transforms.Compose([transforms.CenterCrop(140), transforms.Resize(16), transforms.PILToTensor()])
    for part, first in ((data.train, 1), (data.val, 25), (data.test, 33)):
        for i, image in enumerate(part.pixels[:]):
            assert torch.equal(image, crop(Image.open(files / f"celeba/img_align_celeba/{first + i:06}.jpg")))


def test_torchvision_reads_the_same_files_the_same(files, monkeypatch):
    """Its own loader, told that the checksums are right: parts and attributes."""
    monkeypatch.setattr(datasets.CelebA, "_check_integrity", lambda self: True)
    for name in ("identity_CelebA.txt", "list_bbox_celeba.txt", "list_landmarks_align_celeba.txt"):
        text = "\n".join(f"{i:06}.jpg 1 2 3 4" for i in range(1, 45))
        (files / "celeba" / name).write_text(f"44\na b c d\n{text}\n" if "list" in name else text)
    data = load(files, attribute="Smiling", val_size=8)
    for split, part in (("train", data.train), ("valid", data.val), ("test", data.test)):
        theirs = datasets.CelebA(str(files), split=split, target_type="attr")
        column = theirs.attr_names.index("Smiling")
        assert part.labels.tolist() == theirs.attr[:, column].tolist()
    assert (data.classes, data.class_names) == (2, ("not Smiling", "Smiling"))
    assert data.train.labels.unique().tolist() == [0, 1]


def test_an_attribute_that_is_none_is_refused(files):
    with pytest.raises(ConfigError, match=r"data.attribute: Smile; allowed are null and one of Bald, Smiling"):
        load(files, attribute="Smile")


def test_without_network_it_says_which_files_to_put_where(tmp_path, monkeypatch):
    def nobody(*args, **more):
        raise RuntimeError("no route to host")

    monkeypatch.setattr(datasets.celeba, "download_file_from_google_drive", nobody)
    with pytest.raises(ConfigError) as refusal:
        load(tmp_path, attribute="Smiling")
    message = str(refusal.value)
    assert "\n" not in message
    assert message.startswith(f"data.root: {tmp_path} lacks files of CelebA and the download failed (no route to host)")
    for name in ("img_align_celeba", "list_eval_partition.txt", "list_attr_celeba.txt", str(tmp_path / "celeba")):
        assert name in message


BROKEN = {
    "list_eval_partition.txt": ["000001.jpg 3", "000001.jpg", "<html>", ""],
    "list_attr_celeba.txt": ["", "2\nBald\n000001.jpg 1\n", "1\nBald\n000001.jpg 0\n", "1\nBald Big\n000001.jpg 1\n"],
}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in BROKEN.items() for text in texts])
def test_lists_that_are_damaged_are_named(tmp_path, name, text):
    file = celeba(tmp_path) / "celeba" / name
    file.write_text(text)
    with pytest.raises(ConfigError, match=f"data.root: {file} is damaged; delete it, and put {name}"):
        load(tmp_path, attribute="Bald")


def test_images_that_lack_or_are_damaged_are_named(tmp_path):
    images = celeba(tmp_path) / "celeba" / "img_align_celeba"
    file = images / "000040.jpg"
    whole = file.read_bytes()
    file.unlink()
    with pytest.raises(ConfigError, match=f"{images} lacks 1 of 44 images, the first of them 000040.jpg; put img_al"):
        load(tmp_path)
    file.write_bytes(whole[: len(whole) // 2])
    for memory_gb in (0.0, 1.0):
        with pytest.raises(ConfigError, match=f"data.root: {file} cannot be read"):
            load(tmp_path, memory_gb=memory_gb)
    Image.fromarray(np.zeros((100, 178, 3), dtype=np.uint8)).save(file)
    with pytest.raises(ConfigError, match=f"{file} cannot be read .178x100 pixels, smaller than .* data.crop = 140"):
        load(tmp_path)


def test_an_image_without_attributes_is_named(tmp_path):
    file = celeba(tmp_path) / "celeba" / "list_attr_celeba.txt"
    lines = file.read_text().splitlines()
    file.write_text("\n".join(["43", lines[1], *lines[3:]]))
    with pytest.raises(ConfigError, match=r"list_attr_celeba.txt says nothing of 000001.jpg"):
        load(tmp_path, attribute="Bald")
