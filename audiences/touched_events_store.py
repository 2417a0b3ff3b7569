"""The events of the people whom a tick touched, read once and asked like all events.

In go owners, out comes an event source with their events alone: names, moments and owners in numpy,
properties in a table in memory that the very queries of `event_store` read. Nothing is kept.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import msgspec
import numpy as np
from clickhouse_connect.driver.client import Client
from numpy.typing import NDArray
from pyroaring import BitMap

from audiences.calendar_days import CalendarDays
from audiences.event_selection import DAY_LAST, Selection, rows_parameters, rows_query
from audiences.event_store import ROWS
from audiences.sql import sql
from matching.bitmaps import ordinals_of
from matching.rows_store import all_rows

TOUCHED_ROWS: Final = np.dtype(
    [
        ("visitor", "<u4"),
        ("customer", "<u4"),
        ("day", "<u2"),
        ("event", "<u2"),
        ("site", "<u2"),
        ("at_ms", "<i8"),
        ("received_at_ms", "<i8"),
        ("chunk", "<u8"),
        ("row", "<u4"),
    ]
)
ROWS_PER_OWNER: Final = 49_152
"""Reading one owner's events costs as much as so many rows of the main table: a granule in each of
some months' parts, each at a place of its own."""
GATHERS_A_GUESS: Final = 20
"""Meanwhile the main table grows little; asking how large it is takes a fiftieth of a tick."""
SOURCE: Final = "touched_events"


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be asked of the events, of all of one kind."""

    events: Sequence[str]
    sites: Sequence[str]
    anything: bool = False
    """Whether events of other names are asked for too."""
    details: bool = False
    """Whether more is asked than whose they are, on which day and site."""
    ordered: bool = False
    """Whether it is asked when exactly they happened, and which came first."""
    promoted: bool = False
    """Whether what is promoted is asked for, beyond amounts of the whole event."""
    properties: bool = False
    """Whether any path of the properties is asked for."""


class TouchedEventsStore:
    """The two tables of events, asked for some owners: whichever is cheaper."""

    def __init__(
        self, client: Client, days: CalendarDays, *, rows_per_owner: int = ROWS_PER_OWNER
    ) -> None:
        self._client = client
        self._days = days
        self._rows_per_owner = rows_per_owner
        self._named: dict[tuple[str, ...], int] = {}
        """About how many rows of the main table have some names."""
        self._gathers = 0
        self._is_ready = False
        """Whether the tables in memory are there, and empty."""

    @contextmanager
    def gather(self, owners: BitMap, asked: Asked) -> Iterator["TouchedEvents"]:
        """Read all events of these owners; they are there until the block ends."""
        if not self._is_ready:
            self._client.command(sql("make_touched_owners"))
            self._client.command(sql("make_touched_events"))
            self._forget()  # should the last time have ended badly
        self._is_ready = False
        try:
            if owners:
                self._client.raw_insert(
                    "touched_owners", ["owner"], ordinals_of(owners).tobytes(), fmt="RowBinary"
                )
            by_owner = len(owners) * self._rows_per_owner < self._rows_named(asked)
            yield TouchedEvents(self._client, self._days, asked, by_owner=by_owner)
        finally:
            self._forget()
        self._is_ready = True

    def _rows_named(self, asked: Asked) -> int:
        """Tell how many rows of the main table would be read."""
        if self._gathers % GATHERS_A_GUESS == 0:
            self._named.clear()
        self._gathers += 1
        names = () if asked.anything else tuple(asked.events)
        if names not in self._named:
            parameters = {"events": list(names)}
            found = self._client.query(sql("event_rows_named"), parameters=parameters)
            self._named[names] = sum(rows for _, _, _, rows, _ in found.result_rows)
        return self._named[names]

    def _forget(self) -> None:
        self._client.command(sql("forget_touched_owners"))
        self._client.command(sql("forget_touched_events"))


class TouchedEvents:
    """An event source that holds some people's events alone."""

    def __init__(self, client: Client, days: CalendarDays, asked: Asked, *, by_owner: bool) -> None:
        self._client = client
        self._days = days
        self._codes = {name: place for place, name in enumerate(asked.events, 1)}
        self._sites = {name: place for place, name in enumerate(asked.sites, 1)}
        # What was read by owner tells the moment, not the day; else the moment comes where asked.
        self._by_owner = by_owner
        rows = self._copied(asked, by_owner) if asked.details else self._read(asked, by_owner)
        if by_owner:
            rows["day"] = _days(rows, days)
        self._found: dict[bytes, NDArray[Any]] = {}
        # Why ordered by name: a criterion then looks at its own event's rows only.
        self._all = rows[np.argsort(rows["event"], kind="stable")]
        codes = np.arange(len(asked.events) + 2)
        self._starts = np.searchsorted(self._all["event"], codes)
        self.visitor = np.ascontiguousarray(self._all["visitor"])
        self.customer = np.ascontiguousarray(self._all["customer"])

    def owners(self, selection: Selection) -> NDArray[Any]:
        """Give visitor and customer of every event; without conditions or field."""
        return self._rows_of(selection)

    def places(self, selection: Selection) -> NDArray[np.intp]:
        """Give where the events stand in `visitor` and `customer`; without conditions or field."""
        code = self._codes[selection.event]
        start = self._starts[code]
        rows = self._all[start : self._starts[code + 1]]
        wanted = _within(rows["day"], selection)
        if selection.site:
            wanted &= rows["site"] == self._sites[selection.site]
        found: NDArray[np.intp] = start + np.flatnonzero(wanted)
        return found

    def places_on_site(self, site: str, *, last_day: int) -> NDArray[np.intp]:
        """Give where everything stands that was done on the site."""
        wanted = (self._all["site"] == self._sites[site]) & (self._all["day"] <= last_day)
        return np.flatnonzero(wanted)

    def rows(
        self,
        selection: Selection,
        currencies: Mapping[str, str],
        *,
        moments: bool = True,  # noqa: ARG002 - they say the day, so that they are always read
    ) -> NDArray[Any]:
        """Give the events that meet the selection, with amounts."""
        if selection.where or selection.field:
            return self._with_properties(selection, currencies)
        found = self._rows_of(selection)
        rows = np.zeros(found.size, dtype=ROWS)
        for name in ("visitor", "customer", "day", "at_ms", "received_at_ms", "chunk", "row"):
            rows[name] = found[name]
        return rows

    def amounts(self, selection: Selection, currencies: Mapping[str, str]) -> NDArray[Any]:
        """Give the events that meet the selection, with amounts."""
        return self.rows(selection, currencies)

    def owners_on_site(self, site: str, *, last_day: int) -> NDArray[Any]:
        """Give the visitors and customers that did anything on the site."""
        found: NDArray[Any] = self._all[self.places_on_site(site, last_day=last_day)]
        return found

    def _read(self, asked: Asked, by_owner: bool, *, source: str = "events") -> NDArray[Any]:
        """Read whose the events are and on which day, of a copy their exact moments too."""
        if not asked.events and not asked.anything:
            return np.empty(0, dtype=TOUCHED_ROWS)
        parameters = {
            "source": source,
            "events": list(asked.events),
            "anything": asked.anything,
            "sites": list(asked.sites),
            "ordered": asked.ordered or (source == SOURCE and self._by_owner),
        }
        query = sql("touched_rows_by_owner" if by_owner else "touched_rows")
        return all_rows(self._client, query, TOUCHED_ROWS, parameters)

    def _copied(self, asked: Asked, by_owner: bool) -> NDArray[Any]:
        """Copy the events into memory, where all queries find them, and read them there."""
        parameters = {
            "events": list(asked.events),
            "ordered": asked.ordered,
            "promoted": asked.promoted,
            "properties": asked.properties,
        }
        query = sql("fill_touched_events_by_owner" if by_owner else "fill_touched_events")
        self._client.command(query, parameters=parameters)
        return self._read(asked, False, source=SOURCE)

    def _rows_of(self, selection: Selection) -> NDArray[Any]:
        found: NDArray[Any] = self._all[self.places(selection)]
        return found

    def _with_properties(self, selection: Selection, currencies: Mapping[str, str]) -> NDArray[Any]:
        """Ask the very query that all events are asked, of any day, and choose the days here."""
        if not any(map(self._count, filter(None, (selection.event, selection.refund)))):
            return np.empty(0, dtype=ROWS)
        whole = msgspec.structs.replace(selection, first_day=0, last_day=DAY_LAST)
        key = msgspec.json.encode(whole)
        if key not in self._found:
            parameters = rows_parameters(whole, currencies) | {"source": SOURCE, "moments": True}
            rows = all_rows(self._client, sql(rows_query(whole)), ROWS, parameters)
            if self._by_owner:
                rows["day"] = _days(rows, self._days)
            self._found[key] = rows
        rows = self._found[key]
        found: NDArray[Any] = rows[_within(rows["day"], selection)]
        return found

    def _count(self, event: str) -> int:
        code = self._codes[event]
        return int(self._starts[code + 1] - self._starts[code])


def _days(rows: NDArray[Any], days: CalendarDays) -> NDArray[np.int64]:
    return np.clip(days.days(np.ascontiguousarray(rows["at_ms"])), 0, DAY_LAST)


def _within(day: NDArray[Any], selection: Selection) -> NDArray[np.bool_]:
    """Tell which days are the selection's, whose ends are those of a Date column at most."""
    first, last = max(0, selection.first_day), min(DAY_LAST, max(0, selection.last_day))
    return (day >= first) & (day <= last)
