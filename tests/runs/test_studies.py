"""Studies at the end of a run and of a sweep, and of runs that are finished: the same figures from the same weights."""

import csv
import json
import sys
from pathlib import Path

import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))
from children import run_folder, script

pytestmark = pytest.mark.slow  # whole runs in processes of their own

QUICK = (
    *("metrics=none", "model.width=16", "model.blocks=1", "trainer.max_steps=12", "trainer.accelerator=cpu"),
    *("data.size=2000", "study.points=500", "study.batch=250", "name=test"),
)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory) -> Path:
    """Two losses and one that is refused: an experiment that is a sweep without -m."""
    folder = tmp_path_factory.mktemp("studies")
    code, text = script("train", ["experiment=score_matching", "loss=explicit,vlb,score", *QUICK], folder)
    assert code == 1 and "loss.power: unknown" in text, text
    (found,) = (folder / "outputs" / "sweeps" / "test").iterdir()
    return found


def figures(folder: Path) -> dict[str, float]:
    return json.loads((folder / "metrics.json").read_text())


def test_the_study_of_a_sweep_has_the_jobs_that_ended_well(sweep):
    found = figures(sweep)
    assert {key.split("/")[1].split("_")[0] for key in found} == {"explicit", "score"}
    with (sweep / "study" / "score_matching" / "score_matching.csv").open() as file:
        rows = {row["trained with"]: row for row in csv.DictReader(file)}
    assert float(rows["score"]["missed"]) == found["score_matching/score_missed"]
    with Image.open(sweep / "study" / "score_matching" / "score_matching.png") as picture:
        assert min(picture.size) > 200
    jobs = json.loads((sweep / "sweep.json").read_text())["jobs"]
    assert [job["state"] for job in jobs] == ["done", "refused", "done"]
    assert not (sweep / "0" / "study").exists()


def test_the_script_finds_what_the_sweep_found(sweep, tmp_path):
    arguments = [f"runs={sweep}", f"out={tmp_path / 'again'}", "study=score_matching"]
    code, text = script("study", [*arguments, "study.points=500", "study.batch=250"], tmp_path)
    assert code == 0, text
    assert figures(tmp_path / "again") == figures(sweep)


def test_one_run_of_it_is_asked_alone(tmp_path):
    code, text = script("train", ["experiment=score_matching", "hydra.mode=RUN", "loss=explicit", *QUICK], tmp_path)
    assert code == 0, text
    run = run_folder(tmp_path)
    found = figures(run)
    assert found["train/steps"] == 12 and 0 < found["score_matching/explicit_missed"] < 2
    assert "score_matching/explicit_missed" in (run / "evaluations.jsonl").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "data=swiss_roll", "loss=vlb", "metrics=none"], "the bound ends in a decoder of levels"),
        (["train", "model=exact", "metrics=none"], "model: the law of this data is not known"),
        (["train", "study=score_matching", "metrics=none"], "study: score_matching compares with the exact score"),
        (["study", "runs=RUN"], "study: none; allowed are the options of configs/study"),
        (["study", "study=score_matching"], "runs: null; allowed are a run folder"),
        (["study", "study=score_matching", "runs=/nowhere"], "runs: /nowhere; allowed are run folders"),
    ],
)
def test_what_cannot_be_is_refused(arguments, message, sweep, tmp_path):
    command, *rest = (argument.replace("RUN", str(sweep / "0")) for argument in arguments)
    code, text = script(command, rest, tmp_path)
    assert code == 2 and message in text, text
