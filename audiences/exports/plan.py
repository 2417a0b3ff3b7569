"""What an export will do to a seat, before a byte is written.

In go the seat, its activations, what it holds and who may be sent; out comes the plan: changes by
segment and a report of each. Nothing here touches files or the database.
"""

import datetime as dt
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from pyroaring import BitMap

from audiences.exports.formats.choose import writer_of
from audiences.exports.formats.rows import UnwritableRow
from audiences.exports.ledger import Changes, diff, everything
from audiences.exports.reach import Carriers, carriers, reach_of
from audiences.exports.report import SegmentReport, SegmentStatus
from audiences.exports.seat import Mode, Removal, Seat
from audiences.exports.seat_state import Activation, FrozenRemoval, Held
from matching.bitmaps import mask_of
from matching.partner_ids_store import LiveIds
from matching.people import People

Members = Callable[[str], tuple[People, BitMap] | None]
"""Gives an audience's people under its identity, None before its first build."""
Texts = Callable[[BitMap], Mapping[int, tuple[str, str]]]
"""Gives id space and text of ordinals of ids, those no longer live included."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The changes of one run and what they are about."""

    mode: Mode
    changes: Changes
    expires_days: dict[str, int]
    segments: list[SegmentReport]
    refused_ids: int


def plan_export(
    seat: Seat,
    *,
    activations: Sequence[Activation],
    members: Members,
    live: Sequence[LiveIds],
    allowed: BitMap,
    suppressed: BitMap,
    held: Held,
    frozen: Sequence[FrozenRemoval],
    today: dt.date,
) -> Plan:
    """Decide for each segment who enters, stays and leaves."""
    _check_segments(seat, activations)
    found = _Reached(seat, members, live, allowed, suppressed, held)
    for activation in activations:
        found.put(activation)
    found.keep_unbuilt()
    refused = _refused_ids(seat, live, found.wanted, held)
    forced, denied = _forced(seat, live, frozen)
    wanted = {
        segment: ids - refused - denied.get(segment, BitMap())
        for segment, ids in found.wanted.items()
    }
    mode = _mode_of(seat, held)
    lifetimes = {each.segment: each.expires_days for each in found.segments}
    changes = diff(
        held.days,
        wanted,
        mode=mode,
        today=today,
        refresh_before_days=seat.membership.refresh_before_days,
        expires_days=lifetimes,
        forced_removals=forced,
        resend={each for each in wanted if held.expires_days.get(each) != lifetimes[each]},
        no_adds=found.below,
    )
    return Plan(
        mode=mode,
        changes=changes,
        # Why: what was not sent again keeps the lifetime that it was sent with.
        expires_days=lifetimes | {each: held.expires_days.get(each, 0) for each in found.below},
        segments=_segments(found.segments, changes),
        refused_ids=len(refused),
    )


class _Reached:
    """The ids that each segment should hold, gathered one activation at a time."""

    def __init__(
        self,
        seat: Seat,
        members: Members,
        live: Sequence[LiveIds],
        allowed: BitMap,
        suppressed: BitMap,
        held: Held,
    ) -> None:
        self.wanted: dict[str, BitMap] = {}
        self.below: set[str] = set()
        self.segments: list[SegmentReport] = []
        self._seat = seat
        self._members = members
        self._live = live
        self._allowed = allowed
        self._suppressed = suppressed
        self._held = held
        self._carriers: dict[tuple[str, int], Carriers] = {}
        self._unbuilt: list[Activation] = []

    def put(self, activation: Activation) -> None:
        """Find the ids of one audience, or none when too few people are reached."""
        built = self._members(activation.audience)
        if built is None:
            self._unbuilt.append(activation)
            return
        people, persons = built
        reached = reach_of(persons, self._carriers_of(people))
        status, wanted = SegmentStatus.SENT, reached.ids
        if reached.people < self._seat.min_size:
            status = SegmentStatus.BELOW_MINIMUM
            self.below.add(activation.segment)
            if self._seat.membership.removal is Removal.REPLACE:
                wanted = BitMap()
        self._note(
            activation,
            wanted,
            status=status,
            people=reached.people,
            ids=len(reached.ids),
            waterfall=reached.waterfall,
        )

    def keep_unbuilt(self) -> None:
        """Let audiences without a build keep what they hold, less what may not be sent."""
        for activation in self._unbuilt:
            held = everything(self._held.days.get(activation.segment, {}))
            sendable = [each.ids for each in self._carriers.values()]
            wanted = BitMap.intersection(held, *sendable)
            self._note(activation, wanted, status=SegmentStatus.NOT_BUILT)

    def _note(self, activation: Activation, wanted: BitMap, **facts: Any) -> None:
        self.wanted[activation.segment] = wanted
        self.segments.append(
            SegmentReport(
                segment=activation.segment,
                audience=activation.audience,
                expires_days=self._seat.lifetime_days(activation.expires_days),
                **facts,
            )
        )

    def _carriers_of(self, people: People) -> Carriers:
        key = (str(people.identity), people.version)
        if key not in self._carriers:
            self._carriers[key] = carriers(
                people=people, live=self._live, allowed=self._allowed, suppressed=self._suppressed
            )
        return self._carriers[key]


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


def _refused_ids(
    seat: Seat, live: Sequence[LiveIds], wanted: Mapping[str, BitMap], held: Held
) -> BitMap:
    """Find new ids that the seat's format cannot say."""
    known = BitMap.union(BitMap(), *(everything(days) for days in held.days.values()))
    new = BitMap.union(BitMap(), *wanted.values()) - known
    refused = BitMap()
    writer = writer_of(seat)
    for id_space, each in zip(seat.id_spaces, live, strict=True):
        for row in rows_of(each, new):
            if writer.refused_id(each.ids[row], seat, id_space):
                refused.add(int(each.id_ordinals[row]))
    return refused


def rows_of(live: LiveIds, ids: BitMap) -> list[int]:
    """List the rows of the ids, in their order."""
    if not live.id_ordinals.size or not ids:
        return []
    mask = mask_of(ids, first=0, size=int(live.id_ordinals.max()) + 1)
    return np.flatnonzero(mask[live.id_ordinals]).tolist()


def _forced(
    seat: Seat, live: Sequence[LiveIds], frozen: Sequence[FrozenRemoval]
) -> tuple[dict[str, BitMap], dict[str, BitMap]]:
    """Give the frozen ids of each segment, and live ids that say the same text.

    The latter wait for the next run: a file never adds and removes one id in one segment.
    """
    forced: dict[str, BitMap] = {}
    denied: dict[str, BitMap] = {}
    by_space = dict(zip(seat.id_spaces, live, strict=True))
    for removal in frozen:
        for each in removal.ids:
            forced.setdefault(removal.segment, BitMap()).add(each.id_ordinal)
            same = by_space.get(each.id_space)
            row = bisect_left(same.ids, each.id) if same else 0
            if same and row < len(same.ids) and same.ids[row] == each.id:
                denied.setdefault(removal.segment, BitMap()).add(int(same.id_ordinals[row]))
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
        )
        for each in sorted((*active, *withdrawn), key=lambda each: each.segment)
    ]
