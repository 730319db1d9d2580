"""Saving both pages, on a server of our own: W&B's library does the talking, over HTTP."""

import json
import sys
from pathlib import Path

import pytest
from wandb_workspaces.reports.v2.internal import Spec
from wandb_workspaces.workspaces.internal import WorkspaceViewspec

sys.path.insert(0, str(Path(__file__).parent))
from pages import dashboard
from server import Server

pytestmark = pytest.mark.slow  # a process each
KEY = {"WANDB_API_KEY": "0" * 40}


def test_both_pages_are_saved_and_their_addresses_told(tmp_path):
    with Server() as server:
        code, output, errors = dashboard("project=trials", folder=tmp_path, WANDB_BASE_URL=server.url, **KEY)
    assert (code, errors) == (0, "")
    workspace, report = server.saved
    assert (workspace["entityName"], workspace["projectName"], workspace["type"]) == ("us", "trials", "project-view")
    assert (report["entityName"], report["projectName"], report["type"]) == ("us", "trials", "runs")
    assert len(WorkspaceViewspec.model_validate_json(workspace["spec"]).section.panel_bank_config.sections) == 7
    assert any(type(block).__name__ == "PanelGrid" for block in Spec.model_validate(json.loads(report["spec"])).blocks)
    told = dict(line.split() for line in output.splitlines())
    assert told["workspace:"].startswith(f"{server.url}/us/trials?nw=")
    assert told["report:"].startswith(f"{server.url}/us/trials/reports/") and told["report:"].endswith("--ID2")
    assert not (tmp_path / "outputs").exists()


def test_what_the_server_refuses_is_told_in_a_line(tmp_path):
    with Server(refuses=True) as server:
        code, output, errors = dashboard("entity=them", folder=tmp_path, WANDB_BASE_URL=server.url, **KEY)
    assert (code, output) == (2, "")
    assert errors.startswith("refused: W&B: ") and "permission denied" in errors and len(errors.splitlines()) == 1


def test_without_a_key_it_says_how_to_get_one(tmp_path):
    with Server() as server:
        code, output, errors = dashboard(folder=tmp_path, WANDB_BASE_URL=server.url)
    assert (code, output) == (2, "") and not server.saved
    assert errors.startswith(f"refused: W&B: no API key for {server.url}: wandb login, or WANDB_API_KEY")
