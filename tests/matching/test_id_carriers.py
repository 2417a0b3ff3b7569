"""Ids that too many visitors may carry are found while rows are stored, none is missed."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from matching.id_carriers import IdCarriers
from matching.ids import VISITOR_FIRST
from matching.partner_facts import VISITORS_PER_ID_MAX

Row = tuple[int, int]
"""The ordinal of an id and the number of a visitor; below 0 it is a customer."""


def suspects(*batches: list[Row]) -> list[int]:
    """Store these batches and ask."""
    carriers = IdCarriers()
    for rows in batches:
        ids = np.array([each for each, _ in rows], dtype=np.uint32)
        visitors = [VISITOR_FIRST + number if number >= 0 else 1 for _, number in rows]
        carriers.stored(ids, np.array(visitors, dtype=np.uint32))
    return carriers.suspects()


def test_six_visitors_are_too_many() -> None:
    """Five may share an id, in one batch or in many."""
    six = [(7, visitor) for visitor in range(6)]
    assert suspects(six) == [7]
    assert suspects(six[:5]) == []
    assert suspects(*([each] for each in six)) == [7]


def test_who_confirms_an_id_is_no_other_visitor() -> None:
    """However often one visitor, or a household in its turn, brings an id, it is not suspect."""
    assert suspects(*([(7, 1)] for _ in range(400))) == []
    assert suspects([(7, 1)] * 400) == []


def test_it_stays_suspect_however_many_follow() -> None:
    """Counts end at a byte and do not begin anew."""
    assert suspects([(7, visitor) for visitor in range(300)]) == [7]
    assert suspects(*([(7, visitor)] for visitor in range(300))) == [7]


def test_customers_and_no_ids_count_for_nothing() -> None:
    """Contacts of customers are ids of theirs alone; offers have no id."""
    assert suspects([(7, -1), (0, 1)] * 9, []) == []


@given(
    st.lists(st.lists(st.tuples(st.integers(0, 4), st.integers(-1, 12)), max_size=30), max_size=6)
)
def test_none_is_missed(batches: list[list[Row]]) -> None:
    """Every id with more visitors than it may have is among the suspects, each id once."""
    carried: dict[int, set[int]] = {}
    for id_ordinal, visitor in (row for rows in batches for row in rows):
        if id_ordinal and visitor >= 0:
            carried.setdefault(id_ordinal, set()).add(visitor)
    many = {each for each, whom in carried.items() if len(whom) > VISITORS_PER_ID_MAX}
    found = suspects(*batches)
    assert many <= set(found)
    assert found == sorted(set(found))
