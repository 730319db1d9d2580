"""The workspace of a project: its runs on one page, by topic."""

from typing import Any

import wandb_workspaces.workspaces as ws

from difflab.dashboard import topics
from difflab.dashboard.filters import runs_of
from difflab.dashboard.view import View


def workspace(view: View) -> ws.Workspace:
    """A section for each topic; the first is open."""
    columns = [f"summary:{view.objective}", f"summary:{view.distance}"]
    return ws.Workspace(
        entity=view.entity,
        project=view.project,
        name=name(view),
        sections=[
            section("Overview", topics.overview(view), is_open=True),
            section("Losses", topics.losses()),
            section("Likelihood", topics.likelihood(view)),
            section("Samples", topics.samples(view)),
            section("Sweep", topics.choices(view)),
            section("Samplers", topics.samplers(view)),
            section("System", topics.system()),
        ],
        runset_settings=ws.RunsetSettings(filters=runs_of(view), pinned_columns=columns),
    )


def section(title: str, panels: list[Any], is_open: bool = False) -> ws.Section:
    """Two panels in a row, all on one page of the section."""
    layout = ws.SectionLayoutSettings(columns=2, rows=-(-len(panels) // 2))
    return ws.Section(name=title, panels=panels, is_open=is_open, layout_settings=layout)


def name(view: View) -> str:
    """Of the page; W&B takes no signs in it."""
    whole = "difflab" if view.group is None else f"difflab {view.group}"
    return "".join(c if c.isalnum() or c in " -_./" else "-" for c in whole)
