"""Segment's own SDKs write here unchanged: only their host is another, and nothing counts twice."""

import json
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from gzip import decompress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from required import missing

pytestmark = [pytest.mark.clickhouse, pytest.mark.slow]

HERE = Path(__file__).parent / "segment_sdks"
OTHERS = ("identify", "page", "screen", "group", "alias")
"""What a script says once each, besides its tracks."""
NODE = pytest.param("node", marks=pytest.mark.node)


@dataclass
class Door:
    """A door in front of the service that lets some requests in late, or keeps an answer back."""

    url: str = ""
    moods: list[str] = field(default_factory=list)
    """What happens to the next requests: `busy` answers 503, `lost` takes it and hangs up."""
    seen: list[tuple[dict[str, str], int]] = field(default_factory=list)
    """Headers of each request, and the messages that were kept though the sender cannot know."""


@pytest.fixture(scope="module")
def service(serve: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Serve one shop as the example has it, and one that takes fifty messages a second."""

    def configure(folder: Path) -> None:
        text = (folder / "sites" / "demo.toml").read_text()
        text = text.replace('"demo"', '"slow"').replace("server_key_env", "# server_key_env")
        text = text.replace("rate_max = 0", "rate_max = 50")
        (folder / "sites" / "slow.toml").write_text(text)

    with serve(tmp_path_factory.mktemp("sdks"), configure) as served:
        yield served


@pytest.fixture
def door(service: Any) -> Iterator[Door]:
    """Put a door before the service."""
    door = Door()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(door, service.url))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    door.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield door
    server.shutdown()
    thread.join()
    server.server_close()


def _handler(door: Door, target: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            mood = door.moods.pop(0) if door.moods else "open"
            headers = {name.lower(): value for name, value in self.headers.items()}
            if mood == "busy":
                door.seen.append((headers, 0))
                self._answer(503, b"try again", {"Retry-After": "1"})
                return
            sent = {name: value for name, value in headers.items() if name != "host"}
            answer = httpx.post(target + self.path, content=body, headers=sent)
            lost = mood == "lost" and answer.status_code == 200
            door.seen.append((headers, _messages(body, headers) if lost else 0))
            if lost:
                self.close_connection = True
                return
            kept = {"retry-after"} & set(answer.headers)
            self._answer(
                answer.status_code, answer.content, {name: answer.headers[name] for name in kept}
            )

        def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    return Handler


def _messages(body: bytes, headers: dict[str, str]) -> int:
    plain = decompress(body) if headers.get("content-encoding") == "gzip" else body
    return len(json.loads(plain)["batch"])


@pytest.fixture(scope="session")
def node_folder(pytestconfig: pytest.Config) -> Callable[[], Path]:
    """Give the folder of the Node SDK, installed at its first use; it needs Node."""

    def folder() -> Path:
        if not (shutil.which("node") and shutil.which("npm")):
            missing("no node and npm on this machine (Debian: apt-get install nodejs npm)")
        place = pytestconfig.cache.mkdir("segment_sdks")
        wanted = (HERE / "package.json").read_text()
        stamp = place / "installed.json"
        shutil.copy(HERE / "say.mjs", place)
        if not stamp.exists() or stamp.read_text() != wanted:
            shutil.copy(HERE / "package.json", place)
            words = "install --no-package-lock --no-audit --no-fund --ignore-scripts --silent"
            subprocess.run(["npm", *words.split()], cwd=place, check=True, timeout=90)
            stamp.write_text(wanted)
        return place

    return folder


@pytest.fixture
def say(node_folder: Callable[[], Path]) -> Callable[..., None]:
    """Give what lets an SDK say everything once and `tracks` events, without any failure."""

    def speak(sdk: str, host: str, key: str, event: str, **more: Any) -> None:
        told = {"host": host, "key": key, "event": event, "browser": f"{event} browser"}
        told |= {"customer": "", "gzip": False, "batch": 100, "tracks": 5} | more
        if sdk == "node":
            command = ["node", str(node_folder() / "say.mjs")]
        else:
            command = [sys.executable, str(HERE / "say.py")]
        done = subprocess.run(
            [*command, json.dumps(told)], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == {"failures": []}, done.stderr

    return speak


@pytest.mark.parametrize(
    ("sdk", "gzip", "moods"),
    [
        pytest.param("python", False, [], id="python"),
        pytest.param("python", True, [], id="python gzip"),
        pytest.param("python", True, ["busy", "lost"], id="python retries"),
        pytest.param("node", False, [], id="node", marks=pytest.mark.node),
        pytest.param("node", False, ["busy", "lost"], id="node retries", marks=pytest.mark.node),
    ],
)
def test_an_sdk_is_kept_exactly_once(
    service: Any,
    door: Door,
    say: Callable[..., None],
    request: pytest.FixtureRequest,
    sdk: str,
    gzip: bool,
    moods: list[str],
) -> None:
    """All six kinds of message are stored once each, however often the SDK had to send them."""
    event = f"Viewed {request.node.callspec.id}"
    before, balance = Counter(service.event_counts()), service.balance()
    door.moods += moods
    say(sdk, door.url, "demo", event, gzip=gzip, batch=20, tracks=45)
    service.loads()

    assert door.moods == []
    assert Counter(service.event_counts()) - before == Counter(
        {event: 45} | dict.fromkeys(OTHERS, 1)
    )
    after = service.balance()
    twice = sum(again for _, again in door.seen)
    assert after["stored"] - balance["stored"] == 50
    assert after["duplicates"] - balance["duplicates"] == twice
    assert (twice > 0) == ("lost" in moods)
    assert after["dropped"] == balance["dropped"]
    assert all(("content-encoding" in headers) == gzip for headers, _ in door.seen)


@pytest.mark.parametrize("sdk", ["python", NODE])
def test_a_server_key_speaks_for_its_customer(
    service: Any, door: Door, say: Callable[..., None], sdk: str
) -> None:
    """With the server key an SDK's messages belong to the customer that they name."""
    event, customer = f"Ordered by {sdk}", f"{sdk}-123456"
    say(sdk, door.url, service.server_key, event, customer=customer, tracks=3)
    service.loads()
    card = service.call("GET", f"/api/identity/{customer}")
    names = Counter(each["event"] for each in card["events"])
    assert (card["person"], card["crm_id"]) == ("customer", customer)
    assert names == Counter({event: 3} | dict.fromkeys(OTHERS, 1))
    assert card["visitors"] == []
    with pytest.raises(AssertionError, match="404"):
        service.call("GET", "/api/identity/earlier")


@pytest.mark.parametrize("sdk", ["python", NODE])
def test_an_sdk_waits_out_the_rate_limit(service: Any, say: Callable[..., None], sdk: str) -> None:
    """What came too fast is answered 429, sent again by the SDK, and stored once."""
    event = f"Hurried {sdk}"
    dropped = service.balance()["dropped"].get("over_rate", 0)
    say(sdk, service.url, "slow", event, tracks=245)
    service.loads()
    assert service.event_counts()[event] == 245
    assert service.balance()["dropped"]["over_rate"] > dropped
