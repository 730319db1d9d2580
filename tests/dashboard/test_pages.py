"""scripts/wandb_dashboard.py dry_run=true: pages as W&B's own library understands them, without network or account."""

import json
import os
import sys
from pathlib import Path

import pytest
from wandb_workspaces.reports.v2 import Report
from wandb_workspaces.reports.v2.internal import ReportViewspec
from wandb_workspaces.workspaces import Workspace
from wandb_workspaces.workspaces.internal import View

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "runs"))
from children import REPOSITORY
from pages import dashboard, nodes, shown


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("dashboard")


@pytest.fixture(scope="module")
def pages(folder) -> dict[str, Path]:
    """What would be saved about one sweep."""
    code, output, errors = dashboard(
        "dry_run=true", "entity=us", "group=ablation/2026", "factors=[schedule,loss,optim.lr]", folder=folder
    )
    assert (code, errors) == (0, "")
    found = dict(line.split() for line in output.splitlines())
    assert found == {f"{name}:": f"outputs/wandb_dashboard/{name}.json" for name in ("workspace", "report")}
    return {name.rstrip(":"): folder / path for name, path in found.items()}


def same(model) -> dict:
    return json.loads(model.model_dump_json(by_alias=True, exclude_none=True))


def test_the_workspace_is_one_of_the_librarys_own(pages):
    saved = json.loads(pages["workspace"].read_text())
    spec = View.model_validate_json(pages["workspace"].read_text())
    read = Workspace._from_model(spec)
    assert same(read._to_model()) == saved
    names = [section.name for section in read.sections]
    assert names == ["Overview", "Losses", "Likelihood", "Samples", "Sweep", "Samplers", "System"]
    kinds = {type(panel).__name__ for section in read.sections for panel in section.panels}
    assert {"ParallelCoordinatesPlot", "ParameterImportancePlot", "MediaBrowser", "CustomChart"} <= kinds
    assert "UnknownPanel" not in kinds and all(section.panels for section in read.sections)
    assert (read.entity, read.project, read.name) == ("us", "difflab", "difflab ablation/2026")
    assert "ablation/2026" in read.runset_settings.filters


def test_the_report_is_one_of_the_librarys_own(pages):
    saved = json.loads(pages["report"].read_text())
    read = Report._from_model(ReportViewspec.model_validate_json(pages["report"].read_text()))
    read.width = "fluid"  # which it does not read back
    assert same(read._to_model()) == saved
    headings = [block.text for block in read.blocks if type(block).__name__ in ("H1", "H2")]
    assert [name for name in headings if name in ("schedule", "loss", "optim.lr")] == ["schedule", "loss", "optim.lr"]
    grids = [block for block in read.blocks if type(block).__name__ == "PanelGrid"]
    assert all("ablation/2026" in grid.runsets[0].filters for grid in grids)
    grouped = [grid.runsets[0].groupby for grid in grids if grid.runsets[0].groupby]
    assert ["config.choices.value.schedule"] in grouped and ["config.optim.value.lr"] in grouped


def test_panels_of_a_report_lie_beside_each_other(pages):
    grids = [
        node["panelBankSectionConfig"]
        for node in nodes(json.loads(pages["report"].read_text()))
        if "panelBankSectionConfig" in node
    ]
    assert len(grids) > 5
    for grid in grids:
        taken = set()
        for box in (panel["layout"] for panel in grid["panels"]):
            cells = {(box["x"] + i, box["y"] + j) for i in range(box["w"]) for j in range(box["h"])}
            assert not cells & taken and box["x"] + box["w"] <= 24
            taken |= cells


def test_factors_are_where_the_logger_keeps_them(pages):
    for path in pages.values():
        assert {"choices.schedule", "choices.loss", "optim.lr"} <= shown(path).config


@pytest.mark.slow  # a process each
@pytest.mark.parametrize(
    "arguments, said",
    [
        (["dry_run=true", "factors=[shedule]"], "factors: shedule: unknown; did you mean schedule?"),
        (["dry_run=true", "factors=[optim.rate]"], "factors: optim.rate: unknown; allowed are"),
        (["dry_run=true", "factors=[]"], "factors: []; allowed are one or more groups and fields"),
        (["dry_run=true", "out=/dev/null"], "out: /dev/null"),
        ([], "W&B: http://127.0.0.1:9 cannot be reached"),
    ],
)
def test_refusals(folder, arguments, said):
    code, output, errors = dashboard(*arguments, folder=folder)
    assert (code, output) == (2, "")
    assert errors.startswith(f"refused: {said}") and len(errors.splitlines()) == 1


@pytest.mark.slow
def test_without_the_extra_it_says_what_to_install(folder):
    """A package of that name that cannot be imported stands in for none."""
    stub = folder / "without" / "wandb_workspaces"
    stub.mkdir(parents=True)
    (stub / "__init__.py").write_text("raise ModuleNotFoundError('gone', name='wandb_workspaces')")
    path = f"{stub.parent}{os.pathsep}{REPOSITORY / 'src'}"
    code, output, errors = dashboard("dry_run=true", folder=folder, PYTHONPATH=path)
    assert (code, output) == (2, "")
    assert errors == "refused: wandb_dashboard: wandb-workspaces is missing: pip install 'difflab[dashboard]'\n"
