"""Who did an event on each day, as bitmaps: what "at least once in these days" is made of.

In go an event and a span of days, out come its people; only days that are missing or have changed
are read. It knows no rule and no base.
"""

from collections.abc import Callable, Iterable, Mapping
from threading import Lock
from typing import Final

import msgspec
from pyroaring import BitMap

from audiences.event_source import Columns
from audiences.world import Touched
from matching.people import Identity, People

EVENTS_MAX: Final = 500
"""So many events' days are kept; the longest unused event goes first."""


class Day(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One event on one day: who did it, and whom it named."""

    unnamed: BitMap
    """Visitors of events that name no customer."""
    customers: BitMap
    """Customers whom events name."""
    named: BitMap
    """Visitors of events that name a customer."""


class _Known(msgspec.Struct, kw_only=True, eq=False):
    """The days of one event that are in memory: all from `first` to `last` but the changed ones."""

    first: int
    last: int
    days: dict[int, Day]
    changed: set[int]


class DailyBitmaps:
    """The bitmaps of all events that were asked for; `read` gives days of an event anew.

    `read_few` gives visitor and customer of each event of a span, None where they are many.
    """

    def __init__(
        self,
        read: Callable[[str, int, int], Mapping[int, Day]],
        read_few: Callable[[str, int, int], Columns | None],
    ) -> None:
        self._read = read
        self._read_few = read_few
        self._known: dict[str, _Known] = {}
        self._asked: set[str] = set()
        self._lock = Lock()

    def few(self, event: str, first: int, last: int) -> Columns | None:
        """Give visitor and customer of each event, None where days are the cheaper way.

        Of few events they are not, the first time: only who asks for another span has use of them.
        """
        with self._lock:
            if event in self._known or event in self._asked:
                return None
            if len(self._asked) >= EVENTS_MAX:
                self._asked.clear()
            self._asked.add(event)
        return self._read_few(event, first, last)

    def persons(self, event: str, first: int, last: int, people: People) -> BitMap:
        """Give everyone who did the event between two days, both included."""
        days = self._days(event, first, last)
        unnamed = BitMap.union(BitMap(), *(each.unnamed for each in days))
        if people.identity is Identity.BROWSER:
            return BitMap.union(unnamed, *(each.named for each in days))
        return BitMap.union(people.persons_of_visitors(unnamed), *(each.customers for each in days))

    def forget(self, touched: Touched) -> None:
        """Drop the days on which events came or went."""
        with self._lock:
            if touched.days_unknown:
                self._known.clear()
            for event, day in touched.days:
                known = self._known.get(event)
                if known is not None:
                    known.changed.add(day)

    def forget_all(self) -> None:
        """Drop everything."""
        with self._lock:
            self._known.clear()

    def _days(self, event: str, first: int, last: int) -> list[Day]:
        # Why under the lock: who waits finds the days read, and a change is never overtaken by what
        # was read before it.
        with self._lock:
            known = self._known.pop(event, None)
            if known is None or first > known.last + 1 or last < known.first - 1:
                known = _Known(first=first, last=first - 1, days={}, changed=set())
            self._extend(event, known, first, last)
            self._known[event] = known
            while len(self._known) > EVENTS_MAX:
                del self._known[next(iter(self._known))]
            return [each for day, each in known.days.items() if first <= day <= last]

    def _extend(self, event: str, known: _Known, first: int, last: int) -> None:
        if last > known.last:
            known.days.update(self._read(event, known.last + 1, last))
            known.last = last
        if first < known.first:
            known.days.update(self._read(event, first, known.first - 1))
            known.first = first
        for begin, end in _spans(day for day in known.changed if first <= day <= last):
            for day in range(begin, end + 1):
                known.days.pop(day, None)
            known.days.update(self._read(event, begin, end))
            known.changed.difference_update(range(begin, end + 1))


def _spans(days: Iterable[int]) -> list[tuple[int, int]]:
    """Put days that follow one another together."""
    spans: list[tuple[int, int]] = []
    for day in sorted(days):
        if spans and day == spans[-1][1] + 1:
            spans[-1] = (spans[-1][0], day)
        else:
            spans.append((day, day))
    return spans
