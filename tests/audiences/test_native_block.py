"""Blocks of format Native: what is written is what the database reads."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audiences.native_block import (
    MOMENT,
    NAME,
    TEXT,
    CodedTexts,
    Column,
    PackedTexts,
    coded_texts,
    joined_texts,
    native_block,
    pack_texts,
)

texts = st.one_of(st.text(max_size=5), st.sampled_from(["x" * 127, "é" * 64, "y" * 20_000]))
rows = st.lists(
    st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 4_102_444_800_000), texts, texts),
    min_size=1,
    max_size=6,
)


@pytest.fixture
def table(database: Any) -> Iterator[Any]:
    """Give a client beside an empty table of a few columns."""
    client = database.client()
    client.command(
        f"create table scratch (place UInt32, number UInt64, at {MOMENT}, name {NAME}, text {TEXT})"
        " engine = Memory"
    )
    yield client
    client.command("drop table scratch sync")


@pytest.mark.clickhouse
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows, st.data())
def test_what_is_written_is_read(table: Any, given: list[Any], data: st.DataObject) -> None:
    """Numbers, times and texts of any length arrive as they were, those of chosen rows too."""
    chosen = data.draw(st.lists(st.sampled_from(range(len(given))), min_size=1, max_size=9))
    places = np.array(chosen, dtype=np.intp)
    numbers, moments, names, told = zip(*given, strict=True)
    block = native_block(
        {
            "place": Column(type="UInt32", values=np.arange(len(chosen))),
            "number": Column(type="UInt64", values=np.array(numbers, dtype=np.uint64)[places]),
            "at": Column(type=MOMENT, values=np.array(moments)[places]),
            "name": Column(type=NAME, values=coded_texts(names).take(places)),
            "text": Column(type=TEXT, values=pack_texts([t.encode() for t in told]).take(places)),
        }
    )
    table.command("truncate table scratch")
    table.raw_insert("scratch", ["place", "number", "at", "name", "text"], block, fmt="Native")
    found = table.query(
        "select number, toUnixTimestamp64Milli(at), name, text from scratch order by place"
    ).result_rows
    assert found == [given[place] for place in chosen]


def unpacked(packed: PackedTexts) -> list[bytes]:
    bounds = packed.bounds.tolist()
    pieces = [packed.packed[a:b] for a, b in pairwise(bounds)]
    return [piece[1 + (len(piece) > 128) + (len(piece) > 16_385) :] for piece in pieces]


@given(st.lists(st.lists(texts, max_size=4), max_size=4))
def test_packed_pieces_are_joined(pieces: list[list[str]]) -> None:
    """Several pieces give the texts of all, and tell whether any is more than ASCII."""
    packed = joined_texts([pack_texts([text.encode() for text in piece]) for piece in pieces])
    flat = [text for piece in pieces for text in piece]
    assert unpacked(packed) == [text.encode() for text in flat]
    assert packed.may_be_no_utf_8 == (not "".join(flat).isascii())


@pytest.mark.parametrize("names", [1, 256, 257, 65_536, 65_537], ids=str)
def test_only_names_that_a_row_has_are_written(names: int) -> None:
    """A name that no row is left of does not reach the database."""
    given = CodedTexts(names=[f"n{code}" for code in range(names)], codes=np.arange(names))
    last = native_block({"name": Column(type=NAME, values=given.take(np.array([names - 1])))})
    assert f"n{names - 1}".encode() in last
    assert names == 1 or b"n0" not in last


@pytest.mark.clickhouse
def test_a_name_may_stand_twice(table: Any) -> None:
    """Two codes of one name are one name to the database."""
    texts = CodedTexts(names=["a", "", "a"], codes=np.array([0, 1, 2]))
    block = native_block({"name": Column(type=NAME, values=texts)})
    table.raw_insert("scratch", ["name"], block, fmt="Native")
    found = table.query("select name, count() from scratch group by name order by name")
    assert found.result_rows == [("", 1), ("a", 2)]


def test_columns_of_different_lengths_are_refused() -> None:
    """A block whose columns do not fit each other is never written."""
    columns = {"a": Column(type="UInt8", values=[1]), "b": Column(type="UInt8", values=[1, 2])}
    with pytest.raises(ValueError, match=r"one length, found \[1, 2\]"):
        native_block(columns)
