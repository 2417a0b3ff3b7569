"""The operator's tables: chunks, bad records, jobs, audit and API keys."""

import time
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256

import msgspec
from clickhouse_connect.driver.client import Client

from service.engine.chunk_rows import BadRow
from service.engine.sql import sql


class JobRow(msgspec.Struct, frozen=True, kw_only=True):
    """One state of one run of background work."""

    run: int
    job: str
    status: str
    detail: str
    at_us: int


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

    def next_chunk(self) -> int:
        """Give the first chunk number that no ledger row has."""
        return int(self._client.query(sql("newest_chunk")).result_rows[0][0]) + 1

    def is_loaded(self, chunk: int) -> bool:
        """Tell whether a chunk is wholly in the tables."""
        rows = self._client.query(sql("chunk_is_loaded"), parameters={"chunk": chunk}).result_rows
        return bool(rows[0][0])

    def put_chunk(
        self, chunk: int, *, name: str, records: int, stored: int, dropped: Counter[str], bad: int
    ) -> None:
        """Write a chunk's ledger row; the proof that nothing of it is missing."""
        row = [chunk, name, records, stored, dict(dropped), bad, time.time_ns() // 1_000_000]
        columns = ["chunk", "name", "records", "stored", "dropped", "bad", "at"]
        self._client.insert("chunks", [row], column_names=columns)

    def put_bad(self, chunk: int, rows: Sequence[BadRow]) -> None:
        """Set bad records aside; rows that are there already are not doubled."""
        there = self.rows_of_chunk(chunk)
        fresh = [row for row in rows if row.row not in there]
        if not fresh:
            return
        data = [
            [chunk, row.row, row.received_ms, row.reason, row.detail, row.bytes] for row in fresh
        ]
        columns = ["chunk", "row", "received_at", "reason", "detail", "bytes"]
        self._client.insert("bad_records", data, column_names=columns)

    def rows_of_chunk(self, chunk: int) -> set[int]:
        """Give the rows of a chunk that were set aside as bad."""
        found = self._client.query(sql("bad_rows_of_chunk"), parameters={"chunk": chunk})
        return {row for (row,) in found.result_rows}

    def bad_records(self, limit: int) -> list[dict[str, object]]:
        """List the newest bad records."""
        found = self._client.query(sql("bad_records"), parameters={"limit": limit})
        return [dict(zip(found.column_names, row, strict=True)) for row in found.result_rows]

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
        found = self._client.query(sql("newest_audit_hash")).result_rows
        before = found[0][0] if found else ""
        at_us = time.time_ns() // 1000
        text = "\n".join([before, str(at_us), actor, act, subject, detail])
        row = [at_us, actor, act, subject, detail, sha256(text.encode()).hexdigest()]
        columns = ["at", "actor", "act", "subject", "detail", "hash"]
        self._client.insert("audit", [row], column_names=columns)

    def audit(self, limit: int) -> list[AuditRow]:
        """List the newest acts."""
        found = self._client.query(sql("audit"), parameters={"limit": limit})
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
