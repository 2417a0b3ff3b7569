"""Calendar days of one time zone: which day a moment belongs to, and when a day begins.

Moments are milliseconds since the epoch, days are numbers since 1970-01-01. Nothing here knows the
clock.
"""

from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
from numpy.typing import NDArray

EPOCH: Final = date(1970, 1, 1)
DAY_MS: Final = 86_400_000
DAY_FIRST, DAY_LAST = -1, 65_536
"""The days told apart, one more on each side than a Date column holds; all beyond are as these."""


class CalendarDays:
    """The days of a time zone, with the moments at which they begin."""

    def __init__(self, zone: str) -> None:
        self.zone = zone
        self._zone_info = ZoneInfo(zone)
        self._known = Starts(first=0, at_ms=np.zeros(0, dtype=np.int64))
        self._last = (0, self._day(0))

    def day(self, at_ms: int) -> int:
        """Give the day of one moment."""
        # Why the last one is kept: hundreds of audiences are built as of one moment.
        last, day = self._last
        if at_ms != last:
            day = self._day(at_ms)
            self._last = (at_ms, day)
        return day

    def _day(self, at_ms: int) -> int:
        return int(self.days(np.array([at_ms], dtype=np.int64))[0])

    def days(self, at_ms: NDArray[np.int64]) -> NDArray[np.int64]:
        """Give the day of every moment; far moments count as the first or last day."""
        if at_ms.size == 0:
            return np.zeros(0, dtype=np.int64)
        # Why: one absurd moment must not make every day up to it be worked out.
        near = np.clip(at_ms, (DAY_FIRST - 2) * DAY_MS, (DAY_LAST + 2) * DAY_MS)
        starts = self._cover(int(near.min()) // DAY_MS - 2, int(near.max()) // DAY_MS + 2)
        days = starts.first - 1 + np.searchsorted(starts.at_ms, near, side="right")
        return np.clip(days, DAY_FIRST, DAY_LAST)

    def start_ms(self, day: int) -> int:
        """Give the first moment of a day; far days count as the first or last one."""
        day = min(max(day, DAY_FIRST - 5), DAY_LAST + 5)
        midnight = datetime.combine(date_of(day), time(), self._zone_info)
        return int(midnight.timestamp() * 1000)

    def _cover(self, first: int, last: int) -> "Starts":
        """Know where the days from `first` to `last` begin."""
        known = self._known
        known_last = known.first + known.at_ms.size - 1
        if known.first <= first and last <= known_last:
            return known
        if known.at_ms.size:
            first, last = min(first, known.first), max(last, known_last)
        at_ms = [self.start_ms(day) for day in range(first, last + 1)]
        self._known = Starts(first=first, at_ms=np.array(at_ms, dtype=np.int64))
        return self._known


class Starts(msgspec.Struct, frozen=True, kw_only=True):
    """The first moments of consecutive days, swapped as one because threads share them."""

    first: int
    at_ms: NDArray[np.int64]


def date_of(day: int) -> date:
    """Give the date of a day number."""
    return EPOCH + timedelta(days=day)


def day_of(on: date) -> int:
    """Give the number of a date."""
    return (on - EPOCH).days
