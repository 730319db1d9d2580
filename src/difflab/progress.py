"""A progress bar with rate and remaining time; plain lines where the output is not a terminal."""

import os
import sys
import time
from contextlib import suppress
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

QUIET_SECONDS = 2.0
LINE_SECONDS = 15.0


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss."""
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"


def interject(text: str) -> None:
    """A line on the terminal from within the handler of a signal.

    It goes to the file and not through Python's stream or a bar: the handler may have come in the midst of a write of
    theirs, which cannot be entered twice and would end the program in place of what the signal asks for.
    """
    with suppress(OSError, ValueError, AttributeError):  # there is no such file
        os.write(sys.stderr.fileno(), f"\n{text}\n".encode())


class Progress:
    """`with Progress("sampling", total) as progress: progress.advance()`, on the first process only.

    A task that ends within two seconds shows nothing.

    Args:
        what: is being done.
        total: number of steps.
        start: steps done before.
    """

    def __init__(self, what: str, total: int, start: int = 0) -> None:
        self.what, self.total, self.done, self.first, self.note = what, total, start, start, ""
        self.shown = int(os.environ.get("LOCAL_RANK", 0)) == 0 and not os.environ.get("DIFFLAB_QUIET")
        self.terminal = sys.stderr.isatty()
        self.bar: RichProgress | None = None

    def __enter__(self) -> "Progress":
        self.begun = self.said = time.monotonic()
        return self

    def advance(self, steps: int = 1, note: str | None = None) -> None:
        """So many steps more; `note` is shown behind the bar."""
        self.done += steps
        if note is not None:
            self.note = note
        now = time.monotonic()
        if not self.shown or now - self.begun < QUIET_SECONDS:
            return
        if not self.terminal:
            if now - self.said >= LINE_SECONDS:
                self.said = now
                left = (now - self.begun) / (self.done - self.first) * (self.total - self.done)
                parts = [f"{self.what} {self.done}/{self.total}", self.note, f"ETA {clock(left)}"]
                print("  ".join(p for p in parts if p), file=sys.stderr, flush=True)
            return
        if self.bar is None:
            columns = [
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[note]}"),
            ]
            times = [TimeElapsedColumn(), TextColumn("ETA"), TimeRemainingColumn()]
            self.bar = RichProgress(*columns, *times, console=Console(stderr=True), refresh_per_second=4)
            self.bar.start()
            self.task = self.bar.add_task(self.what, total=self.total, completed=self.first, note=self.note)
            self.bar.tasks[0].start_time = self.bar.get_time() - (now - self.begun)
        self.bar.update(self.task, completed=self.done, note=self.note)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.stop()
