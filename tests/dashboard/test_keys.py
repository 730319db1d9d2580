"""Every name that the pages ask for is one that runs have logged: of train.py, or of scripts/evaluate.py."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "runs"))
from children import run_folder, script, train
from pages import Shown, dashboard, shown
from wandb_files import Kept

pytestmark = pytest.mark.slow  # whole runs in processes of their own
LOGGER = ("logger=wandb", "logger.mode=offline")
RUN = (
    *("metrics=default", "metrics.draws=1", "metrics.samples=40", "metrics.pictures=8"),
    *("metrics.every=6", "metrics.budget=1", "data.batch_size=64", "features.steps=20", "sampler.steps=4"),
    *("schedule.T=32", "generation.chunk=8", "likelihood.estimate.steps=2", "ema=power", "ema.snapshot_every=6"),
)
OF_EVALUATIONS = {"quality", "quality/fd_classifier_table", "ema_length/fd_classifier_table"}


def logged(root: Path) -> Shown:
    """What all runs of W&B that lie somewhere below have logged, in the words of the pages."""
    found = Shown()
    for folder in root.rglob("offline-run-*"):
        kept = Kept(folder)
        found.summary |= set(paths(kept.summary))
        found.config |= set(paths(kept.config))
        for row in kept.history:
            for key, value in row.items():
                kind = value.get("_type") if isinstance(value, dict) else None
                if kind == "table-file":
                    found.tables[key] = set(columns(kept, value["path"]))
                elif kind is not None:
                    found.media.add(key)
                else:
                    found.history.add(key)
    return found


def paths(node: dict, prefix: str = "") -> list[str]:
    """The dotted names of all fields."""
    return [
        name
        for key, value in node.items()
        for name in [f"{prefix}{key}", *(paths(value, f"{prefix}{key}.") if isinstance(value, dict) else [])]
    ]


def columns(kept: Kept, path: str) -> list[str]:
    """Those of a table that was logged."""
    return json.loads((kept.folder / "files" / path).read_text())["columns"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("keys")


@pytest.fixture(scope="module")
def trained(folder) -> Path:
    code, text = train(*RUN, *LOGGER, folder=folder)
    assert code == 0, text
    return run_folder(folder)


@pytest.fixture(scope="module")
def pages(folder) -> list[Shown]:
    """With the factors of the default, and a field."""
    code, _, errors = dashboard("dry_run=true", "factors=[schedule,prediction,loss,optim.lr,seed]", folder=folder)
    assert code == 0, errors
    return [shown(folder / "outputs" / "wandb_dashboard" / f"{name}.json") for name in ("workspace", "report")]


def missing(asked: Shown, there: Shown) -> dict[str, set[str]]:
    """What is asked for and is not there."""
    sets = {name: getattr(asked, name) - getattr(there, name) for name in ("history", "summary", "config", "media")}
    sets["axes"] = asked.axes - there.history
    sets["tables"] = asked.tables.keys() - there.tables.keys()
    sets |= {f"columns of {table}": asked.tables[table] - there.tables.get(table, set()) for table in asked.tables}
    return {name: names for name, names in sets.items() if names}


def test_every_panel_finds_what_it_shows(folder, trained, pages):
    of_training = logged(trained)
    grid = ("sampler.steps=2,3", "ema.length=0.05,0.10", "metrics.likelihood=false")
    code, text = script("evaluate", [f"run={trained}", *grid, *LOGGER], folder)
    assert code == 0, text
    of_both = logged(folder)
    for page in pages:
        assert len(page.history) > 5 and page.summary and page.media and page.tables and page.config
        assert missing(page, of_both) == {}
        alone = missing(page, of_training)
        assert alone.pop("tables") == OF_EVALUATIONS
        assert all(name.removeprefix("columns of ") in OF_EVALUATIONS for name in alone), alone
