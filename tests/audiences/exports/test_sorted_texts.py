"""Ids sorted by text, in memory or by way of a file: against Python's own sort."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seat_world import texts_of

from audiences.exports.sorted_texts import in_order, order_of
from matching.id_texts_store import IdTexts

ALPHABETS = {
    "short": st.text("ab", max_size=30),
    "alike for long": st.text("ab", max_size=3).map("CAESEHIV8HXNp0pF".__add__),
    "of all languages": st.text(max_size=12),
    "numbers": st.integers(0, 10**19).map(str),
}


def pieces_of(texts: list[str], piece_ids: int) -> list[IdTexts]:
    """Cut ids into pieces; the ordinal of an id is its first place."""
    named = list(enumerate(texts, 1))
    return [
        texts_of(dict(named[begin : begin + piece_ids]))
        for begin in range(0, len(named), piece_ids)
    ]


@pytest.mark.parametrize("name", ALPHABETS)
@given(data=st.data())
def test_ids_come_in_the_order_of_their_texts(name: str, data: st.DataObject) -> None:
    """Whatever the sizes of pieces, runs and chunks, each id comes once, in Python's order."""
    texts = data.draw(st.lists(ALPHABETS[name].filter(str.isprintable), unique=True, max_size=40))
    sizes = [data.draw(st.integers(1, 12)) for _ in range(3)]
    pieces = pieces_of(texts, sizes[0])
    again = [*pieces, *pieces[::2]]
    blocks = list(in_order(again, run_ids=sizes[1], chunk_ids=sizes[2]))
    found = [
        (text, ordinal)
        for block in blocks
        for text, ordinal in zip(block.ids.to_pylist(), block.id_ordinals.tolist(), strict=True)
    ]
    assert found == sorted((text, ordinal) for ordinal, text in enumerate(texts, 1))
    assert all(len(block.ids) for block in blocks)


@given(st.lists(st.text("\x00ab\xff", max_size=20)))
def test_order_is_that_of_bytes(texts: list[str]) -> None:
    """Also a part of an array is sorted, by its bytes in UTF-8, zeros within it and all."""
    whole = texts_of(dict(enumerate(["zz", *texts, "aa"], 1))).ids
    part = whole[1:-1]
    found = [part[place].as_py() for place in order_of(part).tolist()]
    assert [each.rstrip("\0") for each in found] == [
        each.rstrip("\0") for each in sorted(texts, key=lambda each: each.rstrip("\0").encode())
    ]


def test_nothing_gives_nothing() -> None:
    """Without ids there is no block."""
    assert list(in_order([])) == []
