"""What TensorBoard's own reader finds in the files of the logger."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from difflab.training.loggers import Shows, tensorboard_logger

SETTINGS = {"seed": 3, "optim": {"_target_": "a.class", "lr": 1e-3, "betas": [0.9, 0.99]}, "tags": [], "cache": None}


def read(folder: Path) -> Any:
    return EventAccumulator(str(folder / "tensorboard"), size_guidance={"tensors": 0}).Reload()


def test_what_it_shows(tmp_path):
    made = tensorboard_logger(tmp_path, SETTINGS)
    assert isinstance(made, Shows)
    picture = tmp_path / "grid.png"
    Image.new("RGB", (8, 4), (255, 0, 0)).save(picture)
    made.log_metrics({"val/loss": 0.5}, 4)
    made.picture("samples/grid", picture, 5)
    made.histogram("train/times", [1.0, 3.0], [0.0, 0.5, 1.0], 5)
    made.table("summary/final", ("figure", "error"), [("a|b", 3.5), ("none", None)], 6)
    made.line("likelihood/terms", ("step", "bits"), [(1.0, 2.0), (2.0, 3.0)], 7, "title")
    made.line("quality/fid", ("calls", "fid", "settings"), [(1.0, 2.0, "a"), (1.0, 4.0, "b")], 7, by="settings")
    made.finalize("success")
    found = read(tmp_path)
    (loss,) = found.Scalars("val/loss")
    assert (loss.step, loss.value) == (4, 0.5)
    (grid,) = found.Images("samples/grid")
    assert (grid.step, grid.width, grid.height) == (5, 8, 4)
    (times,) = found.Histograms("train/times")
    value = times.histogram_value
    assert (value.num, value.sum, list(value.bucket)) == (4, 0.25 + 3 * 0.75, [1, 3])
    (table,) = found.Tensors("summary/final/text_summary")
    text = table.tensor_proto.string_val[0].decode()
    assert text == "| figure | error |\n| --- | --- |\n| a&#124;b | 3.5 |\n| none |  |"
    assert {"likelihood/terms", "quality/fid"} <= set(found.Tags()["images"])
    assert "likelihood/terms/text_summary" in found.Tags()["tensors"]


def test_its_page_of_hyperparameters_has_the_settings(tmp_path):
    from tensorboard.plugins.hparams import metadata, plugin_data_pb2

    made = tensorboard_logger(tmp_path, SETTINGS)
    made.log_metrics({"test/bits_per_dim": 3.0}, 4)
    made.finalize("success")
    content = read(tmp_path).summary_metadata[metadata.SESSION_START_INFO_TAG].plugin_data.content
    told = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info.hparams
    assert {name: value.WhichOneof("kind") for name, value in told.items()} == {
        "seed": "number_value",
        "optim.lr": "number_value",
        "optim.betas": "string_value",
        "tags": "string_value",
        "cache": "string_value",
    }
    assert told["optim.lr"].number_value == 1e-3


@pytest.mark.parametrize("last", [6, 9])
def test_steps_that_come_again_are_shown_once(tmp_path, last):
    first = tensorboard_logger(tmp_path, SETTINGS)
    for step in range(1, 10):
        first.log_metrics({"train/loss": float(step)}, step)
    first.finalize("failed")
    second = tensorboard_logger(tmp_path, SETTINGS)
    second.rewind(last)
    for step in range(last + 1, 12):
        second.log_metrics({"train/loss": 100.0 + step}, step)
    second.finalize("success")
    second.log_metrics({"test/bits_per_dim": 3.0}, 11)  # after training has ended
    second.finalize("success")
    found = read(tmp_path)
    shown = {event.step: event.value for event in found.Scalars("train/loss")}
    assert len(found.Scalars("train/loss")) == len(shown) == 11
    assert all(value == (step if step <= last else 100 + step) for step, value in shown.items())
    assert len(found.Scalars("test/bits_per_dim")) == 1
