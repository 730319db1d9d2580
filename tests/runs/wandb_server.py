"""As much of W&B's server as a run needs, until it falls silent: it takes in what is sent then, and never answers."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "0" * 40  # of an API, in its format


class Server(ThreadingHTTPServer):
    """On a port of this machine.

    Attributes:
        rows: of the history that it was sent.
        codes: exit codes that it was sent.
        silent: set from the moment on that it is.
        falls: name of a request that it answers as its last.
        deaf: name of a request that it does not answer.
    """

    daemon_threads = True

    def __init__(self, silent: bool = False, falls: str = "nothing", deaf: str = "nothing") -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.rows: list[dict[str, Any]] = []
        self.codes: list[int] = []
        self.silent, self.falls, self.deaf = threading.Event(), falls, deaf
        if silent:
            self.silent.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def environment(self) -> dict[str, str]:
        """What sends a run here."""
        return {"WANDB_BASE_URL": self.url, "WANDB_API_KEY": KEY}

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients may leave."""

    def answer(self, path: str, body: Any) -> dict[str, Any]:
        """To a request."""
        if "file_stream" in path:
            history = body.get("files", {}).get("wandb-history.jsonl", {})
            self.rows += [json.loads(line) for line in history.get("content", [])]
            self.codes += [body["exitcode"]] if body.get("complete") else []
        if not path.startswith("/graphql"):
            return {}
        name, asked = body.get("operationName"), body.get("variables", {})
        entity = {"id": "E", "name": "somebody"}
        if name == "RunResumeStatus":
            return {"data": {"model": {"bucket": None, "id": "P", "name": "difflab", "entity": entity}}}
        if name == "UpsertBucket":
            project = {"id": "P", "name": asked.get("project") or "difflab", "entity": entity}
            bucket = {"id": "R", "name": asked.get("name"), "displayName": asked.get("displayName"), "config": "{}"}
            return {"data": {"upsertBucket": {"bucket": bucket | {"project": project}, "inserted": True}}}
        if name == "Viewer":
            teams = {"edges": []}
            viewer = {"id": "V", "entity": "somebody", "username": "somebody", "email": "", "flags": "{}"}
            return {"data": {"viewer": viewer | {"teams": teams}}}
        if name == "CreateArtifact":
            artifact = {"id": "A", "digest": asked.get("digest"), "state": "COMMITTED", "aliases": []}
            artifact |= {"artifactSequence": {"id": "S", "latestArtifact": None}}
            return {"data": {"createArtifact": {"artifact": artifact}}}
        if name == "CreateRunFiles":
            files = [{"name": file, "uploadUrl": f"{self.url}/upload/{file}"} for file in asked["files"]]
            return {"data": {"createRunFiles": {"runID": "R", "uploadHeaders": [], "files": files}}}
        return {"data": {"project": None}}  # which has no such artifact, or whatever it was


class Handler(BaseHTTPRequestHandler):
    """Reads a request, and answers while the server does."""

    protocol_version = "HTTP/1.1"
    server: Server  # type: ignore[assignment]

    def log_message(self, *_: Any) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            body = json.loads(sent)
        except ValueError:
            body = {}
        while self.server.silent.is_set() or f"mutation {self.server.deaf} (".encode() in sent:
            time.sleep(1)
        text = json.dumps(self.server.answer(self.path, body)).encode()
        if isinstance(body, dict) and body.get("operationName") == self.server.falls:
            self.server.silent.set()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_POST = do_PUT = do_GET


@contextmanager
def serving(**options: Any) -> Iterator[Server]:
    """A server for as long as this lasts."""
    with Server(**options) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
