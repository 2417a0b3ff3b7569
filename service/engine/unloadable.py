"""Which records keep a chunk from being loaded: found by loading ever shorter beginnings of it.

Records and a trial come in, the rows of the culprits with their reasons come out. What is done with
them is the loader's affair.
"""

from collections.abc import Callable, Sequence
from typing import Final

from clickhouse_connect.driver.exceptions import DatabaseError, DataError

from service.tag.record import Record

CULPRITS_MAX: Final = 20
"""Each costs two dozen trials; behind so many the rest of the chunk is set aside unread."""
ILL_AFTER: Final = 3
CODES_OF_MACHINES: Final = frozenset(
    {
        *(74, 75, 76, 77, 243, 425),  # a file that cannot be read, written or grow
        *(173, 241),  # no memory
        *(159, 202, 203, 209, 210, 236, 279, 394, 439),  # too busy, too slow, going down, away
        *(164, 242, 252, 516),  # read-only, too many parts, a password that changed
    }
)
"""Errors of ClickHouse that no record causes, whatever stands in it."""


def told_of(problem: BaseException) -> str:
    """Say how a load failed, alike for failures of one kind."""
    name = type(problem).__name__
    if isinstance(problem, DatabaseError):
        return f"{name} {problem.code}"  # its text names parts and queries, which differ each time
    return f"{name}: {problem}"[:500]


def may_be_the_records(problem: BaseException) -> bool:
    """Tell a failure that records could have caused from one of machine or operator."""
    if isinstance(problem, DatabaseError) and problem.code in CODES_OF_MACHINES:
        return False
    return isinstance(problem, Exception) and not isinstance(problem, OSError | MemoryError)


def may_be_the_database(problem: BaseException) -> bool:
    """Tell a failure for which a database that is ill could be to blame, and no record."""
    return isinstance(problem, DatabaseError) and not isinstance(problem, DataError)


def find_unloadable(
    records: Sequence[Record], trial: Callable[[Sequence[Record]], str], *, may_be_ill: bool = False
) -> dict[int, str]:
    """Find the rows without which the others load; `trial` gives why some do not, or nothing.

    Only beginnings are tried, because what a record becomes depends on those before it. All are
    found when there is no end of culprits; where the database may be ill, already when none loads.
    """
    found: dict[int, str] = {}
    left, loads = list(records), 0
    while why := trial(left):
        ill = may_be_ill and loads == 0 and len(found) >= ILL_AFTER
        if ill or len(found) >= CULPRITS_MAX:
            return found | {each.row: why for each in left[loads:]}
        loads, why = _next_culprit(left, loads, trial, why)
        if trial(left[: loads + 1]):  # else it was a passing trouble
            found[left.pop(loads).row] = why
    return found


def _next_culprit(
    left: Sequence[Record], loads: int, trial: Callable[[Sequence[Record]], str], why: str
) -> tuple[int, str]:
    """Give how many records load before the one that does not, and its reason."""
    fails, step = len(left), 1
    while fails - loads > 1:
        # Why ever longer steps first: when all fail, as in an ill database, one trial tells.
        tried = min(loads + step, (loads + fails) // 2)
        problem = trial(left[:tried])
        if problem:
            fails, why, step = tried, problem, fails
        else:
            loads, step = tried, step * 2
    return loads, why
