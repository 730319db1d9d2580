"""Images that are decoded when they are asked for are to all intents the tensor of all of them."""

import pickle
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from difflab.data import Images, Scaling
from difflab.data.batches import Gather, Share, loader
from difflab.data.picture import Fit
from difflab.data.pixels import File, FilePixels, Pixels, content_hashes
from difflab.errors import ConfigError
from difflab.evaluation import FeatureSpace
from difflab.features import Classifier
from difflab.features.extractor import Pictures
from tests.data.shard_files import pixels, png

N, FIT = 20, Fit(8, 8, 3)


class Listed:
    """Files in memory."""

    def __init__(self, files):
        self.files = files

    def __len__(self):
        return len(self.files)

    def __getitem__(self, i):
        return File(f"file {i}", self.files[i])


@pytest.fixture(scope="module")
def whole():
    return torch.from_numpy(np.stack([pixels(i).transpose(2, 0, 1) for i in range(N)])).contiguous()


def lazy(numbers=range(N), fit=FIT):
    source = Listed([png(i) for i in numbers])
    return FilePixels(source, fit, content_hashes(source, "files"))


@pytest.mark.parametrize(
    "where",
    [slice(None), slice(3, 9), slice(-4, None), slice(0), [5, 2, 2], [], torch.tensor([7, 0, 19]), slice(0, 20, 7)],
)
def test_indexing_gives_the_rows_of_the_tensor(whole, where):
    images = lazy()
    assert isinstance(images, Pixels) and isinstance(images, Pictures)
    assert (images.shape, images.dtype, len(images)) == (whole.shape, whole.dtype, len(whole))
    assert torch.equal(images[where], whole[where])


def test_parts_are_parts_of_the_tensor(whole):
    part = lazy().part(slice(4, 16)).part(np.array([3, 1, 10])).part(slice(1, None))
    assert torch.equal(part[:], whole[4:16][[1, 10]])
    assert torch.equal(pickle.loads(pickle.dumps(part))[:], part[:])


def test_the_fingerprint_is_of_contents_order_and_decoding():
    images = lazy()
    prints = [
        images.fingerprint(),
        images.part(slice(1, None)).fingerprint(),
        images.part(slice(None, None, -1)).fingerprint(),
        lazy([*range(N - 1), 100]).fingerprint(),
        lazy(fit=Fit(8, 8, 1)).fingerprint(),
    ]
    assert len(set(prints)) == len(prints)
    assert lazy().fingerprint() == lazy([*range(N), 100]).part(slice(N)).fingerprint() == prints[0]


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_those_of_the_tensor(whole, workers):
    shares = [Share(s, [(5 * s + 3 * i) % N for i in range(4)], 4, 8) for s in range(6)]
    one, other = (list(loader(Gather(values, None, 1), n, shares)) for values, n in ((whole, 0), (lazy(), workers)))
    for a, b in zip(one, other, strict=True):
        assert a.step == b.step and torch.equal(a.values, b.values)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_file_that_breaks_during_training_is_named_and_nothing_is_refused(workers):
    source = Listed([png(0), png(1)[:-30]])
    images = FilePixels(source, FIT, content_hashes(source, "files"))
    with pytest.raises(ConfigError, match=r"data.root: file 1 cannot be read"):
        images[[1]]
    with pytest.raises(RuntimeError, match=r"data.root: file 1 cannot be read"):
        list(loader(Gather(images, None, None), workers, [Share(0, [0, 1], 0, 2)]))


@pytest.mark.slow
def test_features_of_files_are_those_of_the_tensor(whole, tmp_path):
    labels = torch.arange(N) % 3
    found = []
    for images, name in ((whole, "tensor"), (lazy(), "files")):
        part = Images(images, labels)
        data = SimpleNamespace(
            reference=part, test=part, classes=3, scaling=Scaling(256), fingerprint=lambda *_, n=name: n
        )
        space = FeatureSpace(Classifier(width=4, dimension=8, steps=3, lr=1e-3), data, tmp_path / name)
        space.prepare(torch.device("cpu"))
        found.append((space.train.features, space.extractor.accuracy))
    assert torch.equal(found[0][0], found[1][0]) and found[0][1] == found[1][1]
