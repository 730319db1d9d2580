"""Servers that answer, and the ways in which others do not."""

import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from difflab.training.loggers.network import silence


class Says(BaseHTTPRequestHandler):
    """The status that its server has."""

    def do_GET(self) -> None:
        self.send_response(self.server.status)  # type: ignore[attr-defined]
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def server(monkeypatch):
    """Of this machine, asked without a proxy; `status` is what it says."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with HTTPServer(("127.0.0.1", 0), Says) as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def address(server: HTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}"


@pytest.mark.parametrize(
    ("status", "why"), [(200, None), (404, None), (500, None), (407, "HTTP 407"), (503, "HTTP 503")]
)
def test_whatever_a_server_says_is_an_answer_but_for_what_a_proxy_says(server, status, why):
    server.status = status
    assert silence(address(server), 5) == why


def test_nobody_listens(server):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert silence(f"http://127.0.0.1:{port}", 5) == "Connection refused"


def test_a_name_that_is_none(server):
    assert silence("http://no.such.host.invalid", 30) not in (None, "no answer within 30 seconds")


def test_somebody_listens_and_says_nothing(server):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        assert silence(f"http://127.0.0.1:{mute.getsockname()[1]}", 0.3) in (
            "no answer within 0.3 seconds",
            "timed out",
        )


def test_a_proxy_is_asked(server, monkeypatch):
    server.status = 503
    monkeypatch.setenv("http_proxy", address(server))
    assert silence("http://no.such.host.invalid", 5) == "HTTP 503"
    server.status = 200
    assert silence("http://no.such.host.invalid", 5) is None


def test_words_that_are_no_http(server):
    with socket.create_server(("127.0.0.1", 0)) as strange:

        def greet() -> None:
            connection, _ = strange.accept()
            connection.sendall(b"220 mail ready\r\n")
            connection.close()

        thread = threading.Thread(target=greet)
        thread.start()
        assert silence(f"http://127.0.0.1:{strange.getsockname()[1]}", 5) is not None
        thread.join()
