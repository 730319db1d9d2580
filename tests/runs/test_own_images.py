"""Images of other shapes than the field's own train, sample, score and show, without code."""

import json
import multiprocessing
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from difflab import load_run

sys.path.insert(0, str(Path(__file__).parent))
from children import read, run_folder, script, train
from tiny_data import bands, celeba

pytestmark = pytest.mark.slow

SMALL = (
    *("model=unet", "model.channels=8", "model.multipliers=[1,2]", "model.blocks=1", "model.attention=[]"),
    *(
        "schedule.T=32",
        "sampler.steps=3",
        "features.steps=20",
        "features.dimension=8",
        "likelihood.estimate.steps=2",
        "generation.chunk=32",
    ),
    *("metrics=default", "metrics.draws=1", "metrics.samples=70", "metrics.pictures=4"),
    *("trainer.max_steps=3", "trainer.accelerator=cpu", "data.batch_size=8", "data.val_size=8", "name=test"),
)


def sprites(root, n=100):
    """RGBA pictures of two classes, of many sizes."""
    for i in range(n):
        rng = np.random.default_rng(i)
        path = root / ("ab"[i % 2]) / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(256, size=(*rng.integers(8, 30, size=2), 4), dtype=np.uint8), "RGBA").save(path)
    return root


def checked(tmp_path, shape, shown):
    """The pictures and figures of the run, and of what is made of it afterwards."""
    run = run_folder(tmp_path)
    figures = json.loads((run / "metrics.json").read_text())
    assert figures["test/bits_per_dim"] > 0
    assert figures["test/fd_classifier"] > 0
    assert figures["test/classifier_accuracy"] >= 0
    names = {path.name for path in (run / "samples").glob("*.png")}
    assert names == {"step_000003.png", "denoising.png", "nearest_training_images.png"}
    code, text = script("sample", [f"run={run}", "n=4", "sampler.steps=2", f"out={tmp_path / 'out'}"], tmp_path)
    assert code == 0, text
    (made,) = (tmp_path / "out").glob("*.npz")
    c, h, w = shape
    assert np.load(made)["arr_0"].shape == (4, h, w, c)
    for path in (run / "samples" / "step_000003.png", made.with_suffix(".png")):
        with Image.open(path) as image:
            height, width = (2 * (side + 1) + 1 for side in shown)
            assert image.width / image.height == width / height
            assert np.asarray(image).std() > 10
    loaded = load_run(run)
    assert loaded.parts.data.shape == shape
    bits, _ = loaded.bits_per_dim(loaded.parts.data.scaling.encode(loaded.parts.data.test.pixels[:2]))
    assert bits > 0
    assert f"shape: {' x '.join(map(str, shape))}" in read(run / "run.log")


def test_oblong_pictures_with_opacity_decoded_on_demand(tmp_path):
    root = sprites(tmp_path / "sprites")
    own = ("data.size=[8,12]", "data.channels=4", "data.memory_gb=0", "data.workers=1", "data.test_fraction=0.3")
    fork = partial(multiprocessing.set_start_method, "fork", force=True)  # for its worker, as where users start it
    code, text = script("train", [*SMALL, "data=image_folder", f"data.root={root}", *own], tmp_path, prepare=fork)
    assert code == 0, text
    checked(tmp_path, (4, 8, 12), shown=(8, 12))


def test_five_bands_of_an_array(tmp_path):
    bands(tmp_path / "images.npz", 100)
    code, text = script("train", [*SMALL, "data=npz", f"data.root={tmp_path}", "data.test_fraction=0.3"], tmp_path)
    assert code == 0, text
    checked(tmp_path, (5, 8, 12), shown=(2 * 9 - 1, 3 * 13 - 1))


def test_what_cannot_be_read_is_refused_in_a_line(tmp_path):
    root = sprites(tmp_path / "sprites", 30)
    file = root / "a" / "4.png"
    file.write_bytes(file.read_bytes()[:-30])
    np.savez(tmp_path / "floats.npz", np.zeros((40, 8, 8), dtype=np.float32))
    arguments = {
        f"data.root: {file} cannot be read": ["data=image_folder", f"data.root={root}"],
        "data.classes: 3; ": ["data=image_folder", f"data.root={root}", "data.classes=3"],
        "data.channels: 5; allowed are 1, 2, 3, 4": ["data=image_folder", "data.channels=5"],
        "data.size: [8, 0]; allowed are whole numbers from 1": ["data=image_folder", "data.size=[8,0]"],
        f"data.file: {tmp_path / 'floats.npz'} holds float32": ["data=npz", "data.file=floats.npz"],
        "data.attribute: Smile; ": ["data=celeba", "data.attribute=Smile"],
    }
    celeba(tmp_path)
    for message, typed in arguments.items():
        more = [] if any(a.startswith("data.root=") for a in typed) else [f"data.root={tmp_path}"]
        code, text = train(*typed, *more, "data.batch_size=4", "data.val_size=4", folder=tmp_path)
        assert code == 2, text
        (line,) = [line for line in text.splitlines() if line.strip()]
        assert line.startswith(f"refused: {message}")
