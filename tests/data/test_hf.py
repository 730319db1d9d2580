"""Data sets that the library `datasets` has made here: read by number, and streamed; no network."""

from itertools import islice
from types import SimpleNamespace

import pytest
import torch

from difflab.data import HubImages, HubStream, open_hub
from difflab.errors import ConfigError
from tests.data.shard_files import pixels, png

datasets = pytest.importorskip("datasets")
datasets.disable_progress_bars()
N = 60


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")


def table(numbers=range(N), **more):
    numbers = list(numbers)
    features = {"pic": datasets.Image(), "kind": datasets.ClassLabel(names=["ant", "bee", "cat"])}
    columns = {"pic": [{"bytes": png(i), "path": None} for i in numbers], "kind": [i % 3 for i in numbers]}
    for name, value in more.items():
        columns[name], features[name] = (
            [value] * len(numbers),
            datasets.Image() if name == "other" else datasets.Value("int64"),
        )
    return datasets.Dataset.from_dict(columns, features=datasets.Features(features))


def load(path, cache=None, **changes):
    options = {"name": None, "train": "train", "test": "test", "image": None, "label": None, "streaming": False}
    options |= {"batch_size": 4, "val_size": 5, "workers": 0, "flip": False, "seed": 0, "size": 8, "channels": 3}
    options |= {"classes": "auto", "test_fraction": 0.1, "memory_gb": 0.0}
    options |= {"test_size": 6, "reference_size": 10, "buffer": 16}
    data = open_hub(path=str(path), **options | changes)
    data.cache = cache
    data.setup()
    return data


def numbers(images, labels=None):
    known = {pixels(i).transpose(2, 0, 1).tobytes(): i for i in range(200)}
    found = [known[bytes(image.contiguous().numpy())] for image in images[:]]
    assert labels is None or labels.tolist() == [i % 3 for i in found]
    return found


@pytest.fixture(params=["save_to_disk", "parquet", "imagefolder"])
def saved(request, tmp_path):
    """60 images for training and 9 for testing, as the library writes and reads them."""
    folder = tmp_path / "set"
    parts = {"train": range(N), "test": range(100, 109)}
    if request.param == "save_to_disk":
        datasets.DatasetDict({part: table(of) for part, of in parts.items()}).save_to_disk(str(folder))
    elif request.param == "parquet":
        for part, of in parts.items():
            table(of).to_parquet(folder / f"{part}-00000-of-00001.parquet")
    else:
        for part, of in parts.items():
            for i in of:
                path = folder / part / ["ant", "bee", "cat"][i % 3] / f"{i}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(png(i))
    return folder


def test_by_number_and_streamed_the_same_images_are_seen(saved, tmp_path):
    data = load(saved, tmp_path / "cache")
    assert isinstance(data, HubImages)
    assert (data.shape, data.classes, tuple(data.class_names)) == ((3, 8, 8), 3, ("ant", "bee", "cat"))
    parts = [numbers(part.pixels, part.labels) for part in (data.train, data.val, data.test)]
    assert sorted(parts[0] + parts[1]) == list(range(N)) and sorted(parts[2]) == list(range(100, 109))
    assert load(saved, tmp_path / "cache").fingerprint() == data.fingerprint()

    stream = load(saved, streaming=True)
    assert isinstance(stream, HubStream)
    assert (stream.classes, tuple(stream.class_names)) == (3, ("ant", "bee", "cat"))
    held_out = numbers(stream.val.pixels, stream.val.labels)
    assert len(held_out) == 5 and len(numbers(stream.test.pixels, stream.test.labels)) == 6
    stream.trainer = SimpleNamespace(global_step=0, accumulate_grad_batches=1, global_rank=0, world_size=1)
    batches = list(islice(iter(stream.train_dataloader()), 30))
    seen = [n for batch in batches for n in numbers(batch.values, batch.labels)]
    assert set(seen) == set(range(N)) - set(held_out)

    stream.trainer.global_step = 11
    state = stream.state_dict()
    again = load(saved, streaming=True)
    again.trainer = stream.trainer
    again.load_state_dict(state)
    rest = list(islice(iter(again.train_dataloader()), 19))
    assert all(torch.equal(a.values, b.values) for a, b in zip(rest, batches[11:], strict=True))


def test_a_single_table_is_split_by_content(tmp_path):
    table().save_to_disk(str(tmp_path / "set"))
    data = load(tmp_path / "set", test=None)
    parts = [numbers(part.pixels, part.labels) for part in (data.train, data.val, data.test)]
    assert sorted(n for part in parts for n in part) == list(range(N)) and len(parts[2]) == 6
    assert load(tmp_path / "set", test=None, classes=False).train.labels is None


def test_columns_can_be_named_and_must_be_where_several_could_be_meant(tmp_path):
    table(other={"bytes": png(7), "path": None}, number=1).save_to_disk(str(tmp_path / "set"))
    with pytest.raises(ConfigError, match=r"data.image: null; this data set has several: allowed are pic, other"):
        load(tmp_path / "set", test=None)
    with pytest.raises(ConfigError, match=r"data.image: kind; allowed are pic, other"):
        load(tmp_path / "set", test=None, image="kind")
    with pytest.raises(ConfigError, match=r"data.label: pic; allowed are kind, number"):
        load(tmp_path / "set", test=None, image="pic", label="pic")
    data = load(tmp_path / "set", test=None, image="pic", label="number")
    assert (data.classes, data.class_names, set(data.train.labels.tolist())) == (2, None, {1})


def test_broken_rows_are_named(tmp_path):
    rows = table(range(20))
    cells = [{"bytes": png(i)[:-30] if i == 3 else png(i), "path": None} for i in range(20)]
    broken = rows.remove_columns("pic").add_column("pic", cells).cast_column("pic", datasets.Image())
    broken.save_to_disk(str(tmp_path / "set"))
    with pytest.raises(ConfigError, match=r"data.path: .*set train row 3 cannot be read"):
        load(tmp_path / "set", test=None)


def test_data_sets_that_cannot_be_had_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"data.path: /no/such/folder is not a folder; allowed are"):
        load("/no/such/folder")
    with pytest.raises(
        ConfigError, match=r"data.path: nobody/nothing cannot be loaded \(.*\); allowed are the name"
    ) as error:
        load("nobody/nothing")
    assert "\n" not in str(error.value)
    datasets.DatasetDict({"train": table()}).save_to_disk(str(tmp_path / "set"))
    with pytest.raises(ConfigError, match=r"data.test: test; allowed are train"):
        load(tmp_path / "set")
    table().remove_columns("pic").to_parquet(tmp_path / "plain" / "train.parquet")
    with pytest.raises(ConfigError, match=r"data.image: null; this data set has no column of images; its columns are"):
        load(tmp_path / "plain", test=None)
