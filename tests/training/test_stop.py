"""What a signal finds when it comes; runs that are stopped as a whole are in tests/runs."""

import io
import os
import signal
import sys
from pathlib import Path
from typing import Any, cast

from difflab.training.callbacks.checkpoints import Checkpoints
from difflab.training.callbacks.stop import StopOnSignal


class Struck(io.FileIO):
    """A file in the midst of whose first write a signal comes."""

    struck = False

    def write(self, data: Any) -> int:
        if not self.struck:
            self.struck = True
            os.kill(os.getpid(), signal.SIGINT)
        return super().write(data)


def test_a_signal_in_the_midst_of_a_line_is_noted(tmp_path: Path, monkeypatch):
    """Python's streams cannot be entered again by a handler: a run ended there with an error of theirs, unsaved."""
    path = tmp_path / "output.txt"
    stop = StopOnSignal(cast("Checkpoints", None))
    before = signal.signal(signal.SIGINT, stop.note)
    stream = io.TextIOWrapper(io.BufferedWriter(Struck(path, "w")), line_buffering=True)
    monkeypatch.setattr(sys, "stderr", stream)
    try:
        print("a line of the run", file=sys.stderr)
    finally:
        signal.signal(signal.SIGINT, before)
    stream.close()
    assert stop.asked == signal.SIGINT
    lines = path.read_text().split("\n")
    assert {"a line of the run", "saving a checkpoint before the next batch; once more stops at once"} <= set(lines)
