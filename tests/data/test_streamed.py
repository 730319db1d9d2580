"""Streams over HTTP from a server on this machine: what is held out, what is drawn, and where it goes on."""

import json
import sys
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from difflab.data import RemoteShards, open_shards
from difflab.errors import ConfigError
from tests.data.shard_files import labelled, pixels, png, served, shard, shards

sys.path.insert(0, str(Path(__file__).parents[1] / "runs"))
from children import run_folder, train, with_workers
from sameness import assert_same_checkpoint

DRAWN = 40


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """4 shards of 30 images for training, one of 20 for testing, the first 5 of which are in the former too."""
    folder = shards(tmp_path_factory.mktemp("shards"))
    shard(folder / "test-0.tar", [*range(5), *range(1000, 1015)])
    with served(folder) as address:
        yield address


def stream(url, **changes):
    options = {"train": f"{url}/train-{{0..3}}.tar", "test": f"{url}/test-0.tar", "root": "", "test_fraction": 0.1}
    options |= {"batch_size": 8, "val_size": 10, "workers": 0, "flip": True, "seed": 0, "size": 8, "channels": 3}
    options |= {"classes": "auto", "memory_gb": 1.0, "test_size": 12, "reference_size": 30, "buffer": 16}
    data = open_shards(**options | changes)
    data.setup()
    return data


def at(data, done, rank=0, ranks=1):
    data.trainer = SimpleNamespace(global_step=done, accumulate_grad_batches=1, global_rank=rank, world_size=ranks)
    return data


def drawn(data, done=0, n=DRAWN, rank=0, ranks=1):
    return list(islice(iter(at(data, done, rank, ranks).train_dataloader()), n))


def rows(images):
    return {bytes(image.contiguous().numpy()) for image in images}


def numbers(batches):
    """Which images these are, mirrored or not."""
    known = {}
    for i in [*range(120), *range(1000, 1015)]:
        for image in (pixels(i), pixels(i)[:, ::-1]):
            known[image.transpose(2, 0, 1).tobytes()] = i
    return [known[bytes(image.contiguous().numpy())] for batch in batches for image in batch.values]


def assert_same_batches(some, others):
    assert [batch.step for batch in some] == [batch.step for batch in others]
    for one, other in zip(some, others, strict=True):
        assert torch.equal(one.values, other.values)
        assert torch.equal(one.labels, other.labels)


def test_what_is_held_out_is_the_first_of_each_stream_and_is_never_trained_on(url):
    data = stream(url)
    assert isinstance(data, RemoteShards)
    held_out = [[pixels(i).transpose(2, 0, 1).tobytes() for i in part] for part in ([*range(5)], [*range(5, 15)])]
    assert rows(data.test.pixels) > set(held_out[0])
    assert rows(data.val.pixels) == set(held_out[1])
    assert (len(data.test), len(data.val), len(data.reference), data.shape, data.classes) == (12, 10, 30, (3, 8, 8), 3)
    batches = drawn(data)
    seen = numbers(batches)
    assert set(seen) == set(range(15, 120))  # two passes and a half
    assert seen[: len(seen) // 2] != sorted(seen[: len(seen) // 2])
    assert [n % 3 for n in seen] == torch.cat([batch.labels for batch in batches]).tolist()
    assert [(batch.step, batch.first, batch.total) for batch in batches] == [(s, 0, 8) for s in range(DRAWN)]


def test_without_a_test_stream_its_images_are_the_first_for_training(url):
    data = stream(url, test=None)
    assert rows(data.test.pixels) == {pixels(i).transpose(2, 0, 1).tobytes() for i in range(12)}
    assert rows(data.val.pixels) == {pixels(i).transpose(2, 0, 1).tobytes() for i in range(12, 22)}
    assert set(numbers(drawn(data))) == set(range(22, 120))


@pytest.mark.parametrize(("workers", "stop"), [(0, 19), (2, 7)])
def test_from_a_checkpoint_on_batches_are_those_of_an_uninterrupted_pass(url, tmp_path, workers, stop):
    whole = drawn(stream(url, workers=workers))
    data = stream(url, workers=workers)
    batches = iter(at(data, 0).train_dataloader())
    list(islice(batches, stop + 2))  # more are on their way than have been trained on
    torch.save(at(data, stop).state_dict(), tmp_path / "state")
    del batches
    again = stream(url, workers=workers)
    again.load_state_dict(torch.load(tmp_path / "state", weights_only=True))
    assert_same_batches(drawn(again, stop, DRAWN - stop), whole[stop:])
    assert_same_batches(drawn(data, stop, 4), whole[stop : stop + 4])  # another epoch of Lightning's


@pytest.mark.parametrize("ranks", [2, 8])
def test_processes_share_the_stream(url, ranks):
    """By shards where there are enough of them, else by examples."""
    parts = [numbers(drawn(stream(url), 0, 20 if ranks == 8 else 12, rank, ranks)) for rank in range(ranks)]
    first_pass = [part[: 105 // ranks - 8] for part in parts]
    assert sum(map(len, first_pass)) == len({n for part in first_pass for n in part})


def test_a_checkpoint_of_other_processes_is_refused(url):
    data = stream(url)
    data.load_state_dict({"done": 0, "parts": [[], []]})
    with pytest.raises(ConfigError, match=r"trainer.devices: 1 processes; .* allowed are 2"):
        at(data, 0).train_dataloader()


def test_streams_that_cannot_be_read_are_refused(url, tmp_path):
    with pytest.raises(ConfigError, match=r"data.train: .*gone.tar cannot be read"):
        stream(url, train=f"{url}/gone.tar")
    with pytest.raises(ConfigError, match=r"data.val_size, data.reference_size: 500, 30; the stream has 115 different"):
        stream(url, val_size=500)
    with pytest.raises(ConfigError, match=r"data.classes: .*train-0.tar: 0017.png has class 2; allowed are 0 to 1"):
        stream(url, classes=2)
    with pytest.raises(ConfigError, match=r"data.buffer: 0; allowed"):
        stream(url, buffer=0)


@pytest.mark.parametrize("label", ["cat", 0.5, -1, True])
def test_a_label_that_is_no_class_number_is_named(label, tmp_path):
    shard(tmp_path / "train-0.tar", range(60), lambda i: {f"{i:04}.png": png(i), f"{i:04}.json": text_of(label)})
    with served(tmp_path) as url, pytest.raises(ConfigError) as refusal:
        stream(url, train=f"{url}/train-0.tar", test=None)
    wrong = f"train-0.tar: 0000.json holds {label!r}; allowed are a class number: whole, from 0"
    assert str(refusal.value) == f"data.train: {url}/{wrong}"


def text_of(label):
    return json.dumps({"label": label}).encode()


def test_what_breaks_in_the_middle_of_training_is_named(tmp_path):
    """Beyond the images that are held in memory."""
    folder = tmp_path / "shards"
    shard(folder / "train-0.tar", range(60))
    shard(folder / "train-1.tar", [100], lambda i: {f"{i:04}.png": png(i)[:-30], f"{i:04}.cls": b"0"})
    shard(folder / "train-2.tar", [101], lambda i: labelled(i) | {f"{i:04}.cls": b"7"})
    with served(folder) as url:
        for last, name in ((1, r"train-1.tar: 0100.png cannot be read"), (2, r"train-2.tar: 0101.png has class 7")):
            data = stream(url, train=f"{url}/train-{{0..0}}.tar", test=None)
            data.stream = data.opened("train", f"{url}/train-{last}.tar")
            with pytest.raises(RuntimeError, match=name):
                drawn(data, n=1)


@pytest.mark.slow
def test_a_run_on_a_stream_goes_on_bit_for_bit(url, tmp_path):
    arguments = [
        *("data=shards", f"data.train='{url}/train-{{0..3}}.tar'", "data.batch_size=8", "data.val_size=8"),
        *("data.size=8", "data.test_size=8", "data.reference_size=16", "data.buffer=16", "data.workers=2"),
    ]
    folders = [tmp_path / name for name in ("whole", "cut")]
    for folder in folders:
        folder.mkdir()
    code, text = train(*arguments, folder=folders[0], prepare=with_workers)
    assert code == 0, text
    code, text = train(*arguments, folder=folders[1], kill=("training", 8, 15), prepare=with_workers)
    assert code == 143, text
    cut = run_folder(folders[1])
    code, text = train(f"resume={cut}", folder=folders[1], prepare=with_workers)
    assert code == 0, text
    assert_same_checkpoint(*(run_folder(folder) / "checkpoints" / "last.ckpt" for folder in folders))
    state = torch.load(cut / "checkpoints" / "last.ckpt", weights_only=True)["RemoteShards"]
    assert state["done"] == 12 and len(state["parts"][0]) == 2
