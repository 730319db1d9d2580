"""The moving average against traces computed by hand, and what checkpoints hold of it."""

import sys
from pathlib import Path

import pytest
import torch
from lightning import LightningModule
from lightning.pytorch import Callback, Trainer
from torch.utils.data import DataLoader

from difflab.training import EMA

sys.path.insert(0, str(Path(__file__).parents[1] / "runs"))
from children import run_folder, train


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


def fit(ema: EMA, *callbacks: Callback, **options) -> Counter:
    module = Counter()
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    options = {"num_sanity_val_steps": 0, **options}
    trainer = Trainer(accelerator="cpu", callbacks=[ema, *callbacks], **quiet, **options)
    batches = DataLoader(torch.zeros(64, 1), batch_size=1)
    trainer.fit(module, batches, DataLoader(torch.zeros(2, 1), batch_size=1))
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
    ema = EMA(decay, warmup)
    module = fit(ema, max_steps=7, limit_val_batches=0)
    assert module.weight.item() == -7
    assert ema.average["weight"].item() == pytest.approx(trace(7, decay, warmup), rel=1e-14)


def test_accumulated_batches_count_once():
    ema = EMA(0.9, True)
    fit(ema, max_steps=5, accumulate_grad_batches=3, limit_val_batches=0)
    assert ema.updates == 5
    assert ema.average["weight"].item() == pytest.approx(trace(5, 0.9, True), rel=1e-14)


def test_validation_sees_the_average_and_training_goes_on_with_the_weights():
    ema = EMA(0.9, True)
    module = fit(ema, max_steps=4, val_check_interval=2, check_val_every_n_epoch=None)
    assert module.seen == pytest.approx(trace(4, 0.9, True), rel=1e-14)
    assert module.weight.item() == -4


class Fails(Callback):
    def on_validation_batch_end(self, *_):
        raise RuntimeError("in the middle of validation")


def test_an_exception_in_validation_gives_the_weights_back():
    ema, kept = EMA(0.9, True), []

    class Keep(Callback):
        def on_fit_start(self, trainer, pl_module):
            kept.append(pl_module)

    with pytest.raises(RuntimeError, match="middle of validation"):
        fit(ema, Fails(), Keep(), max_steps=4, val_check_interval=3, check_val_every_n_epoch=None)
    assert kept[0].weight.item() == -3
    assert ema.average["weight"].item() == pytest.approx(trace(3, 0.9, True), rel=1e-14)
    assert not ema.swapped


def test_averaged_restores_after_an_exception_and_nests():
    ema = EMA(0.9, True)
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
    ema = EMA(0.9, True)
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
        EMA(decay, True)


def test_checkpoints_of_a_run_are_plain_and_hold_both(tmp_path):
    code, text = train(folder=tmp_path)
    assert code == 0, text
    checkpoint = torch.load(run_folder(tmp_path) / "checkpoints" / "last.ckpt", weights_only=True)
    average, weights = checkpoint["state_dict"], checkpoint["current_model_state"]
    assert average.keys() == weights.keys()
    assert any(not torch.equal(average[name], weights[name]) for name in average)
    assert checkpoint["callbacks"]["EMA"] == {"updates": 12}


def test_only_the_newest_checkpoints_stay(tmp_path):
    code, text = train("checkpoints.keep=2", folder=tmp_path)
    assert code == 0, text
    names = sorted(path.name for path in (run_folder(tmp_path) / "checkpoints").iterdir())
    assert names == ["last.ckpt", "step_000009.ckpt", "step_000012.ckpt"]
