import json
import threading

import numpy as np
import pytest
import torch

from difflab.data import FilePixels, Images, Scaling, statistics
from difflab.data.kept import kept
from difflab.data.pixels import File
from difflab.data.statistics import Statistics, of_levels, of_points
from tests.data.test_image_data import Numbered, numbered


class Random:
    """Pictures that are their own numbers."""

    def __len__(self):
        return 70

    def __getitem__(self, i):
        return File(str(i), np.random.default_rng(i).integers(256, size=90, dtype=np.uint8).tobytes())


class Bytes:
    shape = (3, 5, 6)

    def __call__(self, file):
        return np.frombuffer(file.content, dtype=np.uint8).reshape(self.shape)


def on_demand():
    return FilePixels(Random(), Bytes(), np.zeros((70, 16), dtype=np.uint8))


@pytest.mark.parametrize("block", [7, 2**24])
def test_they_are_those_of_the_numbers_of_the_model(block, monkeypatch):
    monkeypatch.setattr(statistics, "NUMBERS", 90 * block)
    x = Scaling(256).encode(on_demand()[:]).double()
    for found in (of_levels(on_demand(), Scaling(256)), of_levels(on_demand()[:], Scaling(256))):
        assert found.mean == pytest.approx(x.mean((0, 2, 3)).tolist(), rel=1e-6)
        assert found.std == pytest.approx(x.std((0, 2, 3), correction=0).tolist(), rel=1e-6)
        assert found.sigma_data == pytest.approx(float(x.std(correction=0)), rel=1e-6)


def test_few_images_are_decoded_at_a_time(monkeypatch):
    monkeypatch.setattr(statistics, "NUMBERS", 90 * 8)
    sizes, get = [], FilePixels.__getitem__
    monkeypatch.setattr(FilePixels, "__getitem__", lambda self, w: sizes.append(w.stop - w.start) or get(self, w))
    of_levels(on_demand(), Scaling(256))
    assert sizes == [8] * 9


def test_of_points_each_coordinate_has_its_own():
    x = torch.randn(500, 2, dtype=torch.float64) * torch.tensor([1.0, 3.0]) + 2
    found = of_points(x)
    assert found.mean == pytest.approx(x.mean(0).tolist())
    assert found.std == pytest.approx(x.std(0, correction=0).tolist())
    assert found.sigma_data == pytest.approx(float(x.std(correction=0)))


def with_cache(folder):
    data = Numbered("", 8, 7, 0, False, 0)
    data.cache = folder
    data.setup()
    return data


def test_a_second_start_reads_what_the_first_has_written(tmp_path):
    data = with_cache(tmp_path)
    assert data.statistics == numbered().statistics
    (file,) = tmp_path.glob("statistics-*.json")
    assert data.fingerprint() in file.name
    file.write_text(json.dumps({"mean": [0.5], "std": [0.25], "sigma_data": 0.125}))
    assert with_cache(tmp_path).statistics == Statistics((0.5,), (0.25,), 0.125)
    assert with_cache(tmp_path).sigma_data == 0.125
    file.write_text("half a fi")
    assert with_cache(tmp_path).statistics == data.statistics
    assert Statistics.read(json.loads(file.read_text())) == data.statistics


def test_the_largest_distance_is_kept_too_and_belongs_to_its_content(tmp_path, monkeypatch):
    data = with_cache(tmp_path)
    x = data.scaling.encode(data.train.pixels).double().flatten(1)
    largest = data.largest_distance()
    assert largest == pytest.approx(float(torch.cdist(x, x).max()), rel=1e-6)
    monkeypatch.setattr("difflab.data.indexed.largest_distance", lambda x: pytest.fail("computed again"))
    assert with_cache(tmp_path).largest_distance() == largest
    data.train = Images(data.train.pixels[1:], None)
    with pytest.raises(pytest.fail.Exception, match="computed again"):
        data.largest_distance()


def test_a_folder_that_cannot_be_written_to_costs_time_only(tmp_path):
    (tmp_path / "file").touch()
    assert with_cache(tmp_path / "file" / "below").statistics == numbered().statistics


def test_of_several_at_once_one_computes(tmp_path):
    computed = []

    def ask():
        assert kept(tmp_path / "x.json", lambda: computed.append(1) or {"x": 3}, lambda known: known["x"]) == {"x": 3}

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert computed == [1]
