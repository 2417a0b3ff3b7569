"""How many syncs does a core serve? `/cookie_sync` with 40 partners and `/setuid`, beside nothing.

Starts a tag process and, beside it, uvicorn with an ASGI function that answers the same bytes from
memory; sends both the same requests in turns and compares the CPU seconds of the servers. Then 100
calls of `/setuid` of one browser come at once, and every one must be in the spool. Run:
`uv run python loadtests/THIS`; with `--row` it writes its row into README.md.
"""

import asyncio
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import uvicorn
from readme_row import write_row

from matching.partners import Partner, known_facts
from service.config import prepare_config
from service.demo.connections import Answer, Connections, run_all
from service.tag.spool import count_records
from service.tag.sync_cookie import CookieMarks, write_attempts
from service.tag.tag_state import Site, TagState, write_tag_state
from service.tag.tokens import Callback, Keys, make_callback
from service.tag.visitor_cookie import mint_visitor, write_cookie

PARTNERS: Final = 40
REQUESTS: Final = 3_000
ROUNDS: Final = 3
AT_ONCE: Final = 16
PARALLEL: Final = 100
SITE: Final = Site(key="demo", write_key="demo", consent_default="allow")
AGENT: Final = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
TICKS: Final = os.sysconf("SC_CLK_TCK")
Call = tuple[str, str, str, bytes]
"""Method, path, headers, body."""


def partners() -> tuple[Partner, ...]:
    """Make forty partners of the shapes that ship."""
    shapes = [known_facts(key) for key in ("pixel", "xandr", "the_trade_desk", "criteo")]
    made = []
    for number in range(PARTNERS):
        facts = shapes[number % len(shapes)]
        own = {"key": f"partner_{number}", "id_space": f"space_{number}", "name": "P"}
        account = dict.fromkeys(facts.get("asks", {}), "sync.partner.example")
        made.append(msgspec.convert(facts | own | {"enabled": True, "account": account}, Partner))
    return tuple(made)


class Server:
    """A server in a child process, and the CPU seconds that it took."""

    def __init__(self, command: list[str], port: int, environment: dict[str, str]) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._child = subprocess.Popen(command, env=os.environ | environment)
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.05)
        raise SystemExit(f"{command} does not answer")

    def cpu_s(self) -> float:
        """Give user and system time so far."""
        fields = Path(f"/proc/{self._child.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def stop(self) -> None:
        """End it."""
        self._child.send_signal(signal.SIGTERM)
        self._child.wait()


def free_port() -> int:
    """Find a port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answered(server: Server, calls: list[Call]) -> tuple[float, list[Answer]]:
    """Send these calls and give the CPU seconds that they cost, and the answers."""
    answers: list[Answer] = []

    async def send(connections: Connections, call: Call) -> None:
        method, path, headers, body = call
        answers.append(await connections.request(method, server.url + path, headers, body))

    before = server.cpu_s()
    run_all(calls, send, AT_ONCE, lambda _: None)
    return server.cpu_s() - before, answers


def headers_of(keys: Keys, cookie: str = "") -> str:
    """Give the headers of one known browser."""
    visitor = write_cookie(keys, mint_visitor(), now_s=int(time.time()))
    more = f"; {cookie}" if cookie else ""
    return f"User-Agent: {AGENT}\r\nCookie: jml={visitor}{more}\r\n"


def kinds(keys: Keys, known: tuple[Partner, ...]) -> dict[str, Callable[[], list[Call]]]:
    """Say how to make the requests of each kind."""
    now_s = int(time.time())
    request: Any = msgspec.defstruct("R", ["now_s", "secure"])(now_s, secure=False)
    attempts = {each.key: now_s for each in known}
    fresh = write_attempts(request, SITE, attempts, CookieMarks(known)).partition(";")[0]

    def sync(cookie: str = "") -> list[Call]:
        path, body = "/cookie_sync?account=demo", b'{"us_privacy":"1YNN"}'
        return [("POST", path, headers_of(keys, cookie), body) for _ in range(REQUESTS)]

    def callbacks() -> list[Call]:
        return [
            ("GET", setuid(keys, known[number % PARTNERS]), headers_of(keys), b"")
            for number in range(REQUESTS)
        ]

    return {
        "/cookie_sync, 8 of 40 offered": sync,
        "/cookie_sync, all 40 fresh": lambda: sync(fresh),
        "/setuid": callbacks,
    }


def setuid(keys: Keys, partner: Partner, *, visitor: bytes = b"") -> str:
    """Give the path by which a partner brings an id."""
    callback = Callback(
        visitor=visitor or mint_visitor(),  # type: ignore[arg-type]
        nonce=int.from_bytes(os.urandom(7)),
        expires_s=int(time.time()) + 3600,
    )
    token = make_callback(keys, partner.key, callback)
    uid = partner.ids.example
    return f"/setuid?bidder={partner.key}&t={token}&uid={uid}"


def serve_nothing(port: int, answers: Path) -> None:
    """Answer each route with bytes from memory."""
    known = msgspec.json.decode(answers.read_bytes(), type=dict[str, tuple[int, str]])
    made = {
        path: (status, [(b"content-length", str(len(body)).encode())], body.encode())
        for path, (status, body) in known.items()
    }

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        while (await receive()).get("more_body"):
            pass
        status, headers, body = made[scope["path"]]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    config = uvicorn.Config(app, port=port, log_config=None, access_log=False, lifespan="off")
    asyncio.run(uvicorn.Server(config).serve())


def main() -> None:
    """Measure, print, and write the row when asked."""
    with tempfile.TemporaryDirectory() as name:
        data = Path(name)
        known = partners()
        prepare_config(data)
        keys = Keys.load_or_create(data / "keys.toml")
        state = TagState(
            published_s=int(time.time()),
            sites=(SITE,),
            partners=known,
            callback_base="https://t.shop.example",
        )
        write_tag_state(data / "tag-state", state)
        figures = _contest(data, keys, known)
    text = "; ".join(figures)
    print(text)
    if "--row" in sys.argv:
        write_row(__file__, text)


def _contest(data: Path, keys: Keys, known: tuple[Partner, ...]) -> list[str]:
    port, other = free_port(), free_port()
    command = [sys.executable, "-m", "service.cli", "serve", "--role", "tag", "--tag-port"]
    ours = Server([*command, str(port)], port, {"JUMELLE_DATA": str(data)})
    makers = kinds(keys, known)
    try:
        samples = {name: answered(ours, make()[:1])[1][0] for name, make in makers.items()}
        bodies = {
            "/cookie_sync": (200, samples["/cookie_sync, 8 of 40 offered"].body.decode()),
            "/setuid": (200, "x" * len(samples["/setuid"].body)),
        }
        answers = data / "answers.json"
        answers.write_bytes(msgspec.json.encode(bodies))
        own = [sys.executable, __file__, "nothing", str(other), str(answers)]
        nothing = Server(own, other, {})
        try:
            figures = [_compare(name, make, ours, nothing) for name, make in makers.items()]
        finally:
            nothing.stop()
        return [*figures, _parallel(ours, data, keys, known)]
    finally:
        ours.stop()


def _compare(name: str, make: Callable[[], list[Call]], ours: Server, nothing: Server) -> str:
    ratios, rates = [], []
    for _ in range(ROUNDS):
        calls = make()
        empty, _ = answered(nothing, calls)
        spent, found = answered(ours, calls)
        wrong = [each.status for each in found if each.status != 200]
        assert not wrong, wrong[:3]
        ratios.append(empty / spent)
        rates.append(len(calls) / spent)
    rate, ratio = statistics.median(rates), statistics.median(ratios)
    return f"{name}: {rate:,.0f} per CPU second, {ratio:.2f} of answering nothing"


def _parallel(ours: Server, data: Path, keys: Keys, known: tuple[Partner, ...]) -> str:
    """Let one browser bring a hundred ids at once."""
    before, visitor = _spooled(data), mint_visitor()
    headers = headers_of(keys)
    calls: list[Call] = [
        ("GET", setuid(keys, known[number % PARTNERS], visitor=visitor), headers, b"")
        for number in range(PARALLEL)
    ]
    answers: list[int] = []

    async def send(connections: Connections, call: Call) -> None:
        answers.append((await connections.request("GET", ours.url + call[1], call[2])).status)

    run_all(calls, send, PARALLEL, lambda _: None)
    time.sleep(1.5)
    kept = _spooled(data) - before
    assert (answers, kept) == ([200] * PARALLEL, PARALLEL), (answers, kept)
    return f"{PARALLEL} parallel /setuid of one browser: {kept} kept"


def _spooled(data: Path) -> int:
    files = [each for each in (data / "spool").glob("*/*") if each.suffix in {".chunk", ".open"}]
    return sum(map(count_records, files))


if __name__ == "__main__":
    if "nothing" in sys.argv:
        serve_nothing(int(sys.argv[2]), Path(sys.argv[3]))
    else:
        main()
