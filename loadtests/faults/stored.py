"""Reads what the tables hold: how often each named message is there, whole or in part.

`read_stored` asks a process of its own, because one process can open one database only; run as a
program with a data directory (and a server's URL) this file is that process.
"""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Final

import msgspec
from faults.house import ROOT, House, Violation
from faults.messages import EVENT, properties_of

EVENTS: Final = "select properties from events where event = {event:String}"
COUNTS: Final = {
    "events": "select count() from events",
    "events, each once": "select uniqExact(chunk, row) from events",
    "owners of events": "select sum((visitor != 0) + (customer != 0)) from events",
    "events by visitor": "select count() from events_by_visitor",
    "events by visitor, each once": "select uniqExact(chunk, row, owner) from events_by_visitor",
    "events of both": "select countIf(visitor != 0 and customer != 0) from events",
    "identifications by events": "select countIf(method != 'click') from identifications",
    "identifications": "select count() from identifications",
    "identifications, each once": "select uniqExact(chunk, row) from identifications",
    "visitors": "select count() from visitors",
    "visitors, each once": "select uniqExact(ordinal) from visitors",
    "visitors' ids": "select uniqExact(id) from visitors",
    "stored by the ledger": "select sum(stored) from chunks",
    "bad": "select count() from bad_records",
    "bad by the ledger": "select sum(bad) from chunks",
    "chunks": "select count() from chunks",
    "chunks, each once": "select uniqExact(chunk) from chunks",
}
EQUAL: Final = (
    ("events", "events, each once"),
    ("owners of events", "events by visitor"),
    ("events by visitor", "events by visitor, each once"),
    ("events of both", "identifications by events"),
    ("identifications", "identifications, each once"),
    ("visitors", "visitors, each once"),
    ("visitors", "visitors' ids"),
    ("bad", "bad by the ledger"),
    ("chunks", "chunks, each once"),
)


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """What the tables hold."""

    times: dict[str, int]
    """How often each message is there."""
    partial: list[str]
    """What is there and is not what was sent."""
    counts: dict[str, int]

    @property
    def contradictions(self) -> list[str]:
        """Say where the tables do not agree with each other."""
        return [
            f"{left}: {self.counts[left]}, {right}: {self.counts[right]}"
            for left, right in EQUAL
            if self.counts[left] != self.counts[right]
        ]


def read_stored(house: House) -> Stored:
    """Read the tables of a data directory that no process has open."""
    url = house.environment.get("JUMELLE_CLICKHOUSE_URL", "")
    found = subprocess.run(
        [sys.executable, "-m", "faults.stored", str(house.data), url],
        cwd=ROOT,
        env=house.environment | {"PYTHONPATH": f"{ROOT}:{ROOT / 'loadtests'}"},
        capture_output=True,
        check=False,
    )
    if found.returncode:
        raise Violation(f"the tables cannot be read: {found.stderr.decode()[-400:]}")
    return msgspec.json.decode(found.stdout.splitlines()[-1], type=Stored)


def sorted_out(rows: list[str], counts: dict[str, int]) -> Stored:
    """Tell whole messages from others."""
    times: Counter[str] = Counter()
    partial = []
    for text in rows:
        try:
            held: Any = json.loads(text)
            name = held["name"]
        except (ValueError, KeyError, TypeError):
            partial.append(text[:80])
            continue
        times[name] += 1
        if held != properties_of(name):
            partial.append(name)
    return Stored(times=times, partial=partial, counts=counts)


def main() -> None:
    """Print what the tables hold as one line."""
    # Why here: only the process that reads may load the database.
    from service.engine.clickhouse import ClickHouse  # noqa: PLC0415

    opened = ClickHouse(Path(sys.argv[1]), url=sys.argv[2])
    client = opened.client()
    rows = client.query(EVENTS, parameters={"event": EVENT}).result_rows
    counts = {name: int(client.query(text).result_rows[0][0]) for name, text in COUNTS.items()}
    print(msgspec.json.encode(sorted_out([row[0] for row in rows], counts)).decode())
    opened.close()


if __name__ == "__main__":
    main()
