"""Counts that grow by what arrives, beside counts of everything."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroaring import BitMap

from audiences.event_counts import (
    LEVELS_MAX,
    EventCounts,
    Levels,
    Span,
    levels_of,
    within,
)
from audiences.world import Arrived
from matching.ids import VISITOR_FIRST
from matching.people import Identity, People

LAST = Identity.LAST_AUTHENTICATED
LINKS = [0, 0, 1, 1, 2]
SPAN = Span(LAST, "Page", "shop", 10, 12)
EVERYONE = BitMap([1, 2, 3, *range(VISITOR_FIRST, VISITOR_FIRST + len(LINKS))])
PEOPLE = People(identity=LAST, version=1, customer_of=np.array(LINKS, dtype=np.uint32))

events = st.tuples(
    st.sampled_from(["Page", "Page", "Other"]),
    st.sampled_from(["shop", "shop", "blog"]),
    st.integers(0, len(LINKS) - 1),
    st.sampled_from([0, 0, 0, 3]),
    st.integers(9, 13),
)
parts = st.lists(st.lists(events, max_size=12), max_size=4)
Event = tuple[str, str, int, int, int]


def arrived(number: int, rows: list[Event]) -> Arrived:
    """Put events side by side as one insert."""
    names, sites = ["Page", "Other"], ["blog", "shop"]
    return Arrived(
        number=number,
        events=names,
        event=np.array([names.index(row[0]) for row in rows], dtype=np.int64),
        sites=sites,
        site=np.array([sites.index(row[1]) for row in rows], dtype=np.int64),
        visitor=np.array([VISITOR_FIRST + row[2] for row in rows], dtype=np.uint32),
        customer=np.array([row[3] for row in rows], dtype=np.uint32),
        day=np.array([row[4] for row in rows], dtype=np.int64),
    )


def persons_of(rows: list[Event]) -> list[int]:
    """Name the person of each event that the span counts."""
    return [
        customer or LINKS[place] or VISITOR_FIRST + place
        for event, site, place, customer, day in rows
        if (event, site) == ("Page", "shop") and 10 <= day <= 12
    ]


def counted(rows: list[Event], *, insertions: int, sorted_rows_max: int) -> Levels:
    """Count everything at once."""
    persons = np.array(persons_of(rows), dtype=np.uint32)
    return levels_of(persons, insertions=insertions, sorted_rows_max=sorted_rows_max)


@given(
    before=parts,
    after=parts,
    erased=st.sets(st.sampled_from(sorted(EVERYONE)), max_size=3),
    low=st.integers(0, LEVELS_MAX),
    width=st.none() | st.integers(0, 2),
    sorted_rows_max=st.sampled_from([0, 1000]),
)
def test_counts_that_grow_equal_counts_of_everything(
    before: list[list[Event]],
    after: list[list[Event]],
    erased: set[int],
    low: int,
    width: int | None,
    sorted_rows_max: int,
) -> None:
    """What was counted in is not counted twice, and who is counted again has only what is left."""
    high = None if width is None or low + width >= LEVELS_MAX else low + width
    first, second = ([row for part in some for row in part] for some in (before, after))
    counts = EventCounts()
    levels = counted(first, insertions=len(before), sorted_rows_max=sorted_rows_max)
    counts.put(SPAN, levels)
    arrivals = [arrived(1 + number, rows) for number, rows in enumerate([*before, *after])]

    def to_count(span: Span, insertions: int) -> Any:
        later = [part for part in arrivals if part.number > insertions]
        came = [part.whose(part.asked(span), PEOPLE) for part in later]
        return np.concatenate([np.empty(0, dtype=np.uint32), *came])

    new = counts.taken_over(
        [SPAN], again={LAST: BitMap(erased)}, persons=to_count, insertions=len(arrivals)
    )
    left = [person for person in persons_of(first) if person not in erased]
    tally = Counter(left + persons_of(second))
    expected = {
        each for each in EVERYONE if tally[each] >= low and (high is None or tally[each] <= high)
    }
    assert new.within(SPAN, low, high, EVERYONE) == BitMap(expected)
    assert counts.within(SPAN, low, high, EVERYONE) is None


@pytest.mark.parametrize(
    ("bounds", "known"),
    [
        pytest.param((1, None), True, id="once"),
        pytest.param((0, 0), True, id="never"),
        pytest.param((2, None), False, id="twice"),
        pytest.param((1, 1), False, id="exactly once"),
    ],
)
def test_levels_answer_only_what_they_know(bounds: Any, known: bool) -> None:
    """Who did it at all tells nothing of who did it twice."""
    counts = EventCounts()
    counts.put(SPAN, Levels(sets=[BitMap([1])], upto=1, insertions=0))
    assert (counts.within(SPAN, *bounds, EVERYONE) is not None) == known


def test_nobody_did_it_so_often() -> None:
    """A level that nobody reached has no set, and nobody in it."""
    levels = Levels(sets=[BitMap([1])], upto=LEVELS_MAX, insertions=0)
    assert within(levels, 3, None, EVERYONE) == BitMap()
    assert within(levels, 0, 3, EVERYONE) == EVERYONE
