"""What the pages are to be about."""

from dataclasses import dataclass

from difflab.dashboard.factors import Factor


@dataclass(frozen=True)
class View:
    """The runs of a project, or of one sweep in it, and what they are compared by.

    Attributes:
        entity: who owns the project.
        project: where the runs are.
        group: of the runs, or the ID of their sweep by agents; None for all.
        factors: what may vary between them.
        objective: the figure that counts most, by its name in W&B's summaries.
        distance: the figure of the samples' quality.
    """

    entity: str
    project: str
    group: str | None
    factors: tuple[Factor, ...]
    objective: str
    distance: str
