"""What is looked at on the way: within the budget, from the average, and never the test part."""

from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from difflab.evaluation import Drawing
from difflab.training.callbacks import Figures, Looks
from tests.conftest import option


class Recorder:
    """What `Looks` asks of a likelihood; keeps what it was given."""

    def __init__(self):
        self.budgets = []

    def quick(self, denoise, data, calls, seed):
        self.budgets.append(calls)
        self.average = all(bool((p == 0).all()) for p in denoise.parameters())
        return {"bits_per_dim": 2.5}


@pytest.fixture(scope="module")
def data():
    data = option("data", "digits")
    data.setup()
    return data


def look(data, folder, step, *overrides, images=128, sampler_steps=4):
    """One step of training, of which Looks hears; the weights are 1, their average is 0."""
    from difflab.training import Diffusion

    network = option("model", "mlp", "model.width=8", "model.blocks=1", shape=data.shape)
    denoiser = option_denoiser(network)
    module = Diffusion(
        denoiser, option("loss", "simple"), option("times", "uniform"), option("optim", "adamw"), data.scaling, 0
    )
    ema = option("ema", "constant")
    with torch.no_grad():
        for p in module.parameters():
            p.fill_(0.0)
        ema.on_fit_start(None, module)
        for p in module.parameters():
            p.fill_(1.0)
    figures, recorder, seen = Figures(10, images), Recorder(), []
    network.register_forward_hook(lambda _, inputs, output: seen.append(len(output)))
    figures.paused = 0.0
    rows = []
    logger = SimpleNamespace(log_metrics=lambda row, step: rows.append((step, row)))
    trainer = SimpleNamespace(global_step=step, max_steps=1000, is_global_zero=True, loggers=[logger])
    drawing = Drawing(option("sampler", "ddim", f"sampler.steps={sampler_steps}"), 0, 16)
    looks = Looks(folder, option("metrics", "default", *overrides), ema, drawing, recorder, data, figures, images)
    looks.on_train_batch_end(trainer, module)
    looks.on_train_batch_end(trainer, module)  # under accumulation a step ends several times
    assert all(bool((p == 1).all()) for p in module.parameters())
    assert module.training
    if recorder.budgets:  # what is left of the budget is what the network was not called for
        assert sum(seen) == looks.budget - recorder.budgets[0]
    return looks, recorder, rows, figures


def option_denoiser(network):
    from difflab.prediction import Denoiser

    return Denoiser(network, option("schedule", "linear"), option("prediction", "eps"))


@pytest.mark.slow
def test_a_look_scores_the_average_and_draws_a_grid_once(data, tmp_path):
    looks, recorder, rows, figures = look(data, tmp_path, 500)
    assert [path.name for path in tmp_path.iterdir()] == ["step_000500.png"]
    assert Image.open(tmp_path / "step_000500.png").size[0] > 500
    assert rows == [(500, {"val/bits_per_dim": 2.5})]
    assert recorder.average
    assert recorder.budgets == [looks.budget - 64 * 4]
    assert figures.looking == figures.paused > 0
    assert figures.seen == "val 2.500 bits/dim"


@pytest.mark.parametrize(("step", "overrides"), [(0, ()), (499, ()), (1000, ()), (500, ("metrics.every=null",))])
def test_there_is_no_look_between_at_the_end_and_where_none_is_wanted(data, tmp_path, step, overrides):
    _, recorder, rows, figures = look(data, tmp_path, step, *overrides)
    assert (recorder.budgets, rows, list(tmp_path.iterdir()), figures.looking) == ([], [], [], 0.0)


def test_a_sampler_of_many_calls_gets_fewer_samples_never_more_than_half_of_the_budget(data, tmp_path):
    looks, recorder, _, _ = look(data, tmp_path, 500, images=16, sampler_steps=300)
    assert looks.budget == 1200
    assert recorder.budgets == [1200 - 2 * 300]


def test_where_one_sample_is_too_much_there_is_no_grid_and_few_calls_give_no_figure(data, tmp_path):
    _, recorder, rows, _ = look(data, tmp_path, 500, images=16, sampler_steps=601)
    assert recorder.budgets == [1200]
    assert list(tmp_path.iterdir()) == []
    _, recorder, rows, _ = look(data, tmp_path, 500, images=4, sampler_steps=601)
    assert (recorder.budgets, rows) == ([], [])


def test_samples_that_are_no_numbers_are_no_picture_and_no_end(data, tmp_path, caplog):
    looks, *_ = look(data, tmp_path, 500)
    (tmp_path / "step_000500.png").unlink()
    looks.show(SimpleNamespace(global_step=500, loggers=[]), torch.full((4, *data.shape), torch.nan))
    assert "no picture of step 500: samples: image 0 is not finite" in caplog.text
    assert list(tmp_path.iterdir()) == []
