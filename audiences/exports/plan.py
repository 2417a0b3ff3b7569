"""What an export will do to a seat, before a byte is written.

In go the seat, its activations, what it holds and who may be sent; out comes the plan: changes by
segment, a report of each, and why anything waits. Nothing here touches files or the database.
"""

import datetime as dt
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from pyroaring import BitMap

from audiences.exports.alarm import alarms
from audiences.exports.formats.choose import takes_plain, writer_of
from audiences.exports.formats.rows import UnwritableRow
from audiences.exports.id_rows import Opened, Texts
from audiences.exports.ledger import Changes, diff, everything
from audiences.exports.report import SegmentReport, SegmentStatus
from audiences.exports.seat import Mode, Removal, Seat
from audiences.exports.seat_state import Activation, Asked, FrozenRemoval, Held
from audiences.exports.wanted import Wanted, Who
from matching.bitmaps import bitmap_of


class Before(msgspec.Struct, frozen=True, kw_only=True):
    """Where a seat stands before a run."""

    held: Held
    frozen: Sequence[FrozenRemoval]
    hold: str = ""
    """Why only removals may go to it; empty = nothing forbids more."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The changes of one run and what they are about."""

    mode: Mode
    changes: Changes
    expires_days: dict[str, int]
    segments: list[SegmentReport]
    refused_ids: int
    waits: list[str]
    """Why not everything goes out; empty = everything does."""


def plan_export(
    seat: Seat,
    *,
    activations: Sequence[Activation],
    who: Who,
    texts: Texts,
    opened: Opened,
    before: Before,
    today: dt.date,
    asked: Asked,
) -> Plan:
    """Decide for each segment who enters, stays and leaves."""
    _check_segments(seat, activations)
    wanted = Wanted(seat, who, before.held, is_resent=asked.resend)
    for activation in activations:
        wanted.put(activation)
    wanted.keep_unbuilt()
    refused = _refused_ids(seat, texts, opened, _new_ids(wanted.ids, before.held))
    forced, denied = _forced(seat, texts, before.frozen)
    run = _Comparison(seat, before.held, wanted, today, forced, denied)
    ids = {segment: each - refused for segment, each in wanted.ids.items()}
    mode = Mode.FULL if asked.resend else _mode_of(seat, before.held)
    changes = run.changes(ids, mode=mode, no_adds=wanted.below)
    waits = alarms(seat, changes, before.held.days, filled=wanted.ids)
    no_adds = wanted.below
    if before.hold and not asked.release:
        waits = [f"the seat is on hold: {before.hold}"]
        mode, no_adds = run.quiet_mode, run.segments
        changes = run.removals(ids)
    elif waits and not asked.release and not asked.dry_run:
        mode, no_adds = run.quiet_mode, run.segments
        changes = run.removals({each: wanted.kept(each) for each in before.held.days})
    return Plan(
        mode=mode,
        changes=changes,
        expires_days=run.lifetimes(no_adds),
        segments=_segments(wanted.segments, changes),
        refused_ids=len(refused),
        waits=[] if asked.release else waits,
    )


class _Comparison:
    """Compares what a seat holds with what it should hold, one wish or another."""

    def __init__(
        self,
        seat: Seat,
        held: Held,
        wanted: Wanted,
        today: dt.date,
        forced: Mapping[str, BitMap],
        denied: Mapping[str, BitMap],
    ) -> None:
        self.segments = {*held.days, *wanted.ids}
        self._lifetimes = {each.segment: each.expires_days for each in wanted.segments}
        self._is_replaced = seat.membership.removal is Removal.REPLACE
        self._is_by_segment = "segment" in seat.file.per
        self._refresh_before_days = seat.membership.refresh_before_days
        self._held = held
        self._today = today
        self._forced = forced
        self._denied = denied

    @property
    def quiet_mode(self) -> Mode:
        """Name the mode of files that hold nothing but removals."""
        return Mode.FULL if self._is_replaced else Mode.DELTA

    def changes(
        self,
        wanted: Mapping[str, BitMap],
        *,
        mode: Mode,
        no_adds: set[str],
        rewrite: set[str] | None = None,
    ) -> Changes:
        """Compare; what the erased held leaves in any case."""
        sent_with = self._held.expires_days
        return diff(
            self._held.days,
            {each: ids - self._denied.get(each, BitMap()) for each, ids in wanted.items()},
            mode=mode,
            today=self._today,
            refresh_before_days=self._refresh_before_days,
            expires_days=self._lifetimes,
            forced_removals=self._forced,
            resend={each for each, days in self._lifetimes.items() if sent_with.get(each) != days},
            no_adds=no_adds,
            rewrite=rewrite or (),
        )

    def removals(self, wanted: Mapping[str, BitMap]) -> Changes:
        """Let ids only leave; where absence removes, all that stays is said again."""
        changes = self.changes(wanted, mode=self.quiet_mode, no_adds=self.segments)
        left = {segment for segment, ids in changes.removes.items() if ids}
        if not self._is_replaced or not left:
            return changes
        rewrite = left if self._is_by_segment else self.segments
        return self.changes(wanted, mode=self.quiet_mode, no_adds=self.segments, rewrite=rewrite)

    def lifetimes(self, no_adds: set[str]) -> dict[str, int]:
        """Give the lifetimes; what was not sent again keeps the one that it was sent with."""
        kept = {each: self._held.expires_days.get(each, 0) for each in no_adds}
        return self._lifetimes | kept


def _check_segments(seat: Seat, activations: Sequence[Activation]) -> None:
    writer = writer_of(seat)
    filled: dict[str, str] = {}
    for each in activations:
        if refused := writer.refused_segment(each.segment, seat):
            raise UnwritableRow(
                f"seat {seat.key}: segment {each.segment!r} of audience {each.audience} cannot be "
                f"written: {refused}; activate the audience with another segment"
            )
        if each.segment in filled:
            raise UnwritableRow(
                f"seat {seat.key}: segment {each.segment!r} is filled by {filled[each.segment]} "
                f"and {each.audience}; remove one of the activations"
            )
        filled[each.segment] = each.audience


def _new_ids(wanted: Mapping[str, BitMap], held: Held) -> BitMap:
    known = BitMap.union(BitMap(), *(everything(days) for days in held.days.values()))
    return BitMap.union(BitMap(), *wanted.values()) - known


def _refused_ids(seat: Seat, texts: Texts, opened: Opened, new: BitMap) -> BitMap:
    """Find new ids that the seat's format cannot say."""
    refused = BitMap()
    writer = writer_of(seat)
    for id_space in seat.id_spaces if new else ():
        looked_at = texts.odd if takes_plain(seat, id_space) else texts.pieces
        for some in looked_at(id_space, new):
            found = writer.refused_ids(opened(id_space, some.ids), seat, id_space)
            refused |= bitmap_of(some.id_ordinals[np.array(found, dtype=np.intp)])
    return refused


def _forced(
    seat: Seat, texts: Texts, frozen: Sequence[FrozenRemoval]
) -> tuple[dict[str, BitMap], dict[str, BitMap]]:
    """Give the frozen ids of each segment, and other ids of today that say the same text.

    The latter wait for the next run: a file never adds and removes one id in one segment.
    """
    forced: dict[str, BitMap] = {}
    denied: dict[str, BitMap] = {}
    for removal in frozen:
        ids = forced.setdefault(removal.segment, BitMap())
        same = denied.setdefault(removal.segment, BitMap())
        ids.update(each.id_ordinal for each in removal.ids)
        for id_space in seat.id_spaces:
            said = [each.id for each in removal.ids if each.id_space == id_space]
            same |= texts.ordinals_of(id_space, said)
    return forced, denied


def _mode_of(seat: Seat, held: Held) -> Mode:
    if seat.membership.mode is not Mode.FULL_FIRST_THEN_DELTA:
        return seat.membership.mode
    return Mode.DELTA if held.run else Mode.FULL


def _segments(active: Sequence[SegmentReport], changes: Changes) -> list[SegmentReport]:
    known = {each.segment for each in active}
    withdrawn = [
        SegmentReport(segment=segment, audience="", status=SegmentStatus.WITHDRAWN)
        for segment, gone in changes.removes.items()
        if segment not in known and gone
    ]
    return [
        msgspec.structs.replace(
            each,
            adds=len(changes.adds.get(each.segment, ())),
            removes=len(changes.removes.get(each.segment, ())),
            refreshes=len(changes.refreshes.get(each.segment, ())),
            held=len(everything(changes.next_held.get(each.segment, {}))),
        )
        for each in sorted((*active, *withdrawn), key=lambda each: each.segment)
    ]
