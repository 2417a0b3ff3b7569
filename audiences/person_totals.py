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
SUM_DECIMALS = 6
"""Sums of prices are rounded here, so that 0.1 + 0.2 reaches a bound of 0.3 in any order."""


def count_rows(
    persons: Persons, *, sorted_rows_max: int = SORTED_ROWS_MAX
) -> tuple[Persons, NDArray[np.int64]]:
    """Count each person's rows."""
    seats, dense = _seats(persons[persons != NOBODY], sorted_rows_max)
    counts = np.bincount(dense, minlength=seats.size)
    found = np.flatnonzero(counts)
    return seats[found], counts[found]


def sum_rows(
    persons: Persons, amounts: NDArray[np.float64], *, sorted_rows_max: int = SORTED_ROWS_MAX
) -> tuple[Persons, NDArray[np.float64]]:
    """Add each person's amounts up."""
    known = persons != NOBODY
    seats, dense = _seats(persons[known], sorted_rows_max)
    counts = np.bincount(dense, minlength=seats.size)
    sums = np.bincount(dense, weights=amounts[known], minlength=seats.size)
    found = np.flatnonzero(counts)
    return seats[found], np.round(sums[found], SUM_DECIMALS)


def _seats(persons: Persons, sorted_rows_max: int) -> tuple[Persons, NDArray[np.intp]]:
    """Give every row a dense number of its person: by sorting few rows, by place for many."""
    if persons.size <= sorted_rows_max:
        return np.unique(persons, return_inverse=True)
    is_visitor = persons >= VISITOR_FIRST
    customers = int(persons[~is_visitor].max(initial=0)) + 1
    visitors = max(0, int(persons.max()) + 1 - VISITOR_FIRST)
    dense = persons.astype(np.intp)
    dense[is_visitor] += customers - VISITOR_FIRST
    customer_seats = np.arange(customers, dtype=np.uint32)
    visitor_seats = np.arange(visitors, dtype=np.uint32) + np.uint32(VISITOR_FIRST)
    return np.concatenate([customer_seats, visitor_seats]), dense


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
