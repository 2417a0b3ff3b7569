"""Classes read from whole slices of rows, against a fold of each visitor's own rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matching.consent.class_rows import MISSING, ROW, ClassReader
from matching.consent.classes import ConsentClasses, Stands, stands_of, told_by
from matching.consent.decide import Signals, encode_signals
from matching.ids import VISITOR_FIRST

SITE = 7
TEXTS = {
    SITE: "shop",
    8: "blog",
    1 << 63: encode_signals(Signals(gpc=True)),
    (1 << 63) + 1: encode_signals(Signals(explicit={"sync": False})),
    (1 << 64) - 1: encode_signals(Signals(us_privacy="1YYN")),
    1 << 40: encode_signals(Signals(opted_out=True)),
    0: '{"tcf":',
}
"""Hashes of which several share their first bits."""
UNKNOWN = (1 << 63) + 2


def known_to(classes: ConsentClasses) -> dict[int, Stands]:
    """Give what stands of each visitor."""
    found = {}
    for each in classes:
        text = None if each.signals is None else encode_signals(each.signals)
        for visitor in each.visitors:
            found[visitor - VISITOR_FIRST] = Stands(text, each.site, each.opted_out)
    return found


def rows_of(histories: dict[int, list[tuple[int, int]]]) -> np.ndarray:
    """Write histories, oldest first, as the store reads them."""
    told = [
        (VISITOR_FIRST + visitor, said, site)
        for visitor, history in sorted(histories.items())
        for said, site in history
    ]
    return np.array(told, dtype=ROW)


SAID = st.sampled_from([*TEXTS, UNKNOWN])
HISTORIES = st.dictionaries(
    st.integers(0, 30),
    st.lists(st.tuples(SAID, st.sampled_from([SITE, 8])), min_size=1, max_size=6),
    max_size=12,
)


@given(HISTORIES, st.integers(0, 31))
def test_slices_agree_with_single_visitors(
    histories: dict[int, list[tuple[int, int]]], border: int
) -> None:
    """Each visitor has the fold of its own texts and its newest site, however slices are cut."""
    reader = ClassReader(TEXTS, visitors=31)
    for part in (range(border), range(border, 31)):
        reader.add(rows_of({who: what for who, what in histories.items() if who in part}))
    expected = {
        visitor: stands_of(
            [told_by(TEXTS.get(said, MISSING)) for said, _ in reversed(history)],
            TEXTS[history[-1][1]],
        )
        for visitor, history in histories.items()
    }
    assert known_to(reader.classes()) == expected


def test_many_different_texts_are_told_apart() -> None:
    """With thousands of texts, more pairs of them than fit a table, each keeps its own history."""
    size = 3_000
    texts = {SITE: "shop"} | {
        (number + 1) << 50: encode_signals(Signals(tcf=f"C{number}")) for number in range(size)
    }
    hashes = [key for key in texts if key != SITE]
    histories = {
        visitor: [(hashes[-1 - visitor], SITE)] * (visitor % 3) + [(hashes[visitor], SITE)]
        for visitor in range(size)
    }
    reader = ClassReader(texts, visitors=size)
    reader.add(rows_of(histories))
    found = known_to(reader.classes())
    assert len(found) == size
    assert all(found[visitor].text == texts[hashes[visitor]] for visitor in range(size))


@pytest.mark.parametrize("visitors", [0, 5])
def test_nothing_said_is_nobody(visitors: int) -> None:
    """Without rows there is no class, and everybody is unheard."""
    reader = ClassReader({}, visitors=visitors)
    reader.add(np.empty(0, dtype=ROW))
    assert len(reader.classes()) == 0
    assert not reader.classes().heard()


def test_a_class_that_nobody_is_in_any_more_is_gone() -> None:
    """Changes add and drop classes, and leave those who were given the old ones alone."""
    first, second = Stands("", "shop", False), Stands(None, "blog", True)
    before = ConsentClasses.of([first], np.array([1, 1], dtype=np.uint32))
    after = before.changed({VISITOR_FIRST: second, VISITOR_FIRST + 5: first})
    gone = after.changed({VISITOR_FIRST + 1: None, VISITOR_FIRST + 5: None})
    assert known_to(before) == {0: first, 1: first}
    assert known_to(after) == {0: second, 1: first, 5: first}
    assert known_to(gone) == {0: second}
    assert (len(before), len(after), len(gone), len(gone.changed({}))) == (1, 2, 1, 1)
