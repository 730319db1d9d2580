"""Bad steps: found late or at once with the same facts, left out as if their update had been undone by hand."""

import math

import pytest
import torch
from lightning import Callback, Trainer
from lightning.pytorch.plugins import MixedPrecision

from difflab.prediction import Denoiser
from difflab.training import BadStep, Diffusion, Watchdog
from difflab.training.callbacks import Figures
from tests.conftest import option

BATCH = 16


@pytest.fixture(scope="module")
def data():
    data = option("data", "digits", f"data.batch_size={BATCH}")
    data.setup()
    return data


class Poison(Callback):
    """At these optimizer steps an example's noise is multiplied, or a gradient is."""

    def __init__(self, steps, loss=1.0, gradient=1.0):
        self.steps, self.loss, self.gradient = steps, loss, gradient

    def on_train_start(self, trainer, module):
        noised = module.noised

        def spoilt(batch, purpose, times):
            result = noised(batch, purpose, times)
            if trainer.global_step + 1 in self.steps:
                result[1].eps[3] *= self.loss
            return result

        module.noised = spoilt
        weight = next(module.parameters())
        weight.register_hook(lambda g: g * self.gradient if trainer.global_step + 1 in self.steps else g)


class Undo(Callback):
    """Takes the update of a step back, by hand."""

    def __init__(self, step):
        self.step = step

    def on_before_optimizer_step(self, trainer, module, optimizer):
        if trainer.global_step + 1 == self.step:
            self.weights = [p.detach().clone() for p in module.parameters()]
            self.moments = [{k: v.clone() for k, v in optimizer.state[p].items()} for p in module.parameters()]

    @torch.no_grad()
    def on_train_batch_end(self, trainer, module, *_):
        if trainer.global_step == self.step:
            for p, weight, moments in zip(module.parameters(), self.weights, self.moments, strict=True):
                p.copy_(weight)
                for name, value in moments.items():
                    trainer.optimizers[0].state[p][name].copy_(value)


def trained(data, watchdog, *callbacks, steps=6, **options):
    """The module after so many steps, and its rows."""
    torch.manual_seed(0)
    network = option("model", "mlp", "model.width=8", "model.blocks=1", "model.dropout=0.1", shape=data.shape)
    denoiser = Denoiser(network, option("schedule", "linear"), option("prediction", "eps"))
    optim = option("optim", "adamw", "optim.warmup_steps=0")
    module = Diffusion(denoiser, option("loss", "simple"), option("times", "uniform"), optim, data.scaling, 7, watchdog)
    rows, figures = {}, Figures(options.pop("every", 3), BATCH)
    figures.row = lambda trainer, row, step: rows.update({step: row})
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=-1,
        max_steps=steps,
        limit_val_batches=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[watchdog, *callbacks, figures],
        **{"gradient_clip_val": 1.0} | options,
    )
    data.trainer = trainer
    trainer.fit(module, datamodule=data)
    return module, rows


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_leaving_a_step_out_is_undoing_its_update(data, precision, accumulate):
    options = {"precision": precision, "accumulate_grad_batches": accumulate}
    watchdog = Watchdog(None, 1)
    module, rows = trained(data, watchdog, Poison([4], loss=math.nan), **options)
    undone, others = trained(data, Watchdog(None, 0), Undo(4), **options)
    for p, other in zip(module.parameters(), undone.parameters(), strict=True):
        assert p.isfinite().all() and torch.equal(p, other)
    assert watchdog.skipped == 1
    assert [rows[step]["train/skipped_steps"] for step in (3, 6)] == [0, 1]
    assert rows[6]["train/lr"] == others[6]["train/lr"]
    assert all("train/skipped_steps" not in row for row in others.values())
    assert rows[3]["train/loss"] == others[3]["train/loss"] and rows[3]["train/grad_norm"] > 0
    assert math.isfinite(rows[6]["train/loss"]) and math.isfinite(rows[6]["train/grad_norm"])


@pytest.mark.parametrize(
    ("poison", "bound", "what", "words"),
    [
        ({"loss": math.nan}, None, "loss", "the loss is nan at step 4"),
        ({"loss": 1e30}, None, "loss", "the loss is inf at step 4"),
        ({"loss": 1e3}, 100, "loss", "at step 4, above watchdog.loss_bound=100"),
        ({"gradient": 1e30}, None, "grad_norm", "the gradient norm is inf at step 4, of loss "),
        ({"gradient": math.nan}, None, "grad_norm", "the gradient norm is nan at step 4, of loss "),
    ],
)
def test_a_look_later_finds_what_a_look_at_once_does(data, poison, bound, what, words):
    facts = []
    for at_once in (False, True):
        with pytest.raises(BadStep, match=words) as raised:
            trained(data, Watchdog(bound, 0, at_once), Poison([4, 5], **poison), accumulate_grad_batches=2, every=6)
        facts.append(raised.value.found)
    assert repr(facts[0]) == repr(facts[1])  # to the last digit, and nan is nan
    found = facts[0]
    assert (found.step, found.what) == (4, what)
    assert [batch["number"] for batch in found.batches] == [6, 7]
    losses = [loss for batch in found.batches for loss in batch["losses"]]
    limit = bound or math.inf
    bad = [i for i, loss in enumerate(losses) if not loss < limit]
    assert bad == ([] if what == "grad_norm" else [3, BATCH + 3])
    if what == "loss" and bound:
        assert found.value == pytest.approx(sum(losses) / len(losses))
    assert all(len(set(batch["times"])) > 8 for batch in found.batches)
    streams = ["train/times/6", "train/noise/6", "dropout/6/0"]
    assert found.batches[0]["streams"] == streams


def test_a_loss_at_the_bound_is_not_above_it(data):
    _, rows = trained(data, Watchdog(None, 0, at_once=True), every=1, steps=3)
    bound = max(row["train/loss"] for row in rows.values())
    trained(data, Watchdog(bound, 0), steps=3)
    with pytest.raises(BadStep, match=r"above watchdog\.loss_bound"):
        trained(data, Watchdog(math.nextafter(bound, 0), 0), steps=3)


def test_the_row_of_steps_that_were_all_left_out_has_no_loss(data):
    _, rows = trained(data, Watchdog(None, 3), Poison([3, 4], loss=math.nan), every=2)
    assert "train/loss" not in rows[4] and "train/grad_norm" not in rows[4]
    assert rows[4]["train/skipped_steps"] == 2
    assert math.isfinite(rows[6]["train/loss"])


def test_one_bad_step_more_than_may_be_left_out_is_the_end(data):
    watchdog = Watchdog(None, 2)
    with pytest.raises(BadStep, match="the loss is nan at step 5; left out before: 2; last good checkpoint: none"):
        trained(data, watchdog, Poison([2, 4, 5, 6], loss=math.nan))
    assert watchdog.skipped == 2


def test_gradients_that_overflow_in_half_precision_are_the_scalers(data):
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**60)
    plugin = MixedPrecision("16-mixed", "cpu", scaler)
    _, rows = trained(data, Watchdog(None, 1), plugins=[plugin], steps=3, every=1)
    assert scaler.get_scale() < 2.0**60  # it was lowered, without a step that counts as bad
    assert rows[3]["train/skipped_steps"] == 0 and "train/grad_norm" not in rows[1]
    with pytest.raises(BadStep, match="the loss is nan at step 2"):
        trained(data, Watchdog(None, 0), Poison([2], loss=math.nan), plugins=[plugin])


def test_what_is_counted_and_not_yet_in_a_row_goes_on_from_a_checkpoint(data):
    watchdog = Watchdog(None, 2)
    trained(data, watchdog, Poison([2], loss=math.nan), steps=4, every=3)
    watchdog.recent = [torch.tensor([2.0, 1.0, *range(8)]), torch.tensor([4.0, math.inf, *range(8)])]
    again = Watchdog(None, 2)
    again.trainer = watchdog.trainer
    again.load_state_dict(watchdog.state_dict())
    assert again.skipped == 1
    assert again.means().tolist() == [3.0, 1.0, *range(0, 16, 2)]
    assert again.means()[:2].isnan().all() and not again.means()[2:].any()
