"""How a run stands: by its status.json, by the record of its sweep, and by whether its process is still there."""

import fcntl
import os
from collections.abc import Mapping
from socket import gethostname
from typing import Any, NamedTuple

from difflab.report.contents import Contents, Unreadable, is_folder
from difflab.runs.sweeps.job import ENDED
from difflab.runs.trust import quoted

STATES = (*ENDED, "running")


class State(NamedTuple):
    """What `Run` has of it.

    Attributes:
        problem: what was odd about it, though it is known; empty where nothing was.
    """

    state: str
    reason: str = ""
    seconds: float | None = None
    problem: str = ""


def state_of(files: Contents, job: Mapping[str, Any]) -> State:
    """The state of a run, or why it cannot be told.

    Args:
        job: its entry in sweep.json; empty where there is none.
    """
    try:
        status = files.json("status.json")
    except Unreadable as error:
        by_sweep = recorded(files, job)
        return State("unreadable", str(error)) if by_sweep is None else by_sweep._replace(problem=str(error))
    if status is None:
        return recorded(files, job) or unrecorded(files)
    state, seconds = status.get("state"), duration(status) or duration(job)
    if state not in STATES:
        return State("unreadable", f"status.json: the state {quoted(state)}; known are {', '.join(STATES)}")
    if state == "running":
        return running(files, status)
    return State(state, text_of(status), seconds)


def recorded(files: Contents, job: Mapping[str, Any]) -> State | None:
    """The state by sweep.json; None where it says nothing that its folder does not contradict."""
    state = job.get("state")
    if state == "missing" and not is_held(files):
        return State("missing", text_of(job) or "it has not begun")
    if state == "done" and not is_folder(files.folder):
        return State("unreadable", "its folder is not there")
    return State(state, text_of(job), duration(job)) if state in ENDED else None


def unrecorded(files: Contents) -> State:
    """The state of a run of which nothing is written down, by what it has left."""
    if is_held(files):
        return State("running")
    try:
        if files.inside("metrics.json") and files.inside("config.yaml"):
            return State("done", problem="there is no status.json; its final figures are there")
    except Unreadable:
        pass
    return State("unreadable", "there is no status.json")


def running(files: Contents, status: Mapping[str, Any]) -> State:
    """The state of a run that said that it runs: whether its process holds the folder can be told on its own machine.

    Args:
        status: that it said so in.
    """
    host = status.get("host")
    if is_held(files):
        return State("running")
    if host not in (None, gethostname()):
        return State("running", f"on {host}, where it may have ended")
    try:
        again = files.json("status.json") or {}
    except Unreadable:
        again = {}
    if again.get("state") in ENDED:  # meanwhile
        return State(again["state"], text_of(again), duration(again))
    return State("failed", "its process is gone")


def is_held(files: Contents) -> bool:
    """Whether a process is writing to the folder; nothing is written to find out."""
    try:
        lock = files.inside(".hydra/lock")
        if lock is None:
            return False
        file = os.open(lock, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    except (Unreadable, OSError):
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(file)
    return False


def text_of(record: Mapping[str, Any]) -> str:
    """The reason in a record."""
    reason = record.get("reason")
    return reason if isinstance(reason, str) else ""


def duration(record: Mapping[str, Any]) -> float | None:
    """The seconds in a record."""
    seconds = record.get("seconds")
    return float(seconds) if isinstance(seconds, int | float) and not isinstance(seconds, bool) else None
