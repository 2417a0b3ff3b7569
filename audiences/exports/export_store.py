"""What the database knows about seats: activations, runs with their reports, what each seat holds.

The state of a seat is that of its newest published run. Ids of the erased are frozen as texts until
a published run has sent their removal. Nothing here decides or writes files.
"""

import datetime as dt
import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any

from clickhouse_connect.driver.client import Client
from pyroaring import BitMap

from audiences.bitmap_states import decode_state
from audiences.exports.held_rows import HELD_COLUMNS, held_row
from audiences.exports.ledger import Days
from audiences.exports.seat_state import (
    PREPARED,
    Activation,
    ExportRow,
    FrozenRemoval,
    Held,
    HeldIds,
    IdText,
)
from audiences.sql import sql

__all__ = [
    "Activation",
    "ExportRow",
    "ExportStore",
    "FrozenRemoval",
    "Held",
    "HeldIds",
    "IdText",
    "SegmentTaken",
]


class SegmentTaken(Exception):
    """Another audience already fills this segment of the seat."""


class ExportStore:
    """Runs every query on `activations`, `exports` and `ledger`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def put_activation(self, activation: Activation) -> None:
        """Put an audience on a seat, or change how."""
        for other in self.activations(activation.seat):
            if other.segment == activation.segment and other.audience != activation.audience:
                raise SegmentTaken(
                    f"segment {activation.segment!r} of seat {activation.seat!r} is filled by "
                    f"audience {other.audience!r}; use another segment or remove that activation"
                )
        self._insert_activation(activation, active=1)

    def remove_activation(self, seat: str, audience: str) -> bool:
        """Take an audience off a seat; its ids leave with the next export."""
        found = [each for each in self.activations(seat) if each.audience == audience]
        for each in found:
            self._insert_activation(each, active=0)
        return bool(found)

    def activations(self, seat: str = "") -> list[Activation]:
        """List what is active on one seat, or on all."""
        rows = self._rows("export_activations", seat=seat)
        return [
            Activation(
                seat=key,
                audience=audience,
                segment=segment,
                expires_days=days,
                holdout_percent=percent,
            )
            for key, audience, segment, days, percent in rows
        ]

    def put_hold(self, seat: str, reason: str) -> None:
        """Hold a seat: only removals go to it until `lift_hold`."""
        self._insert_hold(seat, reason)

    def lift_hold(self, seat: str) -> bool:
        """Let everything go to a seat again, and say whether it was held."""
        was_held = bool(self.hold(seat))
        if was_held:
            self._insert_hold(seat, "")
        return was_held

    def hold(self, seat: str) -> str:
        """Say why a seat is held, or nothing."""
        found = self._rows("export_hold", seat=seat)
        return str(found[0][0]) if found else ""

    def put_export(self, row: ExportRow) -> None:
        """Note that a run reached a state."""
        names = ["run", "seat", "status", "report", "removals", "at"]
        values = [row.run, row.seat, row.status, row.report, list(row.removals), _now_us()]
        self._client.insert("exports", [values], column_names=names)

    def exports(self, *, run: int = 0, limit: int = 100) -> list[ExportRow]:
        """List where runs stand, the newest first; `run` 0 means all."""
        return [
            ExportRow(run=number, seat=seat, status=status, report=report, at_ms=at_ms)
            for number, seat, status, report, at_ms in self._rows(
                "export_rows", run=run, limit=limit
            )
        ]

    def published_run(self, seat: str) -> int:
        """Give the newest published run of a seat, 0 without any."""
        return int(self._rows("export_published", seat=seat)[0][0])

    def prepared(self, seat: str) -> list[ExportRow]:
        """List the runs that were cut short between writing and publishing."""
        rows = self._rows("export_prepared", seat=seat, published=self.published_run(seat))
        return [
            ExportRow(run=run, seat=seat, status=PREPARED, report=report, removals=tuple(removals))
            for run, report, removals in rows
        ]

    def held(self, seat: str) -> Held:
        """Give what a seat holds: the state of its newest published run."""
        run = self.published_run(seat)
        days: dict[str, dict[dt.date, BitMap]] = {}
        expires_days: dict[str, int] = {}
        for segment, day, lifetime, state in self._rows("export_held", seat=seat, run=run):
            days.setdefault(segment, {})[day] = decode_state(bytes.fromhex(state))[0]
            expires_days[segment] = max(lifetime, expires_days.get(segment, 0))
        return Held(run=run, days=days, expires_days=expires_days)

    def put_held(
        self, seat: str, run: int, days: Mapping[str, Days], expires_days: Mapping[str, int]
    ) -> None:
        """Write the state that a run leads to; it counts once the run is published."""
        if self._rows("export_held_rows", seat=seat, run=run)[0][0]:
            parameters = {"seat": seat, "run": run}
            self._client.command(sql("export_forget_run"), parameters=parameters)
        now_us = _now_us()
        rows = [
            held_row(seat, run, segment, day, expires_days.get(segment, 0), ids, now_us)
            for segment, by_day in days.items()
            for day, ids in by_day.items()
        ]
        if rows:
            self._client.raw_insert("ledger", HELD_COLUMNS, b"".join(rows), fmt="RowBinary")

    def held_ids_of(self, id_ordinals: Sequence[int]) -> list[HeldIds]:
        """Tell which seats hold any of these ids, in which segment and since when."""
        if not id_ordinals:
            return []
        return [
            HeldIds(seat=seat, segment=segment, sent_on=day, id_ordinals=tuple(found))
            for seat, segment, day, found in self._rows("export_held_ids", ids=list(id_ordinals))
        ]

    def freeze_removals(self, seat: str, segment: str, ids: Sequence[IdText]) -> None:
        """Keep ids of the erased with their texts until a published run has removed them.

        Called before the texts are wiped and while no export of the seat runs.
        """
        names = ["seat", "run", "kind", "segment", "removal", "removals", "at"]
        texts = [(each.id_space, each.id, each.id_ordinal) for each in ids]
        values = [seat, 0, "removal", segment, secrets.randbits(63), texts, _now_us()]
        self._client.insert("ledger", [values], column_names=names)

    def frozen_removals(self, seat: str) -> list[FrozenRemoval]:
        """List the frozen removals that no published run has sent."""
        return [
            FrozenRemoval(
                removal=removal, segment=segment, ids=tuple(_id_text(each) for each in ids)
            )
            for removal, segment, ids in self._rows("export_removals", seat=seat)
        ]

    def prune(self, seat: str) -> None:
        """Drop the states that no later run reads, and removals that were sent."""
        parameters = {"seat": seat, "published": self.published_run(seat)}
        self._client.command(sql("export_prune"), parameters=parameters)

    def _insert_activation(self, activation: Activation, *, active: int) -> None:
        names = ["seat", "audience", "segment", "expires_days", "holdout_percent", "active", "at"]
        values = [
            activation.seat,
            activation.audience,
            activation.segment,
            activation.expires_days,
            activation.holdout_percent,
            active,
            _now_us(),
        ]
        self._client.insert("activations", [values], column_names=names)

    def _insert_hold(self, seat: str, reason: str) -> None:
        row = [seat, reason, _now_us()]
        self._client.insert("seat_holds", [row], column_names=["seat", "reason", "at"])

    def _rows(self, name: str, **parameters: Any) -> Sequence[Sequence[Any]]:
        return self._client.query(sql(name), parameters=parameters).result_rows


def _id_text(found: Any) -> IdText:
    id_space, text, ordinal = found.values() if isinstance(found, dict) else found
    return IdText(id_space=id_space, id=text, id_ordinal=ordinal)


def _now_us() -> int:
    return time.time_ns() // 1000
