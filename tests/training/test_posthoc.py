"""Lengths made after training: the fit against quadrature, its bound, and real trainings against what they tracked."""

import math
import sys
from pathlib import Path

import pytest
import torch

from difflab import load_run
from difflab.errors import ConfigError
from difflab.training import Snapshots, left_out, reconstruct
from difflab.training.averages import LONGEST, Power, exponent
from difflab.training.posthoc import LIMIT, Profile, distance, fit, products

sys.path.insert(0, str(Path(__file__).parents[1] / "runs"))
from children import run_folder, train

LENGTHS = (0.05, 0.1)
STEPS, EVERY = 300, 20


def density(profile: Profile, end: int) -> torch.Tensor:
    """A profile on the mid-points of a fine grid over the training."""
    tau = (torch.arange(400_000, dtype=torch.float64) + 0.5) * end / 400_000
    gamma = exponent(profile.length, "length")
    return (gamma + 1) * tau**gamma / profile.step ** (gamma + 1) * (tau < profile.step)


def history(steps: int, seed: int = 0) -> torch.Tensor:
    """A training: weights, [steps, 50], that drift fast at first and shake all along."""
    draw = torch.Generator().manual_seed(seed)
    s = torch.arange(1, steps + 1, dtype=torch.float64)[:, None]
    drift = (1 + s).log() * torch.randn(50, generator=draw, dtype=torch.float64)
    return drift + 0.3 * torch.randn(steps, 50, generator=draw, dtype=torch.float64)


def tracked(weights: torch.Tensor, length: float, step: int) -> torch.Tensor:
    """The average that training would have tracked."""
    rule, average = Power(length), torch.zeros_like(weights[0])
    for t in range(step):
        average += (1 - rule.decay(t)) * (weights[t] - average)
    return average


def snapshots_of(weights: torch.Tensor, folder: Path, every: int, lengths=LENGTHS) -> Snapshots:
    """What a run with these weights would have left."""
    made = Snapshots(folder, every)
    for step in range(every, len(weights) + 1, every):
        made.write({f"{x:g}": {"w": tracked(weights, x, step)} for x in lengths}, step)
    return made


def error(made: torch.Tensor, wanted: torch.Tensor) -> float:
    return ((made - wanted).norm() / wanted.norm()).item()


def test_products_are_the_integrals():
    profiles = [Profile(0.05, 40), Profile(0.1, 100), Profile(0.2, 70), Profile(LONGEST, 100)]
    on_grid = torch.stack([density(p, 100) for p in profiles])
    expected = on_grid @ on_grid.T * 100 / 400_000
    torch.testing.assert_close(products(profiles, profiles), expected, rtol=1e-4, atol=0)


def test_the_fit_is_the_best_of_those_that_sum_to_one():
    """The residual is orthogonal to every difference of two profiles, up to the ridge."""
    basis = [Profile(x, t) for t in (25, 50, 75, 100) for x in LENGTHS]
    wanted = [Profile(0.075, 100), Profile(0.02, 100)]
    found = fit(basis, wanted)
    torch.testing.assert_close(found.sum(0), torch.ones(2, dtype=torch.float64), rtol=0, atol=1e-12)
    residual = products(basis, basis) @ found - products(basis, wanted)
    assert (residual - residual[0]).abs().max() < 1e-5 * products(wanted, wanted).max()
    assert (products(basis, wanted) - products(basis, wanted)[0]).abs().max() > 1e-2


def test_a_tracked_length_is_its_own_fit():
    basis = [Profile(x, t) for t in (25, 50, 75, 100) for x in LENGTHS]
    found = fit(basis, basis)
    torch.testing.assert_close(found, torch.eye(len(basis), dtype=torch.float64), rtol=0, atol=1e-5)
    assert distance(basis, basis, found).max() < 1e-6


@pytest.mark.parametrize(("a", "b"), [(0.05, 0.1), (0.01, 0.2), (0.1, LONGEST)])
def test_distance_of_two_profiles_in_closed_form(a, b):
    """Over (-inf, 0] the integral of exp(p u) is 1/p, and of two such functions one is always above the other."""
    p, q = (exponent(x, "length") + 1 for x in (a, b))
    found = distance([Profile(a, 100)], [Profile(b, 100)], torch.ones(1, 1, dtype=torch.float64))
    assert found.item() == pytest.approx(abs(1 / p - 1 / q), rel=2e-3)


@pytest.mark.parametrize("length", [0.015, 0.03, 0.075, 0.15, 0.22])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_distance_bounds_the_error(length, seed):
    """For weights that move along log tau with the speed of their norm, in a direction that turns."""
    basis = [Profile(x, t) for t in range(60, 601, 60) for x in LENGTHS]
    wanted = [Profile(length, 600)]
    parts = fit(basis, wanted)
    turn = 1 + seed * 6
    tau = torch.arange(1, 601, dtype=torch.float64).log()
    weights = torch.stack([(turn * tau).cos(), (turn * tau).sin()], 1) / turn  # |dw/d log tau| = 1
    made = sum(part * tracked(weights, p.length, p.step) for part, p in zip(parts.squeeze(1), basis, strict=True))
    wrong = (made - tracked(weights, length, 600)).norm().item()
    bound = distance(basis, wanted, parts).item()
    assert 1e-3 * bound < wrong < 1.1 * bound + 1e-6  # steps of their own, not a continuous time, are the tenth


@pytest.mark.parametrize("length", [0.03, 0.04, 0.075, 0.12, 0.15, 0.2])
def test_other_lengths_are_near_those_that_training_would_have_tracked(tmp_path, length):
    weights = history(STEPS)
    snapshots = snapshots_of(weights, tmp_path, EVERY)
    for step in (STEPS, 200):
        wanted = tracked(weights, length, step)
        wrong = error(reconstruct(snapshots, length, step)["w"], wanted)
        assert wrong < 1e-2
        assert wrong < 0.3 * min(error(tracked(weights, x, step), wanted) for x in LENGTHS)


def test_a_tracked_length_comes_as_it_is(tmp_path):
    weights = history(STEPS)
    snapshots = snapshots_of(weights, tmp_path, EVERY)
    assert torch.equal(reconstruct(snapshots, 0.1, 200)["w"], tracked(weights, 0.1, 200))


def test_what_is_held_stands_for_the_snapshot_of_its_step(tmp_path):
    """A checkpoint between two snapshots; and one of a step that has a snapshot gives the same bits."""
    weights = history(STEPS)
    snapshots = snapshots_of(weights, tmp_path, EVERY)
    held = {f"{x:g}": {"w": tracked(weights, x, 250)} for x in LENGTHS}
    assert error(reconstruct(snapshots, 0.075, 250, held)["w"], tracked(weights, 0.075, 250)) < 1e-2
    held = {f"{x:g}": {"w": tracked(weights, x, 200)} for x in LENGTHS}
    snapshots.path(200).unlink()
    made = reconstruct(snapshots, 0.075, 200, held)["w"]
    snapshots.write(held, 200)
    assert torch.equal(made, reconstruct(snapshots, 0.075, 200)["w"])


def test_many_lengths_do_not_blow_up_the_rounding(tmp_path):
    """Ten lengths in float32: an unbounded fit would take coefficients of a million."""
    lengths = (0.01, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.12, 0.15, 0.2)
    weights = history(STEPS)
    made = Snapshots(tmp_path, 50)
    for step in range(50, STEPS + 1, 50):
        made.write({f"{x:g}": {"w": tracked(weights, x, step).float()} for x in lengths}, step)
    errors = left_out(made, STEPS)
    assert errors.keys() == {f"{x:g}" for x in lengths}
    assert max(errors.values()) < 5e-3


def test_the_stated_range_is_what_is_given(tmp_path):
    weights = history(STEPS)
    snapshots = snapshots_of(weights, tmp_path, 50)
    with pytest.raises(
        ConfigError, match=r"^ema.length: 0.005; allowed with the snapshots of step 300 are "
    ) as refusal:
        reconstruct(snapshots, 0.005, STEPS)
    low, high = (float(x) for x in str(refusal.value).split(" are ")[1].split(" to "))
    assert 0.005 < low < 0.05 and 0.1 < high < 0.28
    for length in (low, high):
        assert error(reconstruct(snapshots, length, STEPS)["w"], tracked(weights, length, STEPS)) < LIMIT
    for length in (low * 0.9, high * 1.1):
        with pytest.raises(ConfigError, match=f"ema.length: {length:g}"):
            reconstruct(snapshots, length, STEPS)


@pytest.mark.parametrize("length", [0.0, -0.1, 0.0009, 0.29, math.nan])
def test_a_length_that_no_profile_has_is_refused(tmp_path, length):
    snapshots = snapshots_of(history(60), tmp_path, EVERY)
    with pytest.raises(ConfigError, match=r"allowed are numbers from 0.001 to 0.2886"):
        reconstruct(snapshots, length, 60)


def test_missing_and_damaged_snapshots_are_named(tmp_path):
    snapshots = snapshots_of(history(STEPS), tmp_path, EVERY)
    path = snapshots.path(140)
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[-100] ^= 1
    for content, words in ((whole[:-10], "is damaged"), (bytes(flipped), "is damaged"), (b"", "is damaged")):
        path.write_bytes(content)
        with pytest.raises(ConfigError, match=f"{path} {words}"):
            reconstruct(snapshots, 0.075, STEPS)
    path.unlink()
    with pytest.raises(ConfigError, match=f"{path} is missing"):
        reconstruct(snapshots, 0.075, STEPS)
    assert reconstruct(snapshots, 0.075, 120)["w"].isfinite().all()  # what came before is whole
    snapshots.write({"0.05": {"w": torch.zeros(3)}, "0.1": {"w": torch.zeros(3)}}, 140)
    with pytest.raises(ConfigError, match=f"{path} has no 0.05/w of this model"):
        reconstruct(snapshots, 0.075, STEPS)


def test_steps_without_a_snapshot_and_runs_without_any_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"there are no snapshots in .*; a run with ema=power makes them"):
        reconstruct(Snapshots(tmp_path, EVERY), 0.075, 60)
    snapshots = snapshots_of(history(60), tmp_path, EVERY)
    with pytest.raises(ConfigError, match="no snapshot of step 50; allowed are multiples of 20 up to 60"):
        reconstruct(snapshots, 0.075, 50)


def test_a_snapshot_that_cannot_be_written_says_so_and_leaves_nothing(tmp_path):
    snapshots = Snapshots(tmp_path, 5)
    snapshots.folder.write_text("in the way")
    with pytest.raises(OSError, match=r"step_000005.safetensors could not be written"):
        snapshots.write({"0.1": {"w": torch.zeros(3)}}, 5)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training of the digits that tracks a third length for comparison."""
    folder = tmp_path_factory.mktemp("power")
    options = ("ema.lengths=[0.05,0.1,0.075]", "ema.snapshot_every=20", "trainer.max_steps=400", "optim.lr=0.002")
    code, text = train("ema=power", *options, "checkpoints.every=150", "trainer.val_check_interval=400", folder=folder)
    assert code == 0, text
    return run_folder(folder)


@pytest.mark.slow
def test_a_real_training_is_reconstructed(run):
    """0.075 from the snapshots of 0.05 and 0.1, against the 0.075 that was tracked; and each of the three from two."""
    snapshots = Snapshots(run, 20)
    assert snapshots.steps() == list(range(20, 401, 20))
    for step in (200, 400):
        tracks = snapshots.read(step)
        between = torch.cat([(tracks["0.05"][n] - tracks["0.075"][n]).flatten() for n in tracks["0.05"]]).norm()
        size = torch.cat([w.flatten() for w in tracks["0.075"].values()]).norm()
        errors = left_out(snapshots, step)
        assert errors.keys() == {"0.05", "0.075", "0.1"}
        assert max(errors.values()) < 1e-2
        assert errors["0.075"] < 0.05 * between / size  # much nearer than the tracked lengths are to each other


@pytest.mark.slow
def test_a_run_is_loaded_with_any_length(run):
    checkpoint = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)

    def weights(**choice):
        denoiser = load_run(run, device="cpu", **choice).parts.denoiser
        return {f"denoiser.{name}": w for name, w in denoiser.state_dict().items()}

    first, tenth, made = weights(), weights(ema_length=0.1), weights(ema_length=0.06)
    held = {key: w for key, w in checkpoint["state_dict"].items() if key.startswith("denoiser.")}
    assert first.keys() == held.keys() and all(torch.equal(first[name], w) for name, w in held.items())
    assert all(torch.equal(weights(ema_length=0.05)[name], w) for name, w in held.items())
    assert all(torch.equal(tenth[name], w) for name, w in checkpoint["averages"]["0.1"].items())
    expected = reconstruct(Snapshots(run, 20), 0.06, 400)
    assert all(torch.equal(made[name], w) for name, w in expected.items() if name in made)
    assert any(not torch.equal(made[name], w) for name, w in held.items())
    between = load_run(run, "step_000150.ckpt", device="cpu", ema_length=0.06)  # no snapshot of that step
    assert between.step == 150


@pytest.mark.slow
def test_a_run_without_lengths_has_none_to_choose(tmp_path):
    code, text = train("trainer.max_steps=1", folder=tmp_path)
    assert code == 0, text
    with pytest.raises(
        ConfigError, match=r"^ema.length: 0.1; this run tracked one average; only ema=power has lengths$"
    ):
        load_run(run_folder(tmp_path), ema_length=0.1)
