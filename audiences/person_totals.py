"""Sums rows up per person: how often, how much, and whether steps followed one another.

In go parallel arrays of rows that are already folded onto people (0 is nobody), out come people and
their totals.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from matching.ids import NOBODY, VISITOR_FIRST

Persons = NDArray[np.uint32]

SORTED_ROWS_MAX = 1_000_000
"""With more rows than these, counting into an array of everyone beats sorting the rows."""
LOW_HALF = np.uint64((1 << 32) - 1)
SUM_DECIMALS = 6
"""Sums of prices are rounded here, so that 0.1 + 0.2 reaches a bound of 0.3 in any order."""


def count_rows(
    persons: Persons, *, sorted_rows_max: int = SORTED_ROWS_MAX
) -> tuple[Persons, NDArray[np.int64]]:
    """Count each person's rows."""
    known = persons[persons != NOBODY]
    if known.size <= sorted_rows_max:
        known.sort()
        starts = _starts(known)
        return known[starts], np.diff(starts, append=known.size)
    seats, dense = _seats(known)
    counts = np.bincount(dense, minlength=seats.size)
    found = np.flatnonzero(counts)
    return seats[found], counts[found]


def count_of_each(persons: Persons, *, most: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Count the rows of each customer and of each visitor by place, up to `most` (below 256)."""
    customers, dense = _places(persons)
    counts = np.minimum(np.bincount(dense, minlength=customers), most).astype(np.uint8)
    counts[NOBODY] = 0
    return counts[:customers], counts[customers:]


def sum_rows(
    persons: Persons, amounts: NDArray[np.float64], *, sorted_rows_max: int = SORTED_ROWS_MAX
) -> tuple[Persons, NDArray[np.float64]]:
    """Add each person's amounts up."""
    known = persons != NOBODY
    persons, amounts = persons[known], amounts[known]
    if persons.size <= sorted_rows_max:
        # Why put together: sorting numbers is several times faster than finding their order.
        keyed = persons.astype(np.uint64) << np.uint64(32) | np.arange(
            persons.size, dtype=np.uint64
        )
        keyed.sort()
        persons, amounts = (keyed >> np.uint64(32)).astype(np.uint32), amounts[keyed & LOW_HALF]
        starts = _starts(persons)
        sums = np.add.reduceat(amounts, starts) if starts.size else amounts
        return persons[starts], np.round(sums, SUM_DECIMALS)
    seats, dense = _seats(persons)
    counts = np.bincount(dense, minlength=seats.size)
    sums = np.bincount(dense, weights=amounts, minlength=seats.size)
    found = np.flatnonzero(counts)
    return seats[found], np.round(sums[found], SUM_DECIMALS)


def _starts(persons: Persons) -> NDArray[np.intp]:
    """Give the first row of each person, of rows that are in order."""
    is_first = np.ones(persons.size, dtype=np.bool_)
    np.not_equal(persons[1:], persons[:-1], out=is_first[1:])
    return np.flatnonzero(is_first)


def _seats(persons: Persons) -> tuple[Persons, NDArray[np.uint32]]:
    """Give everybody up to the last, and which of them each row names."""
    customers, dense = _places(persons)
    visitors = max(0, int(persons.max(initial=0)) + 1 - VISITOR_FIRST)
    customer_seats = np.arange(customers, dtype=np.uint32)
    visitor_seats = np.arange(visitors, dtype=np.uint32) + np.uint32(VISITOR_FIRST)
    return np.concatenate([customer_seats, visitor_seats]), dense


def _places(persons: Persons) -> tuple[int, Persons]:
    """Give a place to each customer from 0 on, then to each visitor; and where visitors begin."""
    is_visitor = persons >= VISITOR_FIRST
    customers = int(persons.max(where=~is_visitor, initial=0)) + 1
    dense = persons.copy()
    # Why so: numbers wrap, and nothing is widened.
    np.add(dense, np.uint32((customers - VISITOR_FIRST) % (1 << 32)), out=dense, where=is_visitor)
    return customers, dense


def follow_steps(
    persons: Persons,
    moments: NDArray[np.int64],
    steps: Sequence[NDArray[np.bool_]],
    *,
    within: int | None,
) -> Persons:
    """Give the people whose later rows fulfil later steps, the last at most `within` on.

    Rows are ordered by person, then by time; `steps` tells which rows fulfil each step, one row
    fulfils one step of a chain at most.
    """
    if persons.size == 0:
        return persons
    rows = np.arange(persons.size)
    is_first = np.r_[True, persons[1:] != persons[:-1]]
    own_first = np.maximum.accumulate(np.where(is_first, rows, 0))
    # start[row] is the latest row on which a chain began that has come as far as this row: the
    # latest is the best, because only the time from the first step counts.
    start = np.where(steps[0], rows, -1)
    for step in steps[1:]:
        before = np.r_[-1, np.maximum.accumulate(start)[:-1]]
        start = np.where(step & (before >= own_first), before, -1)
    done = np.flatnonzero(start >= 0)
    if within is not None:
        done = done[moments[done] - moments[start[done]] <= within]
    return np.unique(persons[done])
