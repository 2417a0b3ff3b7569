"""The operator's tables: chunks, bad records, jobs, audit and API keys."""

import threading
import time
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import msgspec
from clickhouse_connect.driver.client import Client

from service.engine.chunk_rows import BadRow
from service.engine.sql import sql
from service.tag.record import Record


class JobRow(msgspec.Struct, frozen=True, kw_only=True):
    """One state of one run of background work."""

    run: int
    job: str
    status: str
    detail: str
    at_us: int


class LedgerRow(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a chunk's records."""

    stored: int
    bad: int
    dropped: Counter[str]


class BadRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A record that was set aside, with its whole bytes."""

    chunk: int
    row: int
    received_ms: int
    reason: str
    detail: str
    bytes: bytes
    replayed: bool

    @property
    def origin(self) -> str:
        """Name the record for ever: `CHUNK:ROW`."""
        return f"{self.chunk}:{self.row}"


class Tries(msgspec.Struct, frozen=True, kw_only=True):
    """A chunk's records without those tried again before; `again` maps origins to rows."""

    records: list[Record]
    again: dict[str, int]


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """One API key as it stands: its id, hash (SHA-256), scopes and sites; never the key itself."""

    id: str
    hash: str
    name: str
    scopes: tuple[str, ...]
    sites: tuple[str, ...] = ()
    revoked: bool = False


class AuditRow(msgspec.Struct, frozen=True, kw_only=True):
    """One act of an operator, chained to the one before by hash."""

    at_us: int
    actor: str
    act: str
    subject: str
    detail: str
    hash: str


class OperationStore:
    """Reads and writes the tables that the service itself owns."""

    def __init__(self, client: Client) -> None:
        self._client = client
        # Why: each row holds the hash of the one before, and people's cards are read side by side.
        self._audit_lock = threading.Lock()

    def next_chunk(self) -> int:
        """Give the first chunk number that no ledger row has."""
        return int(self._client.query(sql("newest_chunk")).result_rows[0][0]) + 1

    def ledger_row(self, chunk: int) -> LedgerRow | None:
        """Give what became of a chunk once it is wholly in the tables, else None."""
        rows = self._client.query(sql("ledger_row"), parameters={"chunk": chunk}).result_rows
        if not rows:
            return None
        stored, bad, dropped = rows[0]
        return LedgerRow(stored=stored, bad=bad, dropped=Counter(dropped))

    def put_chunk(self, chunk: int, *, name: str, records: int, row: LedgerRow) -> None:
        """Write a chunk's ledger row; the proof that nothing of it is missing."""
        at_ms = time.time_ns() // 1_000_000
        line = [chunk, name, records, row.stored, dict(row.dropped), row.bad, at_ms]
        columns = ["chunk", "name", "records", "stored", "dropped", "bad", "at"]
        self._client.insert("chunks", [line], column_names=columns)

    def put_bad(self, chunk: int, rows: Sequence[BadRow]) -> None:
        """Set bad records aside; rows that are there already are not doubled."""
        if not rows:
            return
        there = self.rows_of_chunk(chunk)
        fresh = [row for row in rows if row.row not in there]
        if not fresh:
            return
        data: list[list[Any]] = [
            [chunk, row.row, row.received_ms, row.reason, row.detail, row.bytes] for row in fresh
        ]
        columns = ["chunk", "row", "received_at", "reason", "detail", "bytes"]
        self._client.insert("bad_records", data, column_names=columns)

    def rows_of_chunk(self, chunk: int) -> set[int]:
        """Give the rows of a chunk that were set aside as bad."""
        found = self._client.query(sql("bad_rows_of_chunk"), parameters={"chunk": chunk})
        return {row for (row,) in found.result_rows}

    def bad_records(self, limit: int, *, only_untried: bool = False) -> list[BadRecord]:
        """List bad records, the newest first; those that were not tried again, oldest first."""
        name = "untried_bad_records" if only_untried else "bad_records"
        found = self._client.query(sql(name), parameters={"limit": limit})
        return [
            BadRecord(
                chunk=row[0],
                row=row[1],
                received_ms=row[2],
                reason=row[3],
                detail=row[4],
                bytes=bytes.fromhex(row[5]),
                replayed=bool(row[6]),
            )
            for row in found.result_rows
        ]

    def bad_naming(self, needles: Sequence[bytes]) -> list[tuple[str, bytes]]:
        """Give CHUNK:ROW and bytes of the bad records that hold one of these texts."""
        parameters = {"needles": [each.hex() for each in needles]}
        found = self._client.query(sql("bad_records_naming"), parameters=parameters)
        return [(origin, bytes.fromhex(content)) for origin, content in found.result_rows]

    def delete_bad(self, origins: Sequence[str]) -> None:
        """Delete bad records (CHUNK:ROW) for good."""
        self._client.command(sql("delete_bad_records"), parameters={"origins": list(origins)})

    def untried(self, chunk: int, records: list[Record]) -> Tries:
        """Leave out what an earlier chunk, or an earlier row of this one, already tried again."""
        origins = [each.meta.again for each in records if each.meta.again]
        if not origins:
            return Tries(records=records, again={})
        found = self._client.query(
            sql("replayed_before"), parameters={"chunk": chunk, "origins": origins}
        )
        done = {origin for (origin,) in found.result_rows}
        again: dict[str, int] = {}
        kept = []
        for record in records:
            origin = record.meta.again
            if origin and (origin in done or origin in again):
                continue
            if origin:
                again[origin] = record.row
            kept.append(record)
        return Tries(records=kept, again=again)

    def put_replayed(self, chunk: int, again: dict[str, int], *, doubtful: bool) -> None:
        """Note that these bad records were tried again, in which chunk and row."""
        if doubtful and again:
            found = self._client.query(sql("replays_of_chunk"), parameters={"chunk": chunk})
            again = {key: row for key, row in again.items() if (row,) not in found.result_rows}
        if not again:
            return
        data = [[key, chunk, row, time.time_ns() // 1_000_000] for key, row in again.items()]
        self._client.insert("bad_replays", data, column_names=["origin", "chunk", "row", "at"])

    def put_job(self, run: int, job: str, status: str, detail: str = "") -> None:
        """Write a state of a run."""
        row = [run, job, status, detail, time.time_ns() // 1000]
        columns = ["run", "job", "status", "detail", "at"]
        self._client.insert("jobs", [row], column_names=columns)

    def jobs(self, *, run: int = 0, limit: int = 100) -> list[JobRow]:
        """Give the newest state of each run; `run` picks one."""
        found = self._client.query(sql("jobs"), parameters={"run": run, "limit": limit})
        return [
            JobRow(run=row[0], job=row[1], status=row[2], detail=row[3], at_us=row[4])
            for row in found.result_rows
        ]

    def put_audit(self, actor: str, act: str, subject: str, detail: str) -> None:
        """Append to the audit log; each row's hash covers the row before."""
        with self._audit_lock:
            found = self._client.query(sql("newest_audit_hash")).result_rows
            before = found[0][0] if found else ""
            at_us = time.time_ns() // 1000
            text = "\n".join([before, str(at_us), actor, act, subject, detail])
            row = [at_us, actor, act, subject, detail, sha256(text.encode()).hexdigest()]
            columns = ["at", "actor", "act", "subject", "detail", "hash"]
            self._client.insert("audit", [row], column_names=columns)

    def audit(self, limit: int, *, acts: Sequence[str] = ()) -> list[AuditRow]:
        """List the newest acts, all or those of some kinds."""
        parameters = {"limit": limit, "acts": list(acts)}
        found = self._client.query(sql("audit"), parameters=parameters)
        return [
            AuditRow(
                at_us=row[0], actor=row[1], act=row[2], subject=row[3], detail=row[4], hash=row[5]
            )
            for row in found.result_rows
        ]

    def put_key(self, key: ApiKey) -> None:
        """Write an API key, or its end."""
        row = [
            key.id,
            key.hash,
            key.name,
            list(key.scopes),
            list(key.sites),
            int(key.revoked),
            time.time_ns() // 1000,
        ]
        columns = ["id", "hash", "name", "scopes", "sites", "revoked", "at"]
        self._client.insert("api_keys", [row], column_names=columns)

    def api_keys(self) -> list[ApiKey]:
        """List every API key as it stands, revoked ones too."""
        return [
            ApiKey(
                id=row[0],
                hash=row[1],
                name=row[2],
                scopes=tuple(row[3]),
                sites=tuple(row[4]),
                revoked=bool(row[5]),
            )
            for row in self._client.query(sql("api_keys")).result_rows
        ]
