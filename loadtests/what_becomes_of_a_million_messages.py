"""What becomes of a million messages? Every one is accounted for, good or bad.

Sends a mixed load over HTTP to a `serve` child on loopback, every kind of bad input in known
numbers; then prints the balance (exact, or it fails), the tables' counts, memory over time and what
the data directory weighs, and writes its row into README.md. Run: `uv run python loadtests/THIS`.
"""

import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
from readme_row import write_row

from service.demo.connections import Connections, run_all
from service.engine.clickhouse import ClickHouse
from service.tag.tokens import Keys
from service.tag.visitor_cookie import write_opt_out

TOTAL: Final = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
A_BATCH: Final = 500
SECONDS_MAX: Final = 480
BROWSERS: Final = 150_000
PEOPLE_AGENT: Final = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
BOT_AGENT: Final = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
ADMIN_KEY: Final = "jk_" + secrets.token_urlsafe(24)
SERVER_KEY: Final = secrets.token_urlsafe(24)
SHARES: Final = {
    # kind: share of all messages
    "server": 0.05,
    "duplicate": 0.03,
    "malformed": 0.01,
    "unreadable_time": 0.01,
    "wrong_clock": 0.01,
    "too_large": 0.0001,
    "no_consent": 0.02,
    "opted_out": 0.01,
    "bot": 0.01,
    "single": 0.01,
}
WRONG_KEYS: Final = 1_000
"""Requests with a key of no site, each counted once."""
encode: Final = msgspec.json.encode


class Load(msgspec.Struct):
    """One request: its path, headers and body, and how many messages it holds."""

    kind: str
    path: str
    headers: str
    body: bytes
    messages: int


def message(number: int, kind: str) -> dict[str, Any]:
    """Make one message of a kind; its number names it."""
    made: dict[str, Any] = {
        "type": "page",
        "messageId": f"{kind}-{number}",
        "anonymousId": f"b{number * 7919 % BROWSERS}",
        "properties": {"url": f"https://shop.example/{number % 997}", "title": "Bikes and more"},
        "context": {"library": {"name": "analytics.js"}},
    }
    if number % 5 == 0:
        line = {"product_id": f"p{number % 500}", "category": "cycling", "price": 9, "quantity": 1}
        made |= {"type": "track", "event": "Product Viewed", "properties": {"products": [line]}}
    if kind == "server":
        line = {"product_id": f"p{number % 500}", "category": "cycling", "price": 9, "quantity": 2}
        order = {"order_id": f"o{number}", "total": 18, "currency": "USD", "products": [line]}
        made |= {"type": "track", "event": "Order Completed", "properties": order}
        made |= {"userId": f"customer {number % 40_000}"}
        del made["anonymousId"]
    elif kind == "malformed":
        made |= {"type": "no such type"}
    elif kind == "unreadable_time":
        made |= {"timestamp": "yesterday"}
    elif kind == "wrong_clock":
        made |= {"timestamp": "2011-01-01T00:00:00Z"}
    elif kind == "too_large":
        made |= {"properties": {"text": "x" * 33_000}}
    elif kind == "no_consent":
        made["context"]["consent"] = {"explicit": {"store": False}}
        del made["anonymousId"]
    elif kind == "bot":
        del made["context"]
    return made


def numbers() -> dict[str, int]:
    """Say how many messages of each kind are sent; the rest is good."""
    found = {kind: int(TOTAL * share) for kind, share in SHARES.items()}
    return {"good": TOTAL - sum(found.values()), **found}


def loads(keys: Keys) -> Iterator[Load]:
    """Make all requests, the kinds mixed."""
    opted_out = write_opt_out(keys, now_s=int(time.time()))
    kinds = {kind: iter(range(count)) for kind, count in numbers().items()}
    while kinds:
        for kind in list(kinds):
            size = {"single": 1, "too_large": 10}.get(kind, A_BATCH)
            repeat = {"good": 12, "single": 80}.get(kind, 1)
            for _ in range(repeat):
                some = list(islice(kinds[kind], size))
                if not some:
                    kinds.pop(kind, None)
                    break
                yield _load(kind, some, opted_out)
    for number in range(WRONG_KEYS):
        body = encode({"batch": [message(number, "wrong_key")]})
        yield Load("wrong_key", "/v1/batch", headers("of nobody"), body, 1)


def _load(kind: str, some: list[int], opted_out: str) -> Load:
    # Why the good ones again: a duplicate is a message that was sent before, here or soon.
    named = "good" if kind == "duplicate" else kind
    batch = [message(number, named) for number in some]
    head = headers(SERVER_KEY if kind == "server" else "demo", kind, opted_out)
    if kind == "single":
        return Load(kind, f"/v1/{batch[0]['type']}", head, encode(batch[0]), 1)
    return Load(kind, "/v1/batch", head, encode({"batch": batch}), len(batch))


def headers(key: str, kind: str = "", opted_out: str = "") -> str:
    """Give a request's header lines."""
    agent = BOT_AGENT if kind == "bot" else PEOPLE_AGENT
    lines = [f"Authorization: Basic {b64encode(f'{key}:'.encode()).decode()}"]
    lines += [f"User-Agent: {agent}", "Content-Type: application/json"]
    if kind == "opted_out":
        lines.append(f"Cookie: jml_out={opted_out}")
    return "".join(f"{line}\r\n" for line in lines)


class Service:
    """The `serve` child, watched."""

    def __init__(self, data: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        environment = os.environ | {
            "JUMELLE_DATA": str(data),
            "JUMELLE_ADMIN_KEY": ADMIN_KEY,
            "JUMELLE_DEMO_SERVER_KEY": SERVER_KEY,
        }
        command = [sys.executable, "-m", "service.cli", "serve", "--port", str(port)]
        self.log = (data / "log").open("wb")
        self.child = subprocess.Popen(command, env=environment, stderr=self.log)
        self.memory: list[tuple[float, int]] = []
        self.begin = time.monotonic()
        self.stopped = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()
        for _ in range(600):
            try:
                if httpx.get(f"{self.url}/readyz").status_code == 200:
                    break
            except httpx.HTTPError:
                time.sleep(0.1)

    def _watch(self) -> None:
        while not self.stopped.wait(10):
            self.memory.append((time.monotonic() - self.begin, self.memory_mib()))

    def memory_mib(self) -> int:
        """Tell the child's resident memory."""
        text = Path(f"/proc/{self.child.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+)", text)
        return int(found[1]) // 1024 if found else 0

    def cpu_s(self) -> float:
        """Tell the child's CPU seconds."""
        parts = Path(f"/proc/{self.child.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")

    def drain(self) -> None:
        """Load all that waits."""
        head = {"Authorization": f"Bearer {ADMIN_KEY}"}
        run = httpx.post(f"{self.url}/api/jobs/load/run", headers=head).json()["id"]
        for _ in range(3000):
            (job,) = httpx.get(f"{self.url}/api/jobs?run={run}", headers=head, timeout=60).json()[
                "jobs"
            ]
            if job["status"] in {"ok", "failed"}:
                assert job["status"] == "ok", job
                return
            time.sleep(0.1)

    def stop(self) -> None:
        """End it."""
        self.stopped.set()
        self.child.send_signal(signal.SIGTERM)
        assert self.child.wait(60) == 0
        self.log.close()


def send_all(url: str, keys: Keys) -> Counter[int]:
    """Send everything and count the answers."""
    answers: Counter[int] = Counter()

    async def send(connections: Connections, load: Load) -> None:
        answer = await connections.request("POST", url + load.path, load.headers, load.body)
        answers[answer.status] += 1

    run_all(loads(keys), send, 8, lambda _: None)
    return answers


def expected(sent: dict[str, int]) -> dict[str, Any]:
    """Say what must become of what was sent."""
    stored = sum(sent[kind] for kind in ("good", "server", "wrong_clock", "bot", "single"))
    dropped = {
        "malformed": sent["malformed"] + sent["unreadable_time"],
        "too_large": sent["too_large"],
        "no_consent": sent["no_consent"],
        "opted_out": sent["opted_out"],
        "unknown_key": WRONG_KEYS,
    }
    return {
        "received": TOTAL + WRONG_KEYS,
        "stored": stored,
        "bad": 0,
        "duplicates": sent["duplicate"],
        "dropped": dropped,
        "in_spool": 0,
        "off": 0,
    }


TABLES: Final = {
    "events": "select count() from events",
    "distinct messages": "select uniqExact(message_hash) from events",
    "distinct (chunk, row)": "select uniqExact(chunk, row) from events",
    "events_by_visitor": "select count() from events_by_visitor",
    "clocks corrected": "select countIf(bitAnd(flags, 1) != 0) from events",
    "bots": "select countIf(bitAnd(flags, 2) != 0) from events",
    "visitors": "select count() from visitors",
    "customers": "select uniqExact(customer) from customers",
    "chunks": "select count() from chunks",
}


def counts(data: Path) -> dict[str, int]:
    """Count the tables' rows once nobody has them open."""
    house = ClickHouse(data)
    found = {name: house.client().query(text).result_rows[0][0] for name, text in TABLES.items()}
    house.close()
    return found


def weights(data: Path) -> dict[str, str]:
    """Tell what each folder of the data directory weighs."""
    found = {}
    for folder in sorted(path for path in data.iterdir() if path.is_dir()):
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        found[folder.name] = f"{size / 2**20:.1f} MiB"
    return found


def main() -> None:
    """Run once and write the row."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        data.mkdir()
        service = Service(data)
        begin = time.monotonic()
        answers = send_all(service.url, Keys.load_or_create(data / "keys.toml"))
        sent_s = time.monotonic() - begin
        service.drain()
        all_s = time.monotonic() - begin
        ready = httpx.get(f"{service.url}/readyz", timeout=60).json()
        cpu_s, memory = service.cpu_s(), [*service.memory, (all_s, service.memory_mib())]
        service.stop()
        found, weight = counts(data), weights(data)
    sent = numbers()
    wanted = expected(sent)
    print("sent      ", json.dumps(sent), f"and {WRONG_KEYS} requests with a wrong key")
    print("answers   ", dict(sorted(answers.items())))
    print("balance   ", json.dumps({name: ready[name] for name in wanted}))
    print("tables    ", json.dumps(found))
    print("RSS (MiB) ", ", ".join(f"{at:.0f} s: {mib}" for at, mib in memory))
    print("data      ", json.dumps(weight))
    print(f"time       sent in {sent_s:.1f} s, all loaded after {all_s:.1f} s, {cpu_s:.1f} CPU s")
    assert {name: ready[name] for name in wanted} == wanted
    assert ready["problems"] == []
    for name in ("events", "distinct messages", "distinct (chunk, row)"):
        assert found[name] == wanted["stored"], name
    assert found["clocks corrected"] == sent["wrong_clock"]
    assert found["bots"] == sent["bot"]
    assert all_s < SECONDS_MAX
    _write_row(all_s, cpu_s, max(mib for _, mib in memory))


def _write_row(all_s: float, cpu_s: float, memory_mib: int) -> None:
    figure = (
        f"{TOTAL:,} messages, every one accounted for; {TOTAL / all_s:,.0f}/s from door to table, "
        f"{TOTAL / cpu_s:,.0f} per CPU second, RSS at most {memory_mib:,} MiB"
    )
    write_row(__file__, figure)


if __name__ == "__main__":
    main()
