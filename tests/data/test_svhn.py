import pytest
import torch
from torchvision import datasets

from difflab.data import SVHN
from difflab.errors import ConfigError
from tests.runs.tiny_data import svhn


def load(root):
    data = SVHN(str(root), batch_size=16, val_size=8, workers=0, flip=False, seed=0)
    data.setup()
    return data


@pytest.fixture
def no_network(monkeypatch):
    """Downloads go where nobody listens."""
    nowhere = {part: [f"http://127.0.0.1:9/{entry[1]}", *entry[1:]] for part, entry in datasets.SVHN.split_list.items()}
    monkeypatch.setattr(datasets.SVHN, "split_list", nowhere)


def test_files_of_the_format_become_images(tmp_path, monkeypatch):
    """The real loader on files of its format, whose checksums it is told; the digit 0 is there as 10."""
    root, images, entries = svhn(tmp_path)
    monkeypatch.setattr(datasets.SVHN, "split_list", entries)
    data = load(root)
    assert torch.equal(data.reference.pixels, torch.from_numpy(images["train"]))
    assert torch.equal(data.test.pixels, torch.from_numpy(images["test"]))
    assert data.reference.pixels.is_contiguous()
    assert torch.equal(data.test.labels, torch.arange(20) % 10)
    assert (data.shape, data.levels, data.classes, data.class_names) == ((3, 32, 32), 256, 10, tuple("0123456789"))


def test_without_network_it_says_which_files_to_put_where(tmp_path, no_network):
    with pytest.raises(ConfigError) as refusal:
        load(tmp_path / "new")
    message = str(refusal.value)
    assert message.startswith(f"data.root: {tmp_path / 'new'} lacks files of SVHN and the download failed")
    assert "\n" not in message
    assert "put train_32x32.mat (from http://127.0.0.1:9/train_32x32.mat), test_32x32.mat (from" in message
    assert message.endswith(f"into {tmp_path / 'new'}")


def test_a_damaged_file_is_named(tmp_path, no_network):
    svhn(tmp_path)
    with pytest.raises(ConfigError, match=f"data.root: {tmp_path / 'train_32x32.mat'} is damaged; delete it, and put"):
        load(tmp_path)


def test_labels_that_are_none_are_named(tmp_path, monkeypatch):
    root, _, entries = svhn(tmp_path, wrong=17)
    monkeypatch.setattr(datasets.SVHN, "split_list", entries)
    with pytest.raises(ConfigError, match=r"holds the label 17 of image 5 of the test part; allowed are 0 to 9"):
        load(root)
