"""A stand-in for the tag server, and a real browser to point at it.

The stand-in serves the built tag with the settings a test wants, the pages of `pages/` and the
demo shop; it records what the tag sends. It decides nothing: the real server has its own tests.
"""

import json
import mimetypes
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from real_browser import endpoint
from tag_world import Ports, World, chromium, open_world, write_partners_certificate

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
TAG = ROOT / "tag_sdk" / "dist" / "jumelle.js"
STUB = ROOT / "tag_sdk" / "dist" / "stub.js"
SHOP = ROOT / "service" / "demo" / "shop"
SHOP_POLICY = "default-src 'self'; img-src *"
REFERENCE = "visitor-reference"
GIF = bytes.fromhex(
    "47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b"
)


@dataclass
class Request:
    """One request as it came in."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: str


@dataclass
class Answer:
    """What to answer instead of the usual 204."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class StandIn:
    """The stand-in server: what it will say, and what it has heard."""

    settings: dict[str, Any] = field(default_factory=dict)
    syncs: list[dict[str, Any]] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    card: dict[str, Any] = field(default_factory=lambda: {"visitor": None})
    requests: list[Request] = field(default_factory=list)
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def heard(self, path: str) -> list[Request]:
        """Give the requests to a path, in order."""
        with self.lock:
            return [request for request in self.requests if request.path == path]

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The messages received so far, in order, whatever was answered."""
        return [message for post in self.heard("/t") for message in json.loads(post.body)]

    def wait_until(self, condition: Callable[[], object], *, seconds: float = 8) -> None:
        """Wait until the condition holds, or fail with what was heard."""
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                seen = [(each.method, each.path, each.body[:300]) for each in self.requests]
                pytest.fail(f"Waited {seconds} s in vain; the server heard {seen}")
            time.sleep(0.02)

    def wait_for_messages(self, count: int) -> list[dict[str, Any]]:
        """Wait for that many messages and give them."""
        self.wait_until(lambda: len(self.messages) >= count)
        return self.messages

    def stays_quiet(self, path: str, *, seconds: float = 0.5) -> bool:
        """Say whether nothing new comes to a path for a while."""
        before = len(self.heard(path))
        time.sleep(seconds)
        return len(self.heard(path)) == before


class Handler(BaseHTTPRequestHandler):
    """Answers like the tag endpoint, the demo shop and a partner's pixel."""

    stand_in: ClassVar[StandIn]

    def do_GET(self) -> None:
        """Serve the tag, a page, the shop or a pixel."""
        path = self._record("").path
        if path == "/tag.js":
            given = {"key": "demo", "host": "", "autoPage": True, "cookieSync": True}
            settings = json.dumps(given | self.stand_in.settings)
            text = f"window.__jumelle_settings={settings};\n{TAG.read_text(encoding='utf-8')}"
            self._answer(200, text.encode(), "text/javascript; charset=utf-8")
        elif path == "/stub.js":
            self._answer(200, STUB.read_bytes(), "text/javascript; charset=utf-8")
        elif path.startswith("/pages/"):
            self._serve(HERE / "pages" / path.removeprefix("/pages/"))
        elif path.startswith("/pixel"):
            self._answer(200, GIF, "image/gif")
        elif path == "/demo/shop/card":
            self._answer_json(self.stand_in.card)
        elif path == "/demo/shop/newsletter":
            self._answer_json({"url": "/demo/shop?from=newsletter"})
        elif path.startswith("/demo/shop"):
            name = path.removeprefix("/demo/shop").strip("/") or "index.html"
            self._serve(SHOP / name, {"Content-Security-Policy": SHOP_POLICY})
        else:
            self._answer(404, b"", "text/plain")

    def do_POST(self) -> None:
        """Take messages, offer syncs, log Paul in."""
        body = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
        path = self._record(body).path
        if path == "/t":
            self._take_messages()
        elif path == "/cookie_sync":
            offers = [
                {"bidder": "x", "no_cookie": True, "usersync": s} for s in self.stand_in.syncs
            ]
            self._answer_json({"status": "ok", "bidder_status": offers})
        elif path == "/demo/shop/login":
            self._answer_json({"crm_id": "123456", "token": "signed.by.shop"})
        else:
            self._answer(404, b"", "text/plain")

    def _take_messages(self) -> None:
        with self.stand_in.lock:
            answer = self.stand_in.answers.pop(0) if self.stand_in.answers else Answer(204)
        headers = dict(answer.headers)
        if answer.status == 204 and "jml=" not in self.headers.get("Cookie", ""):
            headers["Set-Cookie"] = "jml=signed; Path=/; HttpOnly; SameSite=Lax; Max-Age=3600"
            headers["Jumelle-Visitor"] = REFERENCE
        self._answer(answer.status, b"", "text/plain", headers)

    def _record(self, body: str) -> Request:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, parts.path, query, headers, body)
        with self.stand_in.lock:
            self.stand_in.requests.append(request)
        return request

    def _serve(self, file: Path, headers: dict[str, str] | None = None) -> None:
        if not file.is_file():
            self._answer(404, b"", "text/plain")
            return
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        body = file.read_bytes().replace(b"{tag}", b"")
        self._answer(200, body, f"{kind}; charset=utf-8", headers)

    def _answer_json(self, value: object) -> None:
        self._answer(200, json.dumps(value).encode(), "application/json")

    def _answer(
        self, status: int, body: bytes, kind: str, headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Stay silent."""


class QuietServer(ThreadingHTTPServer):
    """Threads that end with the test; a browser that hangs up is no news."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Stay silent."""


@pytest.fixture
def server() -> Iterator[StandIn]:
    """Give a stand-in server of its own, on a free port."""
    stand_in = StandIn()
    handler = type("BoundHandler", (Handler,), {"stand_in": stand_in})
    with QuietServer(("127.0.0.1", 0), handler) as http:
        stand_in.url = f"http://127.0.0.1:{http.server_port}"
        thread = threading.Thread(target=http.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield stand_in
        http.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def ports() -> Ports:
    """Give where the pages, the tag and the partners will listen."""
    return Ports()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the file of the partners' key and certificate."""
    path = tmp_path_factory.mktemp("partners") / "partners.pem"
    write_partners_certificate(path)
    return path


@pytest.fixture(scope="session")
def chromium_endpoint(
    tmp_path_factory: pytest.TempPathFactory, ports: Ports, certificate: Path
) -> Iterator[str]:
    """Start a real browser, once for all files of this process."""
    folder = tmp_path_factory.mktemp("chromium")
    with chromium(folder, ports, certificate):
        yield endpoint(folder)


@pytest.fixture(scope="session")
def world(
    tmp_path_factory: pytest.TempPathFactory, ports: Ports, certificate: Path
) -> Iterator[World]:
    """Start the real service behind the pages, once for all files of this process."""
    with open_world(tmp_path_factory.mktemp("world"), ports, certificate) as opened:
        yield opened


@pytest.fixture(scope="module")
def browser(chromium_endpoint: str) -> Iterator[Browser]:
    """Drive the browser; let go with the module, so that no event loop outlives it."""
    with sync_playwright() as playwright:
        driven = playwright.chromium.connect_over_cdp(chromium_endpoint)
        yield driven
        driven.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Give a tab in a fresh browser profile; the test fails if the page throws."""
    context = browser.new_context()
    tab = context.new_page()
    errors: list[str] = []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    yield tab
    context.close()
    assert errors == []
