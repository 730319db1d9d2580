"""The recipe of AdamW: its learning rate by hand, in every precision that the Trainer may have."""

import csv
import math
import sys
from pathlib import Path

import pytest
import torch

from difflab.training import AdamW

sys.path.insert(0, str(Path(__file__).parents[1] / "runs"))
from children import run_folder, train


def recipe(warmup_steps: int = 0, final_share: float = 0.0) -> AdamW:
    return AdamW(1.0, [0.9, 0.99], 1e-8, 0.0, warmup_steps, final_share)


def test_rate_warms_up_and_falls_along_half_a_cosine():
    optim = recipe(warmup_steps=4)
    cosine = [0.5 * (1 + math.cos(math.pi * step / 8)) for step in range(8)]
    ramp = [0.25, 0.5, 0.75, 1, 1, 1, 1, 1]
    assert [optim.factor(step, 8) for step in range(8)] == pytest.approx(
        [r * c for r, c in zip(ramp, cosine, strict=True)]
    )
    assert optim.factor(8, 8) == pytest.approx(0, abs=1e-15)


def test_a_final_share_of_one_is_a_constant_rate():
    assert [recipe(final_share=1.0).factor(step, 10) for step in (0, 3, 9, 10, 99)] == [1.0] * 5


def test_the_optimizer_takes_the_rate_of_its_step():
    weight = torch.nn.Parameter(torch.zeros(()))
    made = recipe(warmup_steps=2).build([weight], max_steps=4, fused=True)
    optimizer, schedule = made["optimizer"], made["lr_scheduler"]["scheduler"]
    rates = []
    for _ in range(4):
        weight.grad = torch.ones(())
        optimizer.step()
        rates.append(optimizer.param_groups[0]["lr"])
        schedule.step()
    assert rates == pytest.approx([recipe(warmup_steps=2).factor(step, 4) for step in range(4)])


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("trainer.accumulate_grad_batches=3",)])
def test_a_run_logs_the_rate_by_optimizer_steps(options, tmp_path):
    code, text = train(*options, "optim.warmup_steps=5", "optim.lr=0.01", folder=tmp_path)
    assert code == 0, text
    with (run_folder(tmp_path) / "metrics.csv").open() as file:
        rates = {int(row["step"]): float(row["train/lr"]) for row in csv.DictReader(file) if row["train/lr"]}
    optim = recipe(warmup_steps=5)
    assert rates == pytest.approx({step: 0.01 * optim.factor(step, 12) for step in rates})


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed", "32-true"])
@pytest.mark.parametrize("clip", ["1.0", "null"])
def test_every_precision_trains_with_and_without_clipping(precision, clip, tmp_path):
    options = (f"trainer.precision={precision}", f"trainer.gradient_clip_val={clip}", "trainer.max_steps=2")
    code, text = train(*options, folder=tmp_path)
    assert code == 0, text
