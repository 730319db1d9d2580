"""What a logger that shows more than numbers can be given."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from lightning.pytorch import Trainer


class Shows(ABC):
    """A logger with pictures and tables beside its figures. Only the first process calls it."""

    @abstractmethod
    def picture(self, name: str, path: Path, step: int) -> None:
        """A PNG that lies at `path`, under NAME/PICTURE such as samples/grid."""

    @abstractmethod
    def histogram(self, name: str, counts: Sequence[float], edges: Sequence[float], step: int) -> None:
        """How often values fell between neighbouring edges, of which there is one more than counts."""

    @abstractmethod
    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[str | float | None]], step: int) -> None:
        """Rows of text and numbers; None for what is not known."""

    @abstractmethod
    def line(
        self,
        name: str,
        columns: Sequence[str],
        rows: Sequence[Sequence[str | float | None]],
        step: int,
        title: str = "",
        by: str | None = None,
    ) -> None:
        """A table whose second column is drawn against its first; a line for each value of the column `by`."""

    @abstractmethod
    def keep(self, checkpoint: Path, aliases: Sequence[str]) -> None:
        """A checkpoint, where the logger stores such files and was asked to."""


def showing(trainer: Trainer) -> list[Shows]:
    """The loggers of this process that show pictures: none on any but the first."""
    return [logger for logger in trainer.loggers if isinstance(logger, Shows)] if trainer.is_global_zero else []
