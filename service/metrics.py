"""Prometheus metrics and the balance of every record: received = stored + dropped + bad + waiting.

Counters live for one boot of the process; labels are closed enums, never ids or addresses.
"""

import threading
from collections import Counter
from typing import Final

import msgspec
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client import Counter as Metric

REGISTRY: Final = CollectorRegistry()

RECEIVED: Final = Metric(
    "jumelle_received", "Records that reached the tag endpoint", registry=REGISTRY
)
DROPPED: Final = Metric(
    "jumelle_dropped", "Records not kept, by reason", ["reason"], registry=REGISTRY
)
STORED: Final = Metric("jumelle_stored", "Records loaded into ClickHouse", registry=REGISTRY)
BAD: Final = Metric("jumelle_bad", "Records set aside as bad", registry=REGISTRY)
TAG_STATE_AGE: Final = Gauge(
    "jumelle_tag_state_age_seconds", "Age of the published tag state", registry=REGISTRY
)
SPOOL_BYTES: Final = Gauge("jumelle_spool_bytes", "Bytes waiting in the spool", registry=REGISTRY)
TICK_SECONDS: Final = Gauge(
    "jumelle_tick_seconds", "Time of the last engine tick", registry=REGISTRY
)


class BalanceSheet(msgspec.Struct, frozen=True, kw_only=True):
    """The balance at one moment."""

    received: int
    stored: int
    bad: int
    duplicates: int
    dropped: dict[str, int]
    in_spool: int

    @property
    def holds(self) -> bool:
        """Tell whether every received record is accounted for."""
        known = self.stored + self.bad + self.duplicates + sum(self.dropped.values())
        return self.received == known + self.in_spool


class Balance:
    """Counts records from the door to the database, in one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._received = 0
        self._waiting = 0
        self._stored = 0
        self._bad = 0
        self._duplicates = 0
        self._dropped: Counter[str] = Counter()

    def received(self, *, kept: int, dropped: Counter[str]) -> None:
        """Count what one request brought."""
        with self._lock:
            self._received += kept + dropped.total()
            self._waiting += kept
            self._dropped.update(dropped)
        RECEIVED.inc(kept + dropped.total())
        for reason, count in dropped.items():
            DROPPED.labels(reason).inc(count)

    def found(self, records: int) -> None:
        """Count records of an earlier boot or another process that wait in the spool."""
        with self._lock:
            self._received += records
            self._waiting += records
        RECEIVED.inc(records)

    def loaded(self, *, stored: int, bad: int, dropped: Counter[str]) -> None:
        """Count what became of one chunk."""
        duplicates = dropped.pop("duplicate", 0)
        with self._lock:
            self._waiting -= stored + bad + dropped.total() + duplicates
            self._stored += stored
            self._bad += bad
            self._duplicates += duplicates
            self._dropped.update(dropped)
        STORED.inc(stored)
        BAD.inc(bad)
        for reason, count in (*dropped.items(), ("duplicate", duplicates)):
            DROPPED.labels(reason).inc(count)

    def sheet(self) -> BalanceSheet:
        """Give the balance as it stands."""
        with self._lock:
            return BalanceSheet(
                received=self._received,
                stored=self._stored,
                bad=self._bad,
                duplicates=self._duplicates,
                dropped=dict(self._dropped),
                in_spool=self._waiting,
            )


def exposition() -> bytes:
    """Give all metrics in Prometheus' text format."""
    return generate_latest(REGISTRY)
