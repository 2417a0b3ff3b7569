"""Prometheus metrics and the balance of every record: received = stored + dropped + bad + waiting.

Counters live for one boot of the process; labels are closed enums, never ids or addresses. What
waits is counted in the files that are there, so a file that vanished or was loaded twice shows.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable
from enum import StrEnum
from typing import Final

import msgspec
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client import Counter as Metric

from matching.consent.decision import Decision

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
BALANCE_OFF: Final = Gauge(
    "jumelle_balance_off",
    "Records received but neither accounted for nor in the spool; negative: counted twice",
    registry=REGISTRY,
)
QUARANTINED: Final = Gauge(
    "jumelle_quarantined_chunks",
    "Damaged chunks of which bytes are set aside",
    registry=REGISTRY,
)
CONSENT_DECISIONS: Final = Metric(
    "jumelle_consent_decisions",
    "Consent decisions taken, by the signal that decided and why; what was said alike to one site "
    "is decided once",
    ["signal", "decision", "reason"],
    registry=REGISTRY,
)
DATABASE_FREE: Final = Gauge(
    "jumelle_database_disk_free_bytes",
    "Free bytes on the embedded database's disk; below its reserve nothing is loaded",
    registry=REGISTRY,
)
TICK_SECONDS: Final = Gauge(
    "jumelle_tick_seconds", "Time of the last engine tick", registry=REGISTRY
)


AUDITS_MAX: Final = 8
AUDIT_PAUSE_S: Final = 0.02


class BalanceOf(StrEnum):
    """Which part of a record's way the balance of a process covers."""

    ALL = "door to database: this process receives and loads"
    LOADS = "loads: chunks of all tag processes count as received when they are claimed"
    DOOR = "door: what this tag process received; the engine's balance covers its loading"


class BalanceSheet(msgspec.Struct, frozen=True, kw_only=True):
    """The balance at one moment; `off` counts records that are missing, or negative, doubled."""

    received: int
    stored: int
    bad: int
    duplicates: int
    dropped: dict[str, int]
    in_spool: int
    handed_over: int = 0
    off: int = 0

    @property
    def holds(self) -> bool:
        """Tell whether every received record is accounted for."""
        known = self.stored + self.bad + self.duplicates + sum(self.dropped.values())
        return self.received == known + self.in_spool + self.handed_over


class Balance:
    """Counts records from the door to the database, in one process."""

    def __init__(self, of: BalanceOf = BalanceOf.ALL) -> None:
        self.of = of
        self._off = 0
        self._lock = threading.Lock()
        self._received = 0
        self._waiting = 0
        self._stored = 0
        self._bad = 0
        self._duplicates = 0
        self._dropped: Counter[str] = Counter()

    def received(self, *, kept: int, dropped: Counter[str]) -> None:
        """Count what one request brought."""
        lost = dropped.total() if dropped else 0
        with self._lock:
            self._received += kept + lost
            self._waiting += kept
            if lost:
                self._dropped.update(dropped)
        RECEIVED.inc(kept + lost)
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

    def audit(self, in_spool: Callable[[], int]) -> int:
        """Compare with the records that are there, and give by how many it is off.

        Why more than once: records arrive and are loaded while the files are counted, so only a
        difference that stays is one.
        """
        before_that: int | None = None
        for _ in range(AUDITS_MAX):
            expected, found = self._waiting, in_spool()
            if expected == self._waiting:
                off = expected - found
                if off in {0, before_that}:
                    self._off = off
                    BALANCE_OFF.set(off)
                    break
                before_that = off
            time.sleep(AUDIT_PAUSE_S)
        return self._off

    def sheet(self, *, in_spool: int | None = None) -> BalanceSheet:
        """Give the balance as the last audit left it; a tag process says what waits in its part."""
        with self._lock:
            waits = self._waiting - self._off if in_spool is None else in_spool
            return BalanceSheet(
                received=self._received,
                stored=self._stored,
                bad=self._bad,
                duplicates=self._duplicates,
                dropped=dict(self._dropped),
                in_spool=waits,
                handed_over=0 if in_spool is None else self._waiting - in_spool,
                off=self._off,
            )


def count_decision(decision: Decision) -> None:
    """Count one decision about consent."""
    answer = "allowed" if decision.allowed else "denied"
    CONSENT_DECISIONS.labels(decision.signal, answer, decision.reason).inc()


def exposition() -> bytes:
    """Give all metrics in Prometheus' text format."""
    return generate_latest(REGISTRY)
