"""A line between the first process of a job and each of the others, which breaks when one of them is gone."""

import json
import socket
import time
from collections.abc import Callable
from select import select
from signal import SIGINT, SIGTERM
from typing import Any

PATIENCE = 1800.0  # seconds for processes that somebody else starts, and that may read a lot of data first
EXIT, WORDS = 1, 2
STALE = 20.0  # seconds for whoever has the port from an earlier job to let go of it


class ProcessEnded(RuntimeError):
    """Another process of the job has ended, and this one cannot go on.

    Args:
        what: which, and why.
        known: how much is: nothing but that, its EXIT code, or its own WORDS.
        signum: of the signal that asked it to stop, where that is why.
    """

    def __init__(self, what: str, known: int = 0, signum: int | None = None) -> None:
        super().__init__(what)
        self.known = known
        if signum is not None:
            self.signum = signum


class Line:
    """One end of a connection on which both say little: who they are, and how they ended."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection, self.rest = connection, b""
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # a machine that is gone says nothing
        for option, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
            if hasattr(socket, option):
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)

    def fileno(self) -> int:
        return self.connection.fileno()

    def say(self, **words: Any) -> bool:
        """Tell the other end, if it is still there."""
        try:
            self.connection.sendall(json.dumps(words).encode() + b"\n")
        except OSError:
            return False
        return True

    def listen(self) -> list[dict[str, Any]] | None:
        """What was said since; waits for something. None where the other end is gone, or is none of ours."""
        try:
            heard = self.connection.recv(65536)
            if not heard:
                return None
            *whole, self.rest = (self.rest + heard).split(b"\n")
            messages = [json.loads(message) for message in whole]
        except (OSError, ValueError):
            return None
        return messages if all(isinstance(message, dict) for message in messages) else None

    def close(self) -> None:
        self.connection.close()


own: Line | None = None  # of this process to the first one


def call(address: str, port: int) -> Line:
    """A new line to the first process.

    Raises:
        OSError: where it does not listen.
    """
    return Line(socket.create_connection((address, port), timeout=5))


def join(address: str, port: int, rank: int, size: int) -> Line:
    """The line of process `rank` to the first one, which has one to each of the `size` by then.

    Raises:
        ProcessEnded: where the first does not answer, or does not want this one.
    """
    begun, met = time.monotonic(), None
    while True:
        now = time.monotonic()
        if now > begun + PATIENCE or (met is not None and now > met + STALE):
            raise ProcessEnded(f"process 0 of {size} does not answer at {address}:{port}")
        try:
            line = call(address, port)
        except OSError:
            time.sleep(0.1)
            continue
        line.connection.settimeout(None)
        line.say(rank=rank, size=size)
        answer = line.listen()
        while answer == []:
            answer = line.listen()
        if answer:
            if "code" in answer[0]:
                raise ended(0, size, answer[0])
            return line
        line.close()  # it has ended, or this was the meeting place of an earlier job
        met = met or now
        time.sleep(0.1)


def gather(port: int, size: int, missing: Callable[[], ProcessEnded | None]) -> dict[int, Line]:
    """The lines of the first process to all the others, by their rank, when everybody is there.

    Whoever waits here can be interrupted, and can be told that somebody will not come; in a process group it cannot.

    Args:
        port: where they call: that of the process group, which nobody needs yet.
        size: processes of the job.
        missing: whether one of them has ended, as far as is known here.

    Raises:
        ProcessEnded: where one of them has, or belongs to a job of another size.
    """
    begun = time.monotonic()
    known: dict[int, Line] = {}
    strangers: list[Line] = []
    gone, noticed = None, 0.0
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    with socket.create_server(("", port), family=family, dualstack_ipv6=both) as server:
        while len(known) < size - 1:
            now = time.monotonic()
            if gone is None:
                gone, noticed = missing(), now
            elif now > noticed + 1:  # by then it is heard what it had to say
                raise gone
            if now > begun + PATIENCE:
                first = min(set(range(1, size)) - known.keys())
                raise ProcessEnded(f"process {first} of {size} has not come within {PATIENCE / 60:.0f} minutes")
            for rank, line in known.items():
                if heard(line):
                    raise ended(rank, size, (line.listen() or [{}])[0])
            for line in [line for line in strangers if heard(line)]:
                said = line.listen()
                if said == []:
                    continue
                strangers.remove(line)
                hello = said[0] if said else {}
                ours = hello.get("size", size) != size or (
                    hello.get("rank") in range(1, size) and hello["rank"] not in known
                )
                if not isinstance(hello.get("rank"), int) or not ours:
                    line.close()
                    continue
                if "code" in hello:
                    raise ended(hello["rank"], size, hello)
                if hello.get("size") != size:
                    what = f"process {hello['rank']} is one of {hello.get('size')}, process 0 one of {size}"
                    line.say(code=1, reason=what)
                    raise ProcessEnded(f"{what}: they were started with different devices or nodes")
                known[hello["rank"]] = line
            if heard(server, 0.05):
                strangers.append(Line(server.accept()[0]))
    for line in known.values():
        line.say(go=True)
    return known


def heard(line: Line | socket.socket, seconds: float = 0) -> bool:
    """Whether there is something to hear, or the line is broken."""
    return bool(select([line], [], [], seconds)[0])


def ended(rank: int, size: int, words: dict[str, Any]) -> ProcessEnded:
    """The error of a process that said why before it ended, or only did."""
    code, reason = words.get("code", 1), words.get("reason")
    what = f"process {rank} of {size} ended" + (f": {reason}" if reason else "")
    return ProcessEnded(what, WORDS if reason else 0, code - 128 if code >= 128 else None)


def exited(rank: int, size: int, code: int) -> ProcessEnded:
    """The error of a process with this exit code, negative for a signal; some signals ask the whole job to stop."""
    how = f"signal {-code}" if code < 0 else f"exit {code}"
    asked = -code if -code in (SIGINT, SIGTERM) else code - 128 if code >= 128 else None
    return ProcessEnded(f"process {rank} of {size} ended ({how})", EXIT, asked)
