"""The report about an ablation: what was varied, and what came of it."""

from collections.abc import Sequence
from typing import Any

import wandb_workspaces.reports.v2 as wr

from difflab.dashboard import topics
from difflab.dashboard.factors import Factor
from difflab.dashboard.filters import runs_of
from difflab.dashboard.panels import placed
from difflab.dashboard.view import View

LONGEST = 128  # characters of a title


def report(view: View) -> wr.Report:
    """A chapter for each topic, and one for each factor with its runs grouped by it."""
    names = ", ".join(factor.name for factor in view.factors)
    title = f"Ablation: {names}" if view.group is None else f"Ablation {view.group}: {names}"
    chapters = [
        wr.H1(text="All choices"),
        text(
            f"Each line is a run. `{view.objective}` and `{view.distance}` are better the lower they are; both are "
            "computed with averaged weights, on test images, when training has ended."
        ),
        grid(view, "all runs", topics.choices(view)),
        wr.H1(text="One choice at a time"),
        text(
            "Means over all runs of a level, whatever else varies between them, and their standard errors. They tell "
            "what a choice does only where each level has met the same other choices, as in a grid."
        ),
    ]
    for factor in view.factors:
        chapters += [wr.H2(text=factor.name), grid(view, f"by {factor.name}", topics.levels(view, factor), [factor])]
    chapters += [
        wr.H1(text="Training"),
        grid(view, "by all choices", topics.losses(), view.factors),
        wr.H1(text="Likelihood"),
        grid(view, "all runs", topics.likelihood(view)),
        wr.H1(text="Samples"),
        text("Pictures of all runs start from the same noise, and show averaged weights."),
        grid(view, "all runs", topics.samples(view)),
        wr.H1(text="Samplers"),
        text("Evaluations of finished runs by `scripts/evaluate.py`: what a sampler makes of so many network calls."),
        grid(view, "evaluations", topics.samplers(view), kind="eval"),
        wr.H1(text="Cost"),
        grid(view, "all runs", topics.system()),
        wr.H1(text="Is a difference real?"),
        text("W&B does not test it. Intervals over seeds and adjusted p-values of the same runs, from their folders:"),
        wr.CodeBlock(code="python scripts/report.py runs=SWEEP_FOLDER", language="python"),
    ]
    return wr.Report(
        entity=view.entity,
        project=view.project,
        title=title if len(title) <= LONGEST else f"{title[: LONGEST - 3]}...",
        description=f"What {names} do to {view.objective}.",
        blocks=[wr.TableOfContents(), *chapters],
        width="fluid",
    )


def text(markdown: str) -> wr.MarkdownBlock:
    """A paragraph."""
    return wr.MarkdownBlock(text=markdown)


def grid(view: View, title: str, panels: Sequence[Any], by: Sequence[Factor] = (), kind: str = "train") -> wr.PanelGrid:
    """Panels about the runs of the view.

    Args:
        by: what the runs are grouped by.
        kind: train, or eval for evaluations of finished runs.
    """
    runs = wr.Runset(name=title, filters=runs_of(view, kind), groupby=[f"config.{factor.path}" for factor in by])
    return wr.PanelGrid(runsets=[runs], panels=placed(panels))
