"""What people did, as sets of people: counts, sums and sequences of events, folded onto persons.

In go a criterion, the people and the day; rows come from the event store by visitor and customer,
and are put together per person here, never in the database. It caches nothing.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from audiences.calendar_days import day_of
from audiences.event_selection import Selection
from audiences.event_source import Columns, EventSource
from audiences.person_totals import count_rows, follow_steps, sum_rows
from audiences.rule import Did, DidInOrder
from matching.bitmaps import bitmap_of
from matching.ids import NOBODY
from matching.people import People

MINUTE_MS = 60_000


class Behaviour(msgspec.Struct, frozen=True, kw_only=True):
    """All that a behaviour criterion looks at: the events, whose they are, and the last day."""

    events: EventSource
    people: People
    base: BitMap
    day: int
    currencies: Mapping[str, str]

    def did(self, criterion: Did) -> BitMap:
        """Give everyone whose count or sum is within the bounds; no event counts as 0."""
        low: float | None
        high: float | None
        selection = selection_of(criterion, day=self.day)
        if criterion.sum is None:
            low, high = criterion.counts()
        else:
            low, high = criterion.sum.at_least, criterion.sum.at_most
        persons, totals = self._totals(selection)
        inside = np.ones(persons.size, dtype=np.bool_)
        if low is not None:
            inside &= totals >= low
        if high is not None:
            inside &= totals <= high
        if (low is None or low <= 0) and (high is None or high >= 0):
            return self.base - bitmap_of(persons[~inside])
        return bitmap_of(persons[inside]) & self.base

    def persons(self, selection: Selection) -> NDArray[np.uint32]:
        """Give the person of each of these events; 0 is nobody."""
        return self.fold(self.events.owners(selection))

    def did_in_order(self, criterion: DidInOrder) -> BitMap:
        """Give everyone who did the steps one after the other."""
        found = [
            self.events.rows(
                Selection(event=step.event, where=step.where, last_day=self.day), {}, moments=True
            )
            for step in criterion.steps
        ]
        rows = np.concatenate(found)
        step_of = np.repeat(np.arange(len(found)), [each.size for each in found])
        persons = self.fold(rows)
        order = np.lexsort(
            (rows["row"], rows["chunk"], rows["received_at_ms"], rows["at_ms"], persons)
        )
        order = order[persons[order] != NOBODY]
        persons, rows, step_of = persons[order], rows[order], step_of[order]
        events, place = _distinct(rows)
        fulfilled = [
            np.bincount(place[step_of == i], minlength=events.size) > 0 for i in range(len(found))
        ]
        by_day = criterion.within_days is not None
        moments = rows["day" if by_day else "at_ms"][events].astype(np.int64)
        within = criterion.within_days
        if criterion.within_minutes is not None:
            within = criterion.within_minutes * MINUTE_MS
        done = follow_steps(persons[events], moments, fulfilled, within=within)
        return bitmap_of(done) & self.base

    def seen_on(self, site: str) -> BitMap:
        """Give everyone who did anything on the site."""
        owners = self.events.owners_on_site(site, last_day=self.day)
        return bitmap_of(self.fold(owners)) & self.base

    def fold(self, rows: Columns) -> NDArray[np.uint32]:
        """Give the person of each row."""
        visitors = np.ascontiguousarray(rows["visitor"])
        return self.people.fold(visitors, np.ascontiguousarray(rows["customer"]))

    def _totals(self, selection: Selection) -> tuple[NDArray[np.uint32], NDArray[Any]]:
        if selection.field:
            rows = self.events.amounts(selection, self.currencies)
            return sum_rows(self.fold(rows), np.ascontiguousarray(rows["amount"]))
        if selection.where:
            return count_rows(self.fold(self.events.amounts(selection, {})))
        return count_rows(self.persons(selection))


def selection_of(criterion: Did, *, day: int) -> Selection:
    """Give the events that a criterion looks at, seen from a day."""
    first, last = 0, day
    if criterion.within_days is not None:
        first = day - criterion.within_days
    if criterion.since is not None:
        first = day_of(criterion.since)
    if criterion.until is not None:
        last = min(day, day_of(criterion.until))
    return Selection(
        event=criterion.event,
        first_day=first,
        last_day=last,
        site=criterion.site,
        where=criterion.where,
        field=criterion.sum.field if criterion.sum is not None else "",
    )


def _distinct(rows: NDArray[Any]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Find the first row of each event among rows that lie side by side, and each row's event."""
    if rows.size == 0:
        return np.zeros(0, dtype=np.intp), np.zeros(0, dtype=np.intp)
    is_new = np.ones(rows.size, dtype=np.bool_)
    is_new[1:] = (rows["chunk"][1:] != rows["chunk"][:-1]) | (rows["row"][1:] != rows["row"][:-1])
    return np.flatnonzero(is_new), np.cumsum(is_new) - 1
