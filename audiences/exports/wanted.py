"""The ids that each segment of a seat should hold, gathered one activation at a time.

In go the seat, who may be sent and what the seat holds; out come ids by segment and a report of
each with its waterfall. What changes on the seat is `plan.py`'s question.
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec
from pyroaring import BitMap

from audiences.exports.holdout import held_out
from audiences.exports.ledger import everything
from audiences.exports.reach import Carriers, carriers, reach_of, sendable_rows
from audiences.exports.report import SegmentReport, SegmentStatus
from audiences.exports.seat import Removal, Seat
from audiences.exports.seat_state import Activation, Held
from audiences.exports.waterfall import waterfall
from matching.bitmaps import bitmap_of
from matching.partner_ids_store import CarriedIds
from matching.people import People

Members = Callable[[str], tuple[People, BitMap] | None]
"""Gives an audience's people under its identity, None before its first build."""
Answers = Callable[[People], Mapping[str, BitMap]]
"""Gives all people by the identity card's answer about the seat; nobody stands in two."""


class Who(msgspec.Struct, frozen=True, kw_only=True):
    """Everybody who decides what a seat is sent."""

    members: Members
    answers: Answers
    live: Sequence[CarriedIds]
    """In parallel to the seat's id spaces."""
    allowed: BitMap
    suppressed: BitMap
    holdout_key: bytes


class Wanted:
    """The ids of each segment so far, the segments that may add none, and their reports."""

    def __init__(self, seat: Seat, who: Who, held: Held, *, is_resent: bool) -> None:
        self.ids: dict[str, BitMap] = {}
        self.below: set[str] = set()
        self.segments: list[SegmentReport] = []
        self._seat = seat
        self._who = who
        self._held = held
        # Why: a file that says everything takes out what it does not say.
        self._is_whole = is_resent or seat.membership.removal is Removal.REPLACE
        self._carriers: dict[tuple[str, int], Carriers] = {}
        self._unbuilt: list[Activation] = []

    def put(self, activation: Activation) -> None:
        """Find the ids of one audience, or none when too few people are reached."""
        built = self._who.members(activation.audience)
        if built is None:
            self._unbuilt.append(activation)
            return
        people, persons = built
        reached, ids = self._reached(activation, people, persons)
        is_below = reached < self._seat.min_size
        if is_below:
            self.below.add(activation.segment)
        steps = waterfall(persons, self._who.answers(people), sent=reached, is_below=is_below)
        status = SegmentStatus.BELOW_MINIMUM if is_below else SegmentStatus.SENT
        report = self._report(activation, status)
        self.segments.append(
            msgspec.structs.replace(report, people=reached, ids=len(ids), waterfall=steps)
        )
        self.ids[activation.segment] = BitMap() if is_below and self._is_whole else ids

    def keep_unbuilt(self) -> None:
        """Let audiences without a build keep what they hold, less what may not be sent."""
        for activation in self._unbuilt:
            self.ids[activation.segment] = self.kept(activation.segment)
            self.segments.append(self._report(activation, SegmentStatus.NOT_BUILT))

    def kept(self, segment: str) -> BitMap:
        """Give what a segment holds, less what may not be sent any more."""
        held = everything(self._held.days.get(segment, {}))
        return BitMap.intersection(held, *(each.ids for each in self._carriers.values()))

    def _reached(
        self, activation: Activation, people: People, persons: BitMap
    ) -> tuple[int, BitMap]:
        """Give how many people are sent, and their ids."""
        apart = held_out(
            persons,
            percent=activation.holdout_percent,
            key=self._who.holdout_key,
            audience=activation.audience,
        )
        found = self._carriers_of(people)
        reached = reach_of(persons - apart, found)
        if not apart:
            return reached.people, reached.ids
        # Why: an id that somebody held out carries too would put that person on the segment.
        shared = reached.ids & reach_of(apart, found).ids
        if not shared:
            return reached.people, reached.ids
        left = reach_of(persons - apart, _without(found, shared))
        return left.people, left.ids

    def _report(self, activation: Activation, status: SegmentStatus) -> SegmentReport:
        return SegmentReport(
            segment=activation.segment,
            audience=activation.audience,
            status=status,
            expires_days=self._seat.lifetime_days(activation.expires_days),
            holdout_percent=activation.holdout_percent,
        )

    def _carriers_of(self, people: People) -> Carriers:
        key = (str(people.identity), people.version)
        if key not in self._carriers:
            self._carriers[key] = carriers(
                people=people,
                live=self._who.live,
                allowed=self._who.allowed,
                suppressed=self._who.suppressed,
            )
        return self._carriers[key]


def _without(found: Carriers, ids: BitMap) -> Carriers:
    """Take ids out of those that may be sent, and browsers that have no other."""
    fewer = msgspec.structs.replace(found, ids=found.ids - ids)
    browsers = bitmap_of(found.visitors[sendable_rows(fewer)])
    return msgspec.structs.replace(fewer, sendable=browsers)
