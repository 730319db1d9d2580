"""Moving averages against traces computed by hand, and what checkpoints and snapshots hold of them."""

import sys
from pathlib import Path

import pytest
import torch
from lightning import LightningModule
from lightning.pytorch import Callback, Trainer
from torch.utils.data import DataLoader

from difflab.training import EMA, Snapshots, constant_ema, halflife_ema, power_ema
from difflab.training.averages import LONGEST, Power, exponent, relative_std

sys.path.insert(0, str(Path(__file__).parents[1] / "runs"))
from children import SIGKILL, SMALL, run_folder, shell, train


class Counter(LightningModule):
    """One weight that falls by exactly 1 with every optimizer step, and a table that nobody trains."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
        self.register_buffer("table", torch.full((1,), 0.1, dtype=torch.float64))

    def training_step(self, batch, batch_idx):
        return self.weight.sum()

    def validation_step(self, batch, batch_idx):
        self.seen = self.weight.item()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1.0)


def fit(ema: EMA, *callbacks: Callback, start: Path | None = None, **options) -> Counter:
    module = Counter()
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    options = {"num_sanity_val_steps": 0, **options}
    trainer = Trainer(accelerator="cpu", callbacks=[ema, *callbacks], **quiet, **options)
    batches = DataLoader(torch.zeros(64, 1), batch_size=1)
    trainer.fit(module, batches, DataLoader(torch.zeros(2, 1), batch_size=1), ckpt_path=start, weights_only=True)
    return module


def trace(steps: int, decay: float, warmup: bool) -> float:
    """The average of the weights 0, -1, -2, ... after so many steps."""
    average = 0.0
    for n in range(steps):
        d = min(decay, (1 + n) / (10 + n)) if warmup else decay
        average = d * average + (1 - d) * -(n + 1)
    return average


@pytest.mark.parametrize(("decay", "warmup"), [(0.9, False), (0.9, True), (0.2, True), (0.0, False)])
def test_average_follows_the_trace(decay, warmup):
    ema = constant_ema(decay, warmup)
    module = fit(ema, max_steps=7, limit_val_batches=0)
    assert module.weight.item() == -7
    assert ema.average["weight"].item() == pytest.approx(trace(7, decay, warmup), rel=1e-14)


def test_accumulated_batches_count_once():
    ema = constant_ema(0.9, True)
    fit(ema, max_steps=5, accumulate_grad_batches=3, limit_val_batches=0)
    assert ema.updates == 5
    assert ema.average["weight"].item() == pytest.approx(trace(5, 0.9, True), rel=1e-14)


def test_validation_sees_the_average_and_training_goes_on_with_the_weights():
    ema = constant_ema(0.9, True)
    module = fit(ema, max_steps=4, val_check_interval=2, check_val_every_n_epoch=None)
    assert module.seen == pytest.approx(trace(4, 0.9, True), rel=1e-14)
    assert module.weight.item() == -4


class Fails(Callback):
    def on_validation_batch_end(self, *_):
        raise RuntimeError("in the middle of validation")


def test_an_exception_in_validation_gives_the_weights_back():
    ema, kept = constant_ema(0.9, True), []

    class Keep(Callback):
        def on_fit_start(self, trainer, pl_module):
            kept.append(pl_module)

    with pytest.raises(RuntimeError, match="middle of validation"):
        fit(ema, Fails(), Keep(), max_steps=4, val_check_interval=3, check_val_every_n_epoch=None)
    assert kept[0].weight.item() == -3
    assert ema.average["weight"].item() == pytest.approx(trace(3, 0.9, True), rel=1e-14)
    assert not ema.swapped


def test_averaged_restores_after_an_exception_and_nests():
    ema = constant_ema(0.9, True)
    module = fit(ema, max_steps=3, limit_val_batches=0)
    average = trace(3, 0.9, True)
    with pytest.raises(KeyError), ema.averaged(module):
        with ema.averaged(module):
            assert module.weight.item() == pytest.approx(average, rel=1e-14)
        assert module.weight.item() == pytest.approx(average, rel=1e-14)
        raise KeyError
    assert module.weight.item() == -3


@pytest.mark.parametrize("swapped", [False, True])
def test_checkpoint_holds_both_under_their_names_also_while_swapped(swapped):
    ema = constant_ema(0.9, True)
    module = fit(ema, max_steps=3, limit_val_batches=0)
    if swapped:
        ema.swap(module)
    checkpoint = {"state_dict": module.state_dict()}
    ema.on_save_checkpoint(module.trainer, module, checkpoint)
    assert checkpoint["state_dict"]["weight"].item() == pytest.approx(trace(3, 0.9, True), rel=1e-14)
    assert checkpoint["current_model_state"]["weight"].item() == -3
    assert checkpoint["state_dict"]["table"].item() == 0.1  # copied, never averaged


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_decay_outside_its_range_is_refused(decay):
    with pytest.raises(ValueError, match=f"ema.decay: {decay}"):
        constant_ema(decay, True)


@pytest.mark.slow
def test_checkpoints_of_a_run_are_plain_and_hold_both(tmp_path):
    code, text = train(folder=tmp_path)
    assert code == 0, text
    checkpoint = torch.load(run_folder(tmp_path) / "checkpoints" / "last.ckpt", weights_only=True)
    average, weights = checkpoint["state_dict"], checkpoint["current_model_state"]
    assert average.keys() == weights.keys()
    assert any(not torch.equal(average[name], weights[name]) for name in average)
    assert checkpoint["callbacks"]["EMA"] == {"updates": 12}


@pytest.mark.slow
def test_only_the_newest_checkpoints_stay(tmp_path):
    code, text = train("checkpoints.keep=2", folder=tmp_path)
    assert code == 0, text
    names = sorted(path.name for path in (run_folder(tmp_path) / "checkpoints").iterdir())
    assert names == ["best.ckpt", "last.ckpt", "step_000009.ckpt", "step_000012.ckpt"]


IMAGES, LENGTHS = 4, (0.05, 0.1, 0.2)


def halflife_trace(steps: int, halflife: float, rampup: float | None) -> float:
    """The average of -1, -2, ... where a weight counts half after so many images, or so large a share of those seen."""
    average = 0.0
    for n in range(steps):
        h = halflife if rampup is None else min(halflife, rampup * IMAGES * n)
        decay = 2 ** (-IMAGES / h) if h else 0.0
        average = decay * average + (1 - decay) * -(n + 1)
    return average


def power_trace(steps: int, length: float) -> float:
    """The average of -1, -2, ... as one weighted sum: each step by the integral of its share of the profile."""
    power = exponent(length, "length") + 1
    return sum(-s * ((s / steps) ** power - ((s - 1) / steps) ** power) for s in range(1, steps + 1))


@pytest.mark.parametrize(("halflife", "rampup"), [(10.0, None), (10.0, 0.5), (1000.0, 0.05), (1e-3, None)])
def test_halflife_follows_the_trace(halflife, rampup):
    ema = halflife_ema(halflife, rampup, IMAGES)
    fit(ema, max_steps=9, limit_val_batches=0)
    assert ema.average["weight"].item() == pytest.approx(halflife_trace(9, halflife, rampup), rel=1e-14)


def test_halflife_by_hand():
    """Half-life of two batches: 1/sqrt 2 of the average stays. -1 (1 - r) r - 2 (1 - r) after two steps."""
    ema, r = halflife_ema(2.0 * IMAGES, None, IMAGES), 0.5**0.5
    fit(ema, max_steps=2, limit_val_batches=0)
    assert ema.average["weight"].item() == pytest.approx(-(1 - r) * r - 2 * (1 - r), rel=1e-15)


def test_all_lengths_follow_their_weighted_sums(tmp_path):
    ema = power_ema(list(LENGTHS), 100, tmp_path)
    fit(ema, max_steps=9, limit_val_batches=0)
    for length in LENGTHS:
        average = ema.averages[f"{length:g}"]["weight"].item()
        assert average == pytest.approx(power_trace(9, length), rel=1e-13)
    assert ema.average is ema.averages["0.05"]


def test_the_first_step_forgets_the_start(tmp_path):
    """(1 - 1/1)^(gamma + 1) is 0: no weights from before training are in a power average."""
    ema = power_ema([0.1], 100, tmp_path)
    fit(ema, max_steps=1, limit_val_batches=0)
    assert ema.average["weight"].item() == -1.0


@pytest.mark.parametrize("length", LENGTHS)
def test_power_averages_near_the_continuous_profile(length):
    """Against sum s^gamma w(s) / sum s^gamma, which is the profile up to steps of its own: they differ by O(1/n)."""
    n, rule = 4000, Power(length)
    s = torch.arange(1, n + 1, dtype=torch.float64)
    weights = (s / 40).sin() + (s / n) ** 2
    average = 0.0
    for t, w in enumerate(weights.tolist()):
        average += (1 - rule.decay(t)) * (w - average)
    profile = (s / n) ** rule.gamma
    assert average == pytest.approx(((profile * weights).sum() / profile.sum()).item(), abs=5e-3)
    assert rule.decay(6) == pytest.approx((1 - 1 / 7) ** (rule.gamma + 1), rel=1e-15)


@pytest.mark.parametrize("length", [0.001, 0.01, 0.05, 0.1, 0.15, 0.25, 0.2886, LONGEST])
def test_the_exponent_has_the_standard_deviation(length):
    gamma = exponent(length, "length")
    assert relative_std(gamma) == pytest.approx(length, rel=1e-9)
    u = (torch.arange(400_000, dtype=torch.float64) + 0.5) / 400_000
    density = (gamma + 1) * u**gamma
    mean = (density * u).mean()
    assert (density * (u - mean) ** 2).mean().sqrt().item() == pytest.approx(length, rel=1e-4)


def test_the_exponents_of_the_paper():
    """Karras et al. (2024) name gamma = 16.97 and 6.94 for their 5 % and 10 %."""
    assert exponent(0.05, "length") == pytest.approx(16.97, abs=0.005)
    assert exponent(0.1, "length") == pytest.approx(6.94, abs=0.005)
    assert exponent(LONGEST, "length") == pytest.approx(0, abs=1e-9)  # the plain mean


def test_every_track_counts_accumulated_batches_once(tmp_path):
    ema = power_ema(list(LENGTHS), 2, tmp_path)
    fit(ema, max_steps=5, accumulate_grad_batches=3, limit_val_batches=0)
    assert ema.updates == 5
    for length in LENGTHS:
        assert ema.averages[f"{length:g}"]["weight"].item() == pytest.approx(power_trace(5, length), rel=1e-13)
    snapshots = Snapshots(tmp_path, 2)
    assert snapshots.steps() == [2, 4, 5]  # every second, and the end
    for step in snapshots.steps():
        for key, average in snapshots.read(step).items():
            assert average["weight"].item() == pytest.approx(power_trace(step, float(key)), rel=1e-13)


def test_an_exception_in_validation_leaves_every_track_as_it_was(tmp_path):
    ema = power_ema(list(LENGTHS), 100, tmp_path)
    with pytest.raises(RuntimeError, match="middle of validation"):
        fit(ema, Fails(), max_steps=4, val_check_interval=3, check_val_every_n_epoch=None)
    assert not ema.swapped
    for length in LENGTHS:
        assert ema.averages[f"{length:g}"]["weight"].item() == pytest.approx(power_trace(3, length), rel=1e-13)


@pytest.mark.parametrize("swapped", [False, True])
def test_a_resume_restores_every_track(tmp_path, swapped):
    """Seven steps at once, and four, a checkpoint (also one saved while swapped), and three more: the same bits."""
    whole, cut, resumed = (power_ema(list(LENGTHS), 3, tmp_path / name) for name in ("whole", "cut", "cut"))
    module = fit(whole, max_steps=7, limit_val_batches=0)
    stopped = fit(cut, max_steps=4, limit_val_batches=0)
    assert Snapshots(tmp_path / "cut", 3).steps() == [3, 4]
    if swapped:
        cut.swap(stopped)
    stopped.trainer.save_checkpoint(tmp_path / "cut.ckpt")
    saved = torch.load(tmp_path / "cut.ckpt", weights_only=True)
    assert saved["averages"].keys() == {"0.1", "0.2"}
    again = fit(resumed, start=tmp_path / "cut.ckpt", max_steps=7, limit_val_batches=0)
    assert again.weight.item() == module.weight.item() == -7
    for key, average in whole.averages.items():
        assert torch.equal(average["weight"], resumed.averages[key]["weight"])
    one, other = (Snapshots(tmp_path / name, 3) for name in ("whole", "cut"))
    assert one.steps() == other.steps() == [3, 6, 7]  # what the first end left at step 4 is gone
    for step in one.steps():
        assert one.path(step).read_bytes() == other.path(step).read_bytes()


def test_only_power_averages_are_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for ema in (constant_ema(0.9, True), halflife_ema(10.0, 0.05, IMAGES)):
        fit(ema, max_steps=5, limit_val_batches=0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda f: power_ema([], 5, f), "ema.lengths: \\[\\]"),
        (lambda f: power_ema([0.1, 0.1], 5, f), "each once"),
        (lambda f: power_ema([0.3], 5, f), "ema.lengths: 0.3; allowed are numbers from 0.001 to 0.2886"),
        (lambda f: power_ema([0.1], 0, f), "ema.snapshot_every: 0"),
        (lambda f: halflife_ema(0.0, None, 4), "ema.halflife: 0"),
        (lambda f: halflife_ema(10.0, -1.0, 4), "ema.rampup: -1"),
    ],
)
def test_what_no_average_has_is_refused(tmp_path, make, message):
    with pytest.raises(ValueError, match=message):
        make(tmp_path)


@pytest.mark.slow
def test_ranges_are_refused_before_anything_is_built(tmp_path):
    for option, field in (("ema.lengths=[0.4]", "ema.lengths"), ("ema.snapshot_every=0", "ema.snapshot_every")):
        code, text = train("ema=power", option, folder=tmp_path)
        assert code == 2 and text.startswith(f"refused: {field}"), text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "learned"),
    [
        (("schedule=learned", "schedule.width=8"), "denoiser.schedule."),
        (("loss=uncertainty", "times=weighted"), "loss."),
    ],
    ids=["schedule", "uncertainty"],
)
def test_averages_cover_whatever_is_trained_and_nothing_else(tmp_path, options, learned):
    code, text = train("ema=power", "ema.snapshot_every=3", *options, folder=tmp_path)
    assert code == 0, text
    run = run_folder(tmp_path)
    saved = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    first, raw, other = saved["state_dict"], saved["current_model_state"], saved["averages"]["0.1"]
    assert len(other) == len(saved["optimizer_states"][0]["state"])  # every parameter that is optimised
    for name in other:
        assert not first[name].eq(raw[name]).all() or raw[name].eq(0).all() or raw[name].numel() == 1, name
    assert any(name.startswith(learned) and not torch.equal(first[name], other[name]) for name in other)
    assert any(name.startswith("denoiser.network.") for name in other)
    for name in first.keys() - other.keys():
        assert torch.equal(first[name], raw[name])
    snapshot = Snapshots(run, 3).read(12)
    assert snapshot.keys() == {"0.05", "0.1"}
    for name, w in other.items():
        assert torch.equal(snapshot["0.05"][name], first[name]) and torch.equal(snapshot["0.1"][name], w)


@pytest.mark.slow
def test_a_run_counts_the_images_of_its_steps(tmp_path):
    """A half-life of 3 x 32 images, which is one step of three batches: each average lies half-way to the weights."""
    options = ("ema.halflife=96", "ema.rampup=null", "trainer.accumulate_grad_batches=3", "trainer.max_steps=3")
    code, text = train("ema=halflife", *options, "checkpoints.every=1", folder=tmp_path)
    assert code == 0, text
    folder = run_folder(tmp_path) / "checkpoints"
    before, after = (torch.load(folder / f"step_00000{step}.ckpt", weights_only=True) for step in (2, 3))
    for name, average in after["state_dict"].items():
        expected = (before["state_dict"][name] + after["current_model_state"][name]) / 2
        torch.testing.assert_close(average, expected, rtol=1e-6, atol=1e-7)
    assert not all(torch.equal(w, before["state_dict"][name]) for name, w in after["state_dict"].items())


@pytest.mark.slow
@pytest.mark.parametrize("ema", ["power", "halflife"])
def test_a_killed_run_ends_with_the_same_averages_and_snapshots(tmp_path, ema):
    options = [f"ema={ema}"] + (["ema.snapshot_every=3", "ema.lengths=[0.1,0.05,0.2]"] if ema == "power" else [])
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder in (whole, cut):
        folder.mkdir()
    code, text = train(*options, folder=whole)
    assert code == 0, text
    assert train(*options, folder=cut, kill=("training", 8, SIGKILL))[0] == -9
    code, text = train(f"resume={run_folder(cut)}", folder=cut)
    assert code == 0, text
    files = [sorted((run_folder(folder) / "snapshots").glob("*")) for folder in (whole, cut)]
    assert len(files[0]) == (4 if ema == "power" else 0)
    assert [file.name for file in files[0]] == [file.name for file in files[1]]
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(*files, strict=True))
    one, other = (
        torch.load(run_folder(folder) / "checkpoints" / "last.ckpt", weights_only=True) for folder in (whole, cut)
    )
    tracks = [one["state_dict"], one["current_model_state"], *one.get("averages", {}).values()]
    again = [other["state_dict"], other["current_model_state"], *other.get("averages", {}).values()]
    assert len(tracks) == len(again) == (4 if ema == "power" else 2)
    for track, same in zip(tracks, again, strict=True):
        assert all(torch.equal(track[name], same[name]) for name in track)


@pytest.mark.slow
def test_two_processes_average_as_one_does(tmp_path):
    """Both hold the same averages; the first writes them. Weights agree but for the order of additions."""
    options = ("ema=power", "ema.snapshot_every=5", "model.blocks=1")
    child = shell(["train.py", *SMALL, *options, "trainer=ddp", "trainer.devices=2", "name=two"], tmp_path)
    _, stderr = child.communicate(timeout=300)
    assert child.returncode == 0, stderr
    code, text = train(*options, folder=tmp_path)
    assert code == 0, text
    runs = [next((tmp_path / "outputs" / "runs" / name).iterdir()) for name in ("two", "test")]
    snapshots = [Snapshots(run, 5) for run in runs]
    assert snapshots[0].steps() == snapshots[1].steps() == [5, 10, 12]
    differ = False
    for step in (5, 10, 12):
        two, one = (s.read(step) for s in snapshots)
        for key, average in one.items():
            for name, w in average.items():
                torch.testing.assert_close(two[key][name], w, atol=1e-4, rtol=0)
                differ |= not torch.equal(two[key][name], w)
    assert differ  # it was two processes
    saved = torch.load(runs[0] / "checkpoints" / "last.ckpt", weights_only=True)["averages"]["0.1"]
    assert all(torch.equal(saved[name], w) for name, w in snapshots[0].read(12)["0.1"].items())
