"""As much of W&B's server as saving pages takes: it answers queries, and keeps what it is told to save."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PROJECT = {"id": "p", "name": "difflab", "entityName": "us"}
EMPTY = {"edges": [], "pageInfo": {"endCursor": None, "hasNextPage": False}}
VIEWER = {"id": "1", "entity": "us", "username": "me", "email": "me@here", "flags": "{}", "teams": {"edges": []}}


class Server(ThreadingHTTPServer):
    """Listens on a port of its own while it is entered.

    Args:
        refuses: whether it lets nothing be saved.

    Attributes:
        saved: the variables of each page that it was sent.
    """

    def __init__(self, refuses: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.refuses, self.saved = refuses, []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def __enter__(self) -> "Server":
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def answer(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        if "upsertView" in query:
            if self.refuses:
                return {"data": None, "errors": [{"message": "permission denied", "path": ["upsertView"]}]}
            self.saved.append(variables)
            view = {"id": f"ID{len(self.saved)}", "project": PROJECT, "updatedAt": "2026-01-01T00:00:00"}
            view |= {name: variables[name] for name in ("name", "displayName", "description", "spec", "type")}
            return {"data": {"upsertView": {"view": view, "inserted": True}}}
        return {"data": {"viewer": VIEWER, "models": EMPTY, "upsertModel": {"model": PROJECT, "project": PROJECT}}}


class Answer(BaseHTTPRequestHandler):
    """To one request; what is not a query gets nothing."""

    server: Server

    def do_GET(self) -> None:
        self.reply(b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path != "/graphql":
            return self.reply(b"")
        asked = json.loads(body)
        self.reply(json.dumps(self.server.answer(asked["query"], asked.get("variables") or {})).encode())

    def reply(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing on the terminal."""
