"""A server that answers what each tag needs, and counts what the page loads and sends.

Scripts and settings go out gzipped; every other path takes messages and forgets them.
"""

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar, Final

PAGE: Final = b"<!doctype html><meta charset=utf-8><title>Shop</title><p>A page.</p>"
SEGMENT: Final = {"integrations": {"Segment.io": {"apiKey": "demo", "bundlingStatus": "bundled"}}}
RUDDERSTACK: Final = {
    "source": {
        "id": "source",
        "name": "shop",
        "writeKey": "demo",
        "enabled": True,
        "workspaceId": "workspace",
        "config": {},
        "connections": [],
        "destinations": [],
        "dataplanes": {},
    },
    "updatedAt": "2026-01-01T00:00:00Z",
}
POSTHOG: Final = {
    "token": "phc_demo",
    "supportedCompression": ["gzip", "gzip-js"],
    "hasFeatureFlags": False,
    "sessionRecording": False,
    "surveys": False,
    "heatmaps": False,
    "capturePerformance": False,
    "autocaptureExceptions": False,
    "featureFlags": {},
    "flags": {},
}
SETTINGS: Final = {
    "/v1/projects/demo/settings": SEGMENT,
    "/sourceConfig/": RUDDERSTACK,
    "/sourceConfig": RUDDERSTACK,
    "/array/phc_demo/config": POSTHOG,
    "/flags/": POSTHOG,
    "/cookie_sync": {"status": "ok", "bidder_status": []},
}


@dataclass
class Traffic:
    """What one page loaded and sent so far."""

    loaded_bytes: int = 0
    sent_bytes: int = 0
    posts: int = 0
    requests: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class Handler(BaseHTTPRequestHandler):
    """Answers one request and counts it."""

    protocol_version = "HTTP/1.1"
    scripts: ClassVar[dict[str, bytes]] = {}
    traffic: ClassVar[Traffic]

    def do_GET(self) -> None:
        """Serve the page, a script or settings."""
        self._answer(b"")

    def do_POST(self) -> None:
        """Take messages."""
        self._answer(self.rfile.read(int(self.headers.get("Content-Length", "0"))))

    def _answer(self, given: bytes) -> None:
        path = self.path.partition("?")[0]
        kind, body = _content(path, self.scripts)
        packed = gzip.compress(body, 9) if body and path != "/" else body
        if path not in {"/", "/favicon.ico"}:
            self._count(packed, given)
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(packed)))
        self.send_header("Cache-Control", "no-store")
        if packed is not body:
            self.send_header("Content-Encoding", "gzip")
        if path == "/t":
            self.send_header("Jumelle-Visitor", "a-browser")
        self.end_headers()
        self.wfile.write(packed)

    def _count(self, answered: bytes, given: bytes) -> None:
        with self.traffic.lock:
            self.traffic.requests += 1
            self.traffic.loaded_bytes += len(answered)
            self.traffic.sent_bytes += len(given)
            self.traffic.posts += bool(given)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Stay silent."""


class _Server(ThreadingHTTPServer):
    """Threads that end with the script; a browser that hangs up is no news."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Stay silent."""


@contextmanager
def answering(scripts: dict[str, Path]) -> Iterator[tuple[str, type[Handler]]]:
    """Serve these scripts by name, until the end of the block; `Handler.traffic` is to be set."""
    handler = type("Bound", (Handler,), {"traffic": Traffic()})
    handler.scripts = {f"/{name}.js": path.read_bytes() for name, path in scripts.items()}
    with _Server(("127.0.0.1", 0), handler) as http:
        threading.Thread(target=http.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{http.server_port}", handler
        finally:
            http.shutdown()


def _content(path: str, scripts: dict[str, bytes]) -> tuple[str, bytes]:
    if path == "/":
        return "text/html; charset=utf-8", PAGE
    if path in scripts:
        return "text/javascript; charset=utf-8", scripts[path]
    if path in SETTINGS:
        return "application/json", json.dumps(SETTINGS[path]).encode()
    if path.endswith(".js"):
        return "text/javascript", b""
    return "application/json", b"{}"
