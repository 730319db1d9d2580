"""Which runs of a project a page is about."""

from typing import Any

import wandb_workspaces.expr as expr

from difflab.dashboard.view import View


def runs_of(view: View, kind: str | None = None) -> Any:
    """Those of its sweep, whether Hydra's (their group) or one by agents (its ID); all, where it has none.

    Args:
        kind: train, or eval for evaluations of finished runs; None for both.
    """
    wanted: list[Any] = [] if kind is None else [expr.Metric("JobType") == kind]
    if view.group is not None:
        wanted.append(expr.Or(expr.Metric("Group") == view.group, expr.Metric("Sweep") == view.group))
    return expr.And(*wanted) if wanted else ""
