"""A shop on the real service, two partners on sites of their own, and a real browser before it.

The pages of `tests/tag_sdk/pages` are at shop.example and outlet.example, the tag and all that it
talks to at their `t.` hosts, the partners at two other domains, over TLS. The browser alone knows
these names: all of them lead to loopback. Outgoing: where things are, and what was stored.
"""

import json
import mimetypes
import subprocess
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import uvicorn
from real_browser import start_chromium, wait_until, write_certificate
from running_service import RunningService, free_port, serving

from matching.partners import known_facts
from service.demo.stand_in_dsp import create_stand_in, stand_in_url
from service.local_commands import click_token
from service.tag.tag_script import integrity, version_name
from service.tag.tokens import Keys

PAGES: Final = Path(__file__).parent / "tag_sdk" / "pages"
DIST: Final = Path(__file__).parents[1] / "tag_sdk" / "dist"
SHOP: Final = "http://shop.example"
OUTLET: Final = "http://outlet.example"
TAG: Final = "http://t.shop.example"
TAG_OF_OUTLET: Final = "http://t.outlet.example"
PARTNERS: Final = {"xandr": "partner-x.example", "the_trade_desk": "partner-y.example"}


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Where everything listens, known before anything is started."""

    pages: int = field(default_factory=free_port)
    tag: int = field(default_factory=free_port)
    partners: int = field(default_factory=free_port)

    @property
    def resolver_rules(self) -> str:
        """Give where the browser finds each name."""
        rules = {
            "t.shop.example": self.tag,
            "t.outlet.example": self.tag,
            "shop.example": self.pages,
            "outlet.example": self.pages,
            **dict.fromkeys(PARTNERS.values(), self.partners),
        }
        return ",".join(f"MAP {name} 127.0.0.1:{port}" for name, port in rules.items())


def page_url(name: str, site: str = SHOP) -> str:
    """Give the address of a page of `pages/`."""
    return f"{site}/pages/{name}.html"


class World:
    """What the tests do with the running service behind the pages."""

    def __init__(self, service: RunningService) -> None:
        self.service = service

    def click_link(self, crm_id: str, target: str) -> str:
        """Make the link that a newsletter holds."""
        keys = Keys.load_or_create(self.service.data / "keys.toml")
        return f"{TAG}/c/{click_token(keys, site='demo', crm_id=crm_id, target=target)}"

    def received(self) -> int:
        """Give how many records the door has seen so far."""
        found: int = self.service.balance()["received"]
        return found

    def until_received(self, count: int) -> None:
        """Wait until the door has seen so many records."""
        wait_until(lambda: self.received() >= count, lambda: str(self.service.balance()))

    def counts(self) -> dict[str, int]:
        """Load all that came and count the stored events by name."""
        self.service.loads()
        return self.service.event_counts()

    def card(self, name: str) -> dict[str, Any]:
        """Load all that came and give what is stored of whom this id names."""
        self.service.loads()
        found: dict[str, Any] = self.service.call("GET", f"/api/identity/{name}")
        return found


@contextmanager
def open_world(folder: Path, ports: Ports, certificate: Path) -> Iterator[World]:
    """Start the service, the pages and the partners, until the end of the block."""
    with ExitStack() as stack:
        stack.enter_context(_pages(ports))
        stack.enter_context(_partners(ports, certificate))
        service = stack.enter_context(serving(folder, _configure, port=ports.tag))
        yield World(service)


def chromium(
    folder: Path, ports: Ports, certificate: Path
) -> AbstractContextManager["subprocess.Popen[bytes]"]:
    """Start a browser that finds all these names on this machine, with its data in a folder."""
    return start_chromium(
        folder,
        resolver_rules=ports.resolver_rules,
        secure_origins=[SHOP, OUTLET, TAG, TAG_OF_OUTLET],
        certificate=certificate,
    )


def write_partners_certificate(path: Path) -> None:
    """Write the certificate that the partners show."""
    write_certificate(path, PARTNERS.values())


def _configure(folder: Path) -> None:
    """Point the example at the pages and the stand-ins; add sites that ask for consent."""
    service = folder / "service.toml"
    service.write_text(service.read_text().replace('public_url = ""', f'public_url = "{TAG}"'))
    site = folder / "sites" / "demo.toml"
    text = site.read_text()
    (given,) = [line for line in text.splitlines() if line.startswith("origins = ")]
    text = text.replace(given, f"origins = {json.dumps([SHOP, OUTLET])}")
    site.write_text(text)
    others = text.replace('"JUMELLE_DEMO_SERVER_KEY"', '""').replace('"allow"', '"deny"')
    for key, anonymous in {"strict": "false", "nameless": "true"}.items():
        named = others.replace('key = "demo"', f'key = "{key}"')
        made = named.replace("anonymous = false", f"anonymous = {anonymous}")
        (folder / "sites" / f"{key}.toml").write_text(made)
    (folder / "partners" / "pixel.toml").unlink()
    (folder / "seats" / "pixel_csv.toml").unlink()
    for key in PARTNERS:
        url = stand_in_url(
            known_facts(key)["sync"]["url_template"], key, f"https://{PARTNERS[key]}"
        )
        path = folder / "partners" / f"{key}.toml"
        path.write_text(f'{path.read_text()}\n[sync]\nurl_template = "{url}"\n')


@contextmanager
def _partners(ports: Ports, certificate: Path) -> Iterator[None]:
    """Run the stand-ins; as real partners do, they bring no id where their cookie is not kept."""
    stand_in = create_stand_in(
        callback_base=TAG, never_return={}, opted_out={}, seed="tag", bounces=PARTNERS
    )

    async def app(scope: Any, receive: Any, send: Any) -> None:
        unknown = not any(name == b"cookie" for name, _ in scope.get("headers", ()))
        if "/bounce/" in scope.get("path", "") and unknown:
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
        await stand_in(scope, receive, send)

    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=ports.partners,
        log_level="error",
        ws="none",
        ssl_certfile=certificate,
        ssl_keyfile=certificate,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def _pages(ports: Ports) -> Iterator[None]:
    with _QuietServer(("127.0.0.1", ports.pages), _PageHandler) as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            http.shutdown()
            thread.join()


class _PageHandler(BaseHTTPRequestHandler):
    """Serves the pages; `{tag}` in them becomes the tag's origin on the page's own domain."""

    def do_GET(self) -> None:
        """Serve a page of `pages/`, or the stub."""
        path = self.path.partition("?")[0]
        file = DIST / "stub.js" if path == "/stub.js" else PAGES / path.rpartition("/")[2]
        body = file.read_bytes() if file.is_file() else b""
        words = {
            "tag": f"http://t.{self.headers['Host']}",
            "version": version_name(),
            "integrity": integrity(),
        }
        for word, text in words.items():
            body = body.replace(f"{{{word}}}".encode(), text.encode())
        self.send_response(200 if body else 404)
        self.send_header("Content-Type", f"{mimetypes.guess_type(file.name)[0]}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Stay silent."""


class _QuietServer(ThreadingHTTPServer):
    """Threads that end with the tests; a browser that hangs up is no news."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Stay silent."""
