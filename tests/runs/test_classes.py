"""Whole runs of networks that are told classes."""

import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from children import SIGKILL, run_folder, script, train

from difflab import load_run
from difflab.guidance import ClassifierFree
from difflab.runs.sample import asked_for

pytestmark = pytest.mark.slow
EIGHT = ("n=8", "chunk=8")
TOLD = ("condition=classes", "condition.drop=0.2")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    where = tmp_path_factory.mktemp("classes")
    figures = ("metrics=default", "metrics.samples=40", "metrics.draws=1", "metrics.images=8", "features.steps=20")
    few = ("sampler.steps=4", "likelihood.estimate.steps=2", "generation.chunk=8", "guidance=classifier_free")
    code, said = train(*TOLD, *figures, *few, f"cache={where / 'cache'}", folder=where)
    assert code == 0, said
    return run_folder(where)


def test_the_share_of_samples_of_their_class_is_a_figure(folder):
    figures = json.loads((folder / "metrics.json").read_text())
    assert 0 <= figures["test/asked_class_share"] <= 1
    assert figures["test/bits_per_dim"] > 0


def test_a_script_draws_classes_and_guides(folder, tmp_path):
    guided = ["guidance=classifier_free", "guidance.scale=100"]
    for more in ([], ["classes=[3]"], ["classes=[3]", *guided], ["classes=[3,5]", *guided]):
        code, said = script("sample", [f"run={folder}", *EIGHT, f"out={tmp_path}", *more], tmp_path)
        assert code == 0, said
    names = sorted(path.stem for path in tmp_path.glob("*.npz"))
    told = ["_classes3-5_guidance100", "_classes3_guidance100", "_classes3_guidance2", "_guidance2"]
    assert names == [f"ddim_8{what}_seed0_n8" for what in told]
    pictures = [np.load(tmp_path / f"{name}.npz")["arr_0"] for name in names]
    both, threes, _, _ = pictures
    assert (both[::2] == threes[::2]).all()


def test_names_tell_what_was_asked_apart_and_are_short():
    names = [asked_for(classes, None) for classes in (None, [3], list(range(8)), list(range(130)), [1] * 130)]
    assert names[:3] == ["", "_classes3", "_classes0-1-2-3-4-5-6-7"]
    assert names[3].startswith("_classes130-") and names[4].startswith("_classes130-") and len(set(names)) == 5
    assert max(map(len, names)) < 30
    assert asked_for(None, ClassifierFree(2.0, 0.0, math.inf, 0.0)) == "_guidance2"
    assert asked_for([3], ClassifierFree(2.0, 0.5, math.inf, 0.7)) == "_classes3_guidance2_sigma0.5-inf_rescale0.7"


def test_a_loaded_run_answers_as_the_script(folder, tmp_path):
    run = load_run(folder)
    samples = run.sample(8, steps=4, classes=[3], guidance=3.0)
    more = ["classes=[3]", "guidance.scale=3"]
    code, said = script("sample", [f"run={folder}", *EIGHT, f"out={tmp_path}", *more], tmp_path)
    assert code == 0, said
    (saved,) = tmp_path.glob("*.npz")
    levels = (run.parts.data.scaling.picture(run.parts.data.scaling.decode(samples))).permute(0, 2, 3, 1)
    assert (np.load(saved)["arr_0"] == levels.numpy()).all()
    threes, others = (run.sample(8, steps=4, classes=asked, guidance=3.0, clip=False) for asked in ([3], [3, 5]))
    assert torch.equal(others[::2], threes[::2]) and not torch.equal(others[1::2], threes[1::2])
    data = run.parts.data
    x, labels = data.scaling.encode(data.test.pixels[:6]), data.test.labels[:6]
    codes = run.encode(x, steps=4, labels=labels)
    again, other = run.decode(codes, steps=4, labels=labels), run.decode(codes, steps=4, labels=9 - labels)
    assert not torch.equal(again, other)
    assert run.bits_per_dim(x, labels=labels) != run.bits_per_dim(x)


def test_a_resumed_run_is_told_the_same(tmp_path):
    """Dropped classes are functions of (seed, step, index): weights equal bit for bit."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    whole.mkdir()
    cut.mkdir()
    assert train(*TOLD, folder=whole)[0] == 0
    assert train(*TOLD, folder=cut, kill=("training", 7, SIGKILL))[0] == -SIGKILL
    assert train(f"resume={run_folder(cut)}", folder=cut)[0] == 0
    states = [
        torch.load(run_folder(path) / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for path in (whole, cut)
    ]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("condition=classes model=mlp data=gaussian_mixture metrics=points", "condition: classes; GaussianMixture has"),
        ("guidance=classifier_free", "guidance: classifier_free; the network is told no condition: allowed is none"),
        ("condition=classes condition.drop=0 guidance=classifier_free", "guidance.scale: 2.0; the network was trained"),
        ("condition=classes condition.drop=1", "condition.drop: 1"),
        ("guidance=classifier_free condition=classes guidance.scale=-1", "guidance.scale: -1"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, said, tmp_path):
    code, told = train(*arguments.split(), folder=tmp_path)
    assert code == 2 and said in told, told


def test_no_equation_is_solved_by_a_network_that_remembers(tmp_path):
    small = ["model.channels=8", "model.blocks=1", "trainer.accelerator=cpu", "name=test"]
    code, told = script("train", ["model=unet", "model.self_condition=true", "sampler=ode", *small], tmp_path)
    assert code == 2 and "sampler: ODE; it solves an equation, and a self-conditioned network" in told, told


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["classes=[10]"], "classes: 10; allowed are one or more of 0 to 9"),
        (["classes=[a]"], "classes: ['a']; allowed are one or more class numbers"),
        (["guidance.scale=x"], "guidance.scale: x; allowed are numbers"),
    ],
)
def test_what_a_run_does_not_know_is_refused(folder, arguments, said, tmp_path):
    code, told = script("sample", [f"run={folder}", f"out={tmp_path}", *arguments], tmp_path)
    assert code == 2 and said in told, told
