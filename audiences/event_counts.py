"""Who did an event at least once, twice ... in a span of days, kept so that new events add to it.

In go counts of everybody, once, and later the events that arrived; out come people by bounds. What
stands here is of one world: a newer one takes the sets over. Nothing here reads events.
"""

from collections.abc import Callable, Iterable, Mapping
from threading import Lock
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from audiences.person_totals import SORTED_ROWS_MAX, Persons, count_of_each, count_rows
from matching.bitmaps import bitmap_of, bitmap_of_mask
from matching.ids import VISITOR_FIRST
from matching.people import Identity

LEVELS_MAX: Final = 8
"""Counts above this are not kept: who did it so often is asked of all events."""
SPANS_MAX: Final = 500
"""So many spans of events are kept; the longest unused one goes first."""


class Span(NamedTuple):
    """The events that are counted, and for whose people."""

    identity: Identity
    event: str
    site: str
    first_day: int
    last_day: int


class Levels(msgspec.Struct, kw_only=True, eq=False):
    """`sets[i]` are those who did it more than `i` times, known up to the level `upto`."""

    sets: list[BitMap]
    upto: int
    insertions: int
    """So many inserts of events are counted in; later ones are not."""


def levels_needed(low: int, high: int | None) -> int:
    """Tell up to which level counts must be known to be compared with these bounds."""
    return max(1, low, 0 if high is None else high + 1)


def levels_of(
    persons: Persons, *, insertions: int, sorted_rows_max: int = SORTED_ROWS_MAX
) -> Levels:
    """Make the sets of people who are named once or more, a row each time; 0 is nobody."""
    if persons.size <= sorted_rows_max:
        some, counts = count_rows(persons)
        most = min(LEVELS_MAX, int(counts.max(initial=0)))
        sets = [bitmap_of(some[counts > level]) for level in range(most)]
    else:
        customers, visitors = count_of_each(persons, most=LEVELS_MAX)
        most = max(int(customers.max(initial=0)), int(visitors.max(initial=0)))
        sets = [
            bitmap_of_mask(visitors > level, first=VISITOR_FIRST)
            | bitmap_of_mask(customers > level)
            for level in range(most)
        ]
    return Levels(sets=sets, upto=LEVELS_MAX, insertions=insertions)


def within(levels: Levels, low: int, high: int | None, base: BitMap) -> BitMap:
    """Give everyone of the base whose count is within the bounds."""
    if low <= 0:
        found = base.copy()
    else:
        found = levels.sets[low - 1] & base if low <= len(levels.sets) else BitMap()
    if high is not None and high < len(levels.sets):
        found -= levels.sets[high]
    return found


class EventCounts:
    """The levels of all spans that were asked for, for several threads."""

    def __init__(self) -> None:
        self._levels: dict[Span, Levels] = {}
        self._lock = Lock()

    def within(self, span: Span, low: int, high: int | None, base: BitMap) -> BitMap | None:
        """Give everyone of the base whose count is within the bounds; None where none is kept."""
        # Why all under the lock: whoever takes the sets over changes them.
        with self._lock:
            found = self._levels.pop(span, None)
            if found is None:
                return None
            self._levels[span] = found
            is_known = found.upto >= levels_needed(low, high)
            return within(found, low, high, base) if is_known else None

    def put(self, span: Span, levels: Levels) -> None:
        """Keep levels; they are changed here later, so nobody else may hold their sets."""
        with self._lock:
            self._levels[span] = levels
            while len(self._levels) > SPANS_MAX:
                del self._levels[next(iter(self._levels))]

    def taken_over(
        self,
        spans: Iterable[Span],
        *,
        again: Mapping[Identity, BitMap],
        persons: Callable[[Span, int], Persons],
        insertions: int,
    ) -> "EventCounts":
        """Give a newer world's counts of these spans; here none are left.

        `persons` names the person of each event that is to be counted on to what `insertions` so
        far told: all events of those who are counted `again`, and what came for others.
        """
        with self._lock:
            old, self._levels = self._levels, {}
        new = EventCounts()
        for span in spans:
            levels = old.get(span)
            if levels is None:
                continue
            for members in levels.sets:
                members.difference_update(again[span.identity])
            _add(levels, *count_rows(persons(span, levels.insertions)))
            counted = max(levels.insertions, insertions)
            new.put(span, msgspec.structs.replace(levels, insertions=counted))
        return new


def _add(levels: Levels, persons: Persons, counts: NDArray[np.int64]) -> None:
    """Count people on by as much as each is named with."""
    for times in range(min(levels.upto, int(counts.max(initial=0)))):
        more = bitmap_of(persons[counts > times])
        for level in range(levels.upto):
            if level == len(levels.sets):
                levels.sets.append(BitMap())
            reached = levels.sets[level] & more
            levels.sets[level] |= more
            more = reached  # who had come as far as this goes one further
            if not more:
                break
