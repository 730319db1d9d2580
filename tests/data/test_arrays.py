import pickle

import numpy as np
import pytest
import torch

from difflab.data import Arrays
from difflab.data.array_files import ArrayPixels
from difflab.data.pixels import content_hash
from difflab.errors import ConfigError

OPTIONS = {
    **{"batch_size": 4, "val_size": 3, "workers": 0, "flip": False, "seed": 0, "file": "x.npz", "test_file": None},
    **{"images": None, "labels": None, "test_labels": None, "layout": "auto", "levels": 256, "classes": "auto"},
    **{"test_fraction": 0.25, "memory_gb": 1.0},
}


def arrays(root, cache=None, **changes):
    data = Arrays(str(root), **OPTIONS | changes)
    data.cache = cache
    data.setup()
    return data


def noise(*shape, seed=0, high=256):
    return np.random.default_rng(seed).integers(high, size=shape, dtype=np.uint8)


def all_of(data):
    """Every image with its label, as bytes."""
    found = set()
    for part in (data.reference, data.test):
        labels = part.labels if part.labels is not None else torch.full((len(part),), -1)
        found |= {(image.numpy().tobytes(), int(n)) for image, n in zip(part.pixels[:], labels, strict=True)}
    return found


LAYOUTS = [
    ((40, 6, 8), (1, 6, 8), lambda x: x[:, None]),
    ((40, 6, 8, 3), (3, 6, 8), lambda x: x.transpose(0, 3, 1, 2)),
    ((40, 5, 6, 8), (5, 6, 8), lambda x: x),
    ((40, 6, 8, 1), (1, 6, 8), lambda x: x.transpose(0, 3, 1, 2)),
]


@pytest.mark.parametrize(("given", "shape", "first"), LAYOUTS, ids=[str(given) for given, _, _ in LAYOUTS])
@pytest.mark.parametrize("kind", ["npz", "npy", "on demand"])
def test_every_layout_is_read(tmp_path, given, shape, first, kind):
    images, labels = noise(*given), np.arange(40) % 4
    if kind == "npz":
        np.savez(tmp_path / "x.npz", images=images, labels=labels)
        data = arrays(tmp_path)
    else:
        np.save(tmp_path / "x.npy", images)
        np.save(tmp_path / "y.npy", labels[:, None].astype(np.uint8))
        data = arrays(tmp_path, file="x.npy", labels="y.npy", memory_gb=1.0 if kind == "npy" else 0.0)
        assert isinstance(data.train.pixels, torch.Tensor) == (kind == "npy")
    assert (data.shape, data.classes, data.levels) == (shape, 4, 256)
    assert all_of(data) == {(x.tobytes(), n) for x, n in zip(first(images), labels, strict=True)}
    assert (len(data.train), len(data.val), len(data.test)) == (27, 3, 10)


@pytest.mark.parametrize("memory_gb", [0.0, 1.0])
def test_parts_are_by_content_and_share_nothing(tmp_path, memory_gb):
    images = noise(40, 6, 8)
    images[::3] = images[1]
    images[1::5] = images[2]
    np.save(tmp_path / "x.npy", images)
    data = arrays(tmp_path, file="x.npy", memory_gb=memory_gb)
    train, val, test = ({image.numpy().tobytes() for image in part.pixels[:]} for part in data.parts().values())
    assert not train & val
    assert not (train | val) & test
    np.save(tmp_path / "y.npy", images[::-1])
    again = arrays(tmp_path, file="y.npy", memory_gb=memory_gb)
    assert torch.equal(again.test.pixels[:], data.test.pixels[:])
    assert torch.equal(again.train.pixels[:], data.train.pixels[:])


def test_in_memory_and_on_demand_are_the_same(tmp_path):
    np.save(tmp_path / "x.npy", noise(40, 6, 8, 2))
    one, two = (arrays(tmp_path, file="x.npy", memory_gb=gb) for gb in (1.0, 0.0))
    for name in ("train", "val", "test", "reference"):
        assert torch.equal(getattr(one, name).pixels[:], getattr(two, name).pixels[:])
    assert one.sigma_data == two.sigma_data
    assert one.largest_distance() == pytest.approx(two.largest_distance(), rel=1e-12)
    pixels = two.train.pixels
    assert isinstance(pixels, ArrayPixels)
    again = pickle.loads(pickle.dumps(pixels))
    assert len(pickle.dumps(pixels)) < 4000  # not the images
    assert torch.equal(again[[3, 1]], pixels[torch.tensor([3, 1])])
    assert again.fingerprint() == pixels.fingerprint() != pixels.part(slice(1, None)).fingerprint()


def test_a_file_that_has_not_changed_is_not_read_again(tmp_path, monkeypatch):
    np.save(tmp_path / "x.npy", noise(40, 6, 8))
    first = arrays(tmp_path, tmp_path / "cache", file="x.npy", memory_gb=0.0)
    read = []
    monkeypatch.setattr(
        "difflab.data.array_files.content_hash", lambda content: read.append(1) or content_hash(content)
    )
    monkeypatch.setattr(Arrays, "measure", lambda self, part: pytest.fail("measured again"))
    again = arrays(tmp_path, tmp_path / "cache", file="x.npy", memory_gb=0.0)
    assert torch.equal(again.train.pixels[:], first.train.pixels[:])
    assert not read
    np.save(tmp_path / "x.npy", noise(41, 6, 8, seed=1))
    with pytest.raises(pytest.fail.Exception, match="measured again"):
        arrays(tmp_path, tmp_path / "cache", file="x.npy", memory_gb=0.0)
    assert len(read) == 41


def test_a_test_file_is_the_test_part(tmp_path):
    np.savez(tmp_path / "x.npz", x=noise(30, 6, 8), y=np.arange(30) % 3)
    np.savez(tmp_path / "t.npz", x=noise(9, 6, 8, seed=1), y=np.zeros(9, dtype=int))
    data = arrays(tmp_path, test_file="t.npz")
    assert torch.equal(data.test.pixels[:, 0], torch.from_numpy(noise(9, 6, 8, seed=1)))
    assert (len(data.reference), data.classes) == (30, 3)
    assert torch.equal(data.reference.labels, torch.arange(30) % 3)


def test_levels_are_those_of_the_data(tmp_path):
    np.savez(tmp_path / "x.npz", noise(40, 6, 8, high=4))
    data = arrays(tmp_path, levels=4)
    assert data.scaling.encode(data.train.pixels).unique().tolist() == pytest.approx([-1, -1 / 3, 1 / 3, 1])
    images = noise(40, 6, 8, high=4)
    images[23, 2, 2] = 9
    np.savez(tmp_path / "x.npz", images)
    with pytest.raises(ConfigError, match=r"data.levels: 4; image 23 of .*x.npz holds 9: allowed are 0 to 3"):
        arrays(tmp_path, levels=4)


def test_names_and_classes_can_be_said(tmp_path):
    np.savez(tmp_path / "x.npz", photos=noise(40, 6, 8), kinds=np.arange(40) % 4, more=noise(3))
    with pytest.raises(ConfigError, match=r"data.images: null; allowed are the arrays of .*: photos, kinds, more"):
        arrays(tmp_path)
    assert arrays(tmp_path, images="photos").classes is None
    assert arrays(tmp_path, images="photos", labels="kinds").classes == 4
    assert arrays(tmp_path, images="photos", labels="kinds", classes=6).classes == 6
    assert arrays(tmp_path, images="photos", labels="kinds", classes=False).train.labels is None
    with pytest.raises(ConfigError, match=r"data.labels: kind; allowed are the arrays of"):
        arrays(tmp_path, images="photos", labels="kind")
    with pytest.raises(ConfigError, match=r"data.classes: true; .*x.npz has no labels: allowed are auto, false"):
        arrays(tmp_path, images="photos", classes=True)
    with pytest.raises(ConfigError, match=r"data.classes: 3; .*x.npz gives image 3 the label 3: allowed are 0 to 2"):
        arrays(tmp_path, images="photos", labels="kinds", classes=3)


WRONG = {
    "floats": (
        {"images": np.zeros((40, 6, 8))},
        {},
        r"data.file: .*x.npz holds float64; .*such as \(255 \* x\)",
    ),
    "wide": ({"images": np.zeros((40, 6, 8), int)}, {}, "data.file: .*x.npz holds int64; allowed is uint8"),
    "flat": ({"images": noise(40, 48)}, {}, r"data.file: .* shape \(40, 48\); allowed are \[N, H, W\]"),
    "none": ({"images": noise(0, 6, 8)}, {}, r"data.file: .* shape \(0, 6, 8\)"),
    "either": ({"images": noise(40, 6, 8, 6)}, {}, r"data.layout: auto; .* could be either: allowed are nhwc, nchw"),
    "layout": ({"images": noise(40, 6, 8)}, {"layout": "nhwc"}, r"data.layout: nhwc; .* shape \(40, 6, 8\)"),
    "objects": ({"images": np.array([None] * 40)}, {}, "data.images: images of .*x.npz cannot be read"),
    "few labels": (
        {"images": noise(40, 6, 8), "labels": np.arange(39)},
        {},
        r"data.labels: int64 of shape \(39,\)",
    ),
    "shares": ({"images": noise(40, 6, 8), "labels": np.ones(40)}, {}, r"data.labels: float64 of shape \(40,\)"),
    "negative": ({"images": noise(40, 6, 8), "labels": np.arange(40) - 7}, {}, "data.labels: -7 for image 0 of"),
    "gone": ({}, {"file": "y.npz"}, "data.file: .*y.npz is not there; allowed are .npz and .npy"),
    "kind": ({}, {"file": "notes.txt"}, "data.file: .*notes.txt is no .npz or .npy"),
    "cut": ({"images": noise(40, 6, 8)}, {"file": "cut.npz"}, "data.file: .*cut.npz cannot be read"),
    "damaged": ({"images": noise(40, 6, 8)}, {"file": "damaged.npz"}, "data.images: images of .*damaged.npz cannot"),
    "cut npy": ({}, {"file": "cut.npy"}, "data.file: .*cut.npy cannot be read"),
    "other shape": ({"images": noise(40, 6, 8)}, {"test_file": "t.npz"}, "data.test_file: .*t.npz .*shape .1, 6, 9"),
    "labels": ({"images": noise(40, 6, 9)}, {"test_file": "labelled.npz"}, "data.test_file: .*x.npz has no labels"),
}


@pytest.mark.parametrize(("content", "options", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_in_a_line(tmp_path, content, options, message):
    np.savez(tmp_path / "x.npz", **content)
    (tmp_path / "notes.txt").touch()
    whole = (tmp_path / "x.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    middle = len(whole) // 2
    damaged = whole[:middle] + bytes(b ^ 255 for b in whole[middle : middle + 9]) + whole[middle + 9 :]
    (tmp_path / "damaged.npz").write_bytes(damaged)
    np.save(tmp_path / "cut.npy", noise(40, 6, 8))
    (tmp_path / "cut.npy").write_bytes((tmp_path / "cut.npy").read_bytes()[:-5])
    np.savez(tmp_path / "t.npz", noise(9, 6, 9))
    np.savez(tmp_path / "labelled.npz", images=noise(9, 6, 9), labels=np.arange(9))
    with pytest.raises(ConfigError, match=message) as refusal:
        arrays(tmp_path, **options)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(("field", "value"), [("levels", 1), ("levels", 257), ("layout", "hwc"), ("test_fraction", 1)])
def test_values_out_of_range_are_refused(tmp_path, field, value):
    with pytest.raises(ConfigError, match=f"data.{field}: {value}; allowed"):
        arrays(tmp_path, **{field: value})
