"""TensorBoard's event files in the run folder."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

from difflab.training.loggers.shows import Shows


class TensorBoard(TensorBoardLogger, Shows):
    """Figures, pictures and tables; the configuration as hyperparameters, beside which it shows the last figures.

    Args:
        folder: of the run; the files are in FOLDER/tensorboard.
        settings: the configuration.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        super().__init__(save_dir=str(folder), name="", version="tensorboard")
        self.settings, self.told = settings, False

    @rank_zero_only
    def rewind(self, step: int) -> None:
        """What an earlier part of the run has told of later steps is not shown: the run goes on from here."""
        self._kwargs["purge_step"] = step + 1

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        if not self.told:
            self.told = True
            self.log_settings()
        super().log_metrics(dict(metrics), step)

    def log_settings(self) -> None:
        """The configuration, in the way of its page HPARAMS, which finds the figures by itself."""
        from torch.utils.tensorboard.summary import hparams

        _, begin, end = hparams(dict(leaves(self.settings)), {})
        for summary in (begin, end):
            self.experiment._get_file_writer().add_summary(summary)

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """They come with the first figures."""

    def save(self) -> None:
        """The configuration has a file of its own."""

    def picture(self, name: str, path: Path, step: int) -> None:
        import numpy as np
        from PIL import Image

        with Image.open(path) as image:
            self.experiment.add_image(name, np.asarray(image.convert("RGB")), step, dataformats="HWC")

    def histogram(self, name: str, counts: Sequence[float], edges: Sequence[float], step: int) -> None:
        middles = [(a + b) / 2 for a, b in pairwise(edges)]
        sums = [sum(n * x**power for n, x in zip(counts, middles, strict=True)) for power in (0, 1, 2)]
        self.experiment.add_histogram_raw(
            name,
            min=edges[0],
            max=edges[-1],
            num=sums[0],
            sum=sums[1],
            sum_squares=sums[2],
            bucket_limits=list(edges[1:]),
            bucket_counts=list(counts),
            global_step=step,
        )

    def table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[str | float | None]], step: int) -> None:
        self.experiment.add_text(name, markdown(columns, rows), step)

    def line(
        self,
        name: str,
        columns: Sequence[str],
        rows: Sequence[Sequence[str | float | None]],
        step: int,
        title: str = "",
        by: str | None = None,
    ) -> None:
        """A picture, and the table below the same name."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6.4, 4.4), layout="constrained")
        axes = figure.subplots()
        for label, points in lines(columns, rows, by).items():
            axes.plot(*zip(*points, strict=True), ".-", label=label)
        axes.set(title=title, xlabel=columns[0], ylabel=columns[1])
        if by is not None:
            axes.legend(fontsize=8)
        self.experiment.add_figure(name, figure, step, close=False)
        self.table(name, columns, rows, step)

    def keep(self, checkpoint: Path, aliases: Sequence[str]) -> None:
        """TensorBoard stores no files."""


def leaves(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, bool | float | str]]:
    """The values of nested sections by dotted names; lists and null as text."""
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{key}.")
        elif key != "_target_":
            yield f"{prefix}{key}", value if isinstance(value, bool | int | float | str) else str(value)


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str | float | None]]) -> str:
    """A table as its page TEXT shows it."""
    lines = [columns, ["---"] * len(columns), *rows]
    cells = [[f"{cell:.6g}" if isinstance(cell, int | float) else cell or "" for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |" for line in cells)


def lines(
    columns: Sequence[str], rows: Sequence[Sequence[str | float | None]], by: str | None
) -> dict[str, list[tuple[Any, Any]]]:
    """The points of each line by its name; one line without names where nothing tells them apart."""
    found: dict[str, list[tuple[Any, Any]]] = {}
    for row in rows:
        name = "" if by is None else str(row[columns.index(by)])
        found.setdefault(name, []).append((row[0], row[1]))
    return found


def tensorboard_logger(folder: Path, settings: Mapping[str, Any]) -> TensorBoard:
    """TensorBoard event files in RUN/tensorboard."""
    return TensorBoard(folder, settings)
