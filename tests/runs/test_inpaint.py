"""scripts/inpaint.py and Run.inpaint: by a network that is told masks, and by one that is not."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from difflab import load_run
from difflab.condition import NUMBERS
from difflab.errors import ConfigError
from difflab.randomness import stream
from difflab.runs.masks import masks
from difflab.studies.latent_codes import LatentCodes

sys.path.insert(0, str(Path(__file__).parent))
from children import run_folder, script

pytestmark = pytest.mark.slow
TINY = ("metrics=none", "trainer.max_steps=2", "trainer.accelerator=cpu", "data.batch_size=8", "schedule.T=30")
TINY += ("sampler.steps=6", "generation.chunk=8", "name=test")
UNET = ("model.channels=8", "model.blocks=1", "trainer.max_steps=4")
FEW = ("n=3", "each=2", "chunk=8")


def trained(folder, *arguments):
    code, said = script("train", [*TINY, *arguments], folder)
    assert code == 0, said
    return run_folder(folder)


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("told"), *UNET, "condition=inpainting")


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """Told classes, but no masks."""
    small = ("model=mlp", "model.width=16", "model.blocks=1", "condition=classes")
    return trained(tmp_path_factory.mktemp("plain"), *small)


@pytest.fixture(scope="module")
def coarse(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("coarse"), *UNET, "condition=super_resolution")


def inpainted(run, out, *arguments):
    """What the script writes."""
    code, said = script("inpaint", [f"run={run}", f"out={out}", *FEW, *arguments], out)
    assert code == 0, said
    return np.load(next(out.glob("*.npz"))), Image.open(next(out.glob("*.png")))


def pictures(run, images):
    scaling = run.parts.data.scaling
    return scaling.picture(scaling.decode(images)).movedim(1, -1).numpy()


def test_a_network_that_is_told_masks_keeps_the_known_pixels(told, tmp_path):
    found, picture = inpainted(told, tmp_path, "mask=left", "seed=3", "guidance=classifier_free")
    made, originals, masks = (found[name] for name in ("arr_0", "originals", "masks"))
    assert made.shape == (3, 2, 8, 8, 1) and originals.shape == (3, 8, 8, 1) and masks.shape == (3, 8, 8)
    assert masks[:, :, :4].all() and not masks[:, :, 4:].any()
    assert (made[:, :, :, 4:] == originals[:, None, :, 4:]).all()
    assert (made[:, 0, :, :4] != made[:, 1, :, :4]).any()
    assert picture.width > picture.height  # three rows of original | masked | two inpaintings
    run = load_run(told)
    assert (originals == pictures(run, run.parts.data.scaling.encode(run.parts.data.test.pixels[:3]))).all()


def masks_of(run, name, n=3, seed=3):
    return masks(name, (1, 8, 8), n, seed, run.parts.denoiser.conditioning, run.config)


def test_random_masks_are_those_of_training(told, plain):
    numbers = torch.stack([torch.from_numpy(stream(3, "mask", i).random(NUMBERS)) for i in range(3)])
    run = load_run(told)
    found = masks_of(run, "random")
    assert torch.equal(found, run.parts.denoiser.conditioning.known(numbers, 8, 8) == 0)
    assert torch.equal(masks_of(load_run(plain), "random"), found)  # by the defaults of condition=inpainting


def test_named_masks_are_halves_and_the_middle(plain):
    run = load_run(plain)
    left, right, top, bottom, center = (
        masks_of(run, name, 1)[0, 0] for name in ("left", "right", "top", "bottom", "center")
    )
    assert torch.equal(left, ~right) and torch.equal(top, ~bottom) and left[:, :4].all() and top[:4].all()
    assert center[2:6, 2:6].all() and center.sum() == 16


def test_the_known_pixels_are_heard(told):
    """Other known pixels, other inpaintings; what is under the mask says nothing."""
    run = load_run(told)
    x = run.parts.data.scaling.encode(run.parts.data.test.pixels[:8])
    mask = torch.zeros(1, 8, 8, dtype=torch.bool)
    mask[:, 2:6, 2:6] = True
    made = run.inpaint(x, mask, seed=1, clip=False)
    assert torch.equal(run.inpaint(torch.where(mask, 0.3, x), mask, seed=1, clip=False), made)
    other = run.inpaint(torch.where(mask, x, -x), mask, seed=1, clip=False)
    assert not torch.equal(other.where(mask, torch.tensor(0.0)), made.where(mask, torch.tensor(0.0)))
    torch.testing.assert_close(run.inpaint(x[:3], mask, seed=1, clip=False), made[:3])


def test_any_other_network_is_resampled_as_by_a_loaded_run(plain, tmp_path):
    white = np.zeros((8, 8), dtype=np.uint8)
    white[5:, 1:4] = 255
    Image.fromarray(white).save(tmp_path / "hole.png")
    out = tmp_path / "out"
    out.mkdir()
    resampled = ("repaint.jump=2", "repaint.resamplings=3", "sampler=ancestral", "sampler.steps=8", "seed=5")
    found, _ = inpainted(plain, out, f"mask={tmp_path / 'hole.png'}", *resampled)
    assert (found["masks"] == (white > 0)).all()
    assert (found["arr_0"][:, :, white == 0] == found["originals"][:, None, white == 0]).all()
    run = load_run(plain)
    rows, data = torch.arange(3).repeat_interleave(2), run.parts.data
    x, mask = data.scaling.encode(data.test.pixels[:3])[rows], torch.from_numpy(white > 0)[None]
    labels, more = data.test.labels[:3][rows], {"seed": 5, "jump": 2, "resamplings": 3}
    made = run.inpaint(x, mask, "ancestral", 8, labels=labels, **more)
    assert (pictures(run, made).reshape(3, 2, 8, 8, 1) == found["arr_0"]).all()
    assert not torch.equal(run.inpaint(x, mask, "ancestral", 8, labels=9 - labels, **more), made)
    assert not torch.equal(run.inpaint(x, mask, "ancestral", 8, labels=labels, **more | {"resamplings": 1}), made)


def test_codes_are_decoded_with_the_images_that_the_network_is_told(coarse):
    """Encoded and decoded with the same images they close; codes say nothing of images, which must be given."""
    run = load_run(coarse)
    data = run.parts.data
    x = data.scaling.encode(data.test.pixels[:3])
    codes = run.encode(x, steps=30)
    assert torch.equal(run.encode(x, steps=30, images=x), codes)
    again, other = run.decode(codes, steps=30, images=x), run.decode(codes, steps=30, images=-x)
    assert (again - x).square().mean() < (other - x).square().mean()
    with pytest.raises(ConfigError, match=r"images: none; allowed are those that condition SuperResolution"):
        run.decode(codes, steps=30)
    with pytest.raises(ConfigError, match=r"images: shape \(1, 1, 8, 8\); allowed is \(3, 1, 8, 8\)"):
        run.decode(codes, steps=30, images=x[:1])


def test_a_study_of_codes_is_for_networks_that_are_told_nothing(coarse, plain):
    study = LatentCodes([10, 20, 40], 8, 2, 5, 10, 3, 1e-3, 0)
    for folder in (coarse, plain):
        run = load_run(folder)
        with pytest.raises(ConfigError, match=r"study: latent_codes; .*: allowed with condition=none"):
            study.check(run.parts, run.config)


def test_samples_of_a_network_that_is_told_images_lie_between_condition_and_truth(coarse, tmp_path):
    code, said = script("sample", [f"run={coarse}", f"out={tmp_path}", "n=3", "chunk=8"], tmp_path)
    assert code == 0, said
    (png,), (npz,) = tmp_path.glob("*.png"), tmp_path.glob("*.npz")
    shown = np.asarray(Image.open(png).convert("L"))
    factor = shown.shape[0] // 10  # 8 pixels and a border on both sides
    cells = shown[factor // 2 :: factor, factor // 2 :: factor][1:9]
    columns = [cells[:, 1 + 9 * i : 9 + 9 * i] for i in range(9)]
    data = load_run(coarse).parts.data
    truth = data.scaling.picture(data.test.pixels[:3])[:, 0].numpy()
    samples = np.load(npz)["arr_0"][..., 0]
    for i in range(3):
        condition, sample, real = columns[3 * i : 3 * i + 3]
        assert (real == truth[i]).all() and (sample == samples[i]).all()
        assert abs(float(condition.mean()) - float(truth[i].mean())) < 1 and condition.std() < truth[i].std()


def test_what_does_not_fit_is_refused(plain, coarse, tmp_path):
    run = load_run(plain)
    x, mask = torch.zeros(2, 1, 8, 8), torch.ones(1, 8, 8, dtype=torch.bool)
    for call, message in (
        (lambda: run.inpaint(x[:, :, 1:], mask), r"x: shape \(2, 1, 7, 8\); allowed are \[N, 1, 8, 8\]"),
        (lambda: run.inpaint(x, mask[:, 1:]), r"mask: torch\.bool, \(1, 7, 8\); allowed are torch\.bool, \[1, 8, 8\]"),
        (lambda: run.inpaint(x, mask.float()), r"mask: torch\.float32"),
        (lambda: run.inpaint(x, mask, "heun"), r"sampler: Heun does not go step by step"),
        (lambda: run.inpaint(x, mask, jump=0), r"repaint\.jump: 0; allowed"),
        (lambda: run.inpaint(x, mask, labels=torch.tensor([1])), r"labels: torch\.int64, \(1,\); allowed"),
        (lambda: run.inpaint(x, mask, labels=torch.tensor([1, 10])), r"labels: 10; allowed are class numbers, 0 to 9"),
        (lambda: load_run(coarse).inpaint(x, mask), r"run: its network was trained with condition SuperResolution"),
    ):
        with pytest.raises(ConfigError, match=message):
            call()


def test_masks_that_cannot_be_are_refused(plain, tmp_path):
    run = load_run(plain)
    for name, pixels in {"small": np.full((8, 7), 255), "black": np.zeros((8, 8))}.items():
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / f"{name}.png")
    (tmp_path / "text.png").write_text("no picture")
    for name, message in (
        ("small", "is 7x8 pixels; allowed is the size of the images, 8x8"),
        ("black", "has no white pixel"),
        ("text", "is not a picture that can be read"),
        ("none", "none.png; allowed are center, left, right, top, bottom, random, and files of pictures"),
    ):
        with pytest.raises(ConfigError, match=message):
            masks_of(run, str(tmp_path / f"{name}.png"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("mask=middle",), "mask: middle; allowed are center, left, right, top, bottom, random"),
        (("n=100000",), "n: 100000; allowed are 1 to "),
        (("repaint.jump=0",), "repaint.jump: 0; allowed are whole numbers from 1"),
    ],
)
def test_arguments_that_cannot_be_are_refused_in_a_line(plain, arguments, message, tmp_path):
    code, said = script("inpaint", [f"run={plain}", *arguments], tmp_path)
    assert code == 2 and message in said and len(said.strip().splitlines()) <= 3, said


def test_points_have_no_masks(tmp_path):
    small = ("data=two_moons", "model=mlp", "model.width=8", "model.blocks=1")
    run = trained(tmp_path, *small, "metrics.pictures=0")
    code, said = script("inpaint", [f"run={run}"], tmp_path)
    assert code == 2 and "is about points, which have no masks; allowed are runs of images" in said
