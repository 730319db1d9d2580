"""Downloads from a server of our own, whole, broken and silent."""

import hashlib
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch

from difflab.errors import ConfigError
from difflab.features import weights


@pytest.fixture
def server():
    """Serves b"weights" and counts who asked; /cut breaks off."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200 if self.path != "/none" else 404)
            self.send_header("Content-Length", "7")
            self.end_headers()
            self.wfile.write(b"weights" if self.path != "/cut" else b"wei")

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}", asked
        running.shutdown()


HASH = hashlib.sha256(b"weights").hexdigest()


def test_a_file_is_downloaded_once_for_all(server, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    url, asked = server
    paths = []
    jobs = [
        threading.Thread(target=lambda: paths.append(weights.obtain(None, "file", f"{url}/file", HASH[:8])))
        for _ in range(4)
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert paths == [tmp_path / "hub" / "checkpoints" / "file"] * 4
    assert paths[0].read_bytes() == b"weights"
    assert asked == ["/file"]


@pytest.mark.parametrize("path", ["none", "cut", "file"])
def test_a_failed_download_leaves_nothing(server, monkeypatch, tmp_path, path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    url, asked = server
    expected = "0" * 8 if path == "file" else HASH
    with pytest.raises(ConfigError, match=r"file is not in .* could not be downloaded") as caught:
        weights.obtain(None, "file", f"{url}/{path}", expected)
    assert "\n" not in str(caught.value)
    assert asked == [f"/{path}"]
    assert [f.name for f in weights.checkpoints().iterdir() if f.suffix != ".lock"] == []


def test_a_server_that_says_nothing_is_given_up(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(weights, "PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(ConfigError, match="timed out"):
        weights.obtain(None, "file", f"http://127.0.0.1:{silent.getsockname()[1]}/file", HASH)
    assert socket.getdefaulttimeout() is None


def test_a_fingerprint_is_of_words_names_shapes_and_numbers():
    state = {"a": torch.zeros(2, 3), "b": torch.tensor(1)}
    others = [
        ("words", state),
        ("word", {"b": state["b"], "a": state["a"]}),
        ("word", state | {"a": torch.zeros(3, 2)}),
        ("word", state | {"a": torch.zeros(2, 3, dtype=torch.int32)}),
        ("word", state | {"b": torch.tensor(2)}),
        ("word", {"a": state["a"]}),
    ]
    prints = [weights.fingerprint(*other) for other in [("word", state), *others]]
    assert len(set(prints)) == len(prints)
    assert prints[0] == weights.fingerprint("word", {"a": torch.zeros(3, 2).T, "b": torch.tensor(1)})
