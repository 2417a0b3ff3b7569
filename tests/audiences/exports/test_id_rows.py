"""Rows of an export in blocks: what they say, and their bytes, against rows one by one."""

import datetime as dt
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroaring import BitMap
from seat_world import Named
from written_files import AT_MS, Kept, Written, changed

from audiences.exports.formats.choose import all_plain, writer_of
from audiences.exports.formats.parts import Parts
from audiences.exports.formats.rows import IdRow, block_of
from audiences.exports.id_rows import id_blocks
from audiences.exports.ledger import Changes
from audiences.exports.seat import Mode, Seat

SEGMENTS = [str(number) for number in range(1, 46)]
DAY = dt.date(2026, 11, 21)
SPACES = ("xandr", "idfa")


def strings(texts: list[str]) -> Any:
    """Make an Arrow array of texts."""
    return pa.array(texts, type=pa.string())


some_ids = st.builds(BitMap, st.sets(st.integers(1, 12)))


@st.composite
def some_changes(draw: st.DrawFn) -> Changes:
    """Make changes of up to 45 segments, more than one word of digits holds."""
    names = sorted(draw(st.sets(st.sampled_from(SEGMENTS), max_size=6))) + draw(
        st.sampled_from([[], SEGMENTS[6:]])
    )
    adds, removes, refreshes = {}, {}, {}
    for name in sorted(set(names)):
        removes[name] = draw(some_ids)
        adds[name] = draw(some_ids) - removes[name]
        refreshes[name] = draw(some_ids) - removes[name] - adds[name]
    return Changes(adds=adds, removes=removes, refreshes=refreshes, next_held={})


@given(
    changes=some_changes(),
    known=st.sets(st.integers(1, 8)),
    texts=st.dictionaries(st.integers(9, 12), st.sampled_from(["id3", "id5", "zz", "a"])),
)
def test_blocks_say_what_rows_would(
    seats: dict[str, Seat],
    changes: Changes,
    known: set[int],
    texts: dict[int, str],
) -> None:
    """Every id that is live or named has one row, ordered, with all that changes for it."""
    seat = msgspec.structs.replace(seats["xandr_958"], id_spaces=SPACES)
    names = {number: (SPACES[number % 2], f"id{number}") for number in known}
    removed = {each: (SPACES[each % 2], text) for each, text in texts.items()}
    expected: dict[tuple[str, str], dict[str, str]] = {}
    for ordinal, named in (names | removed).items():
        for segment in changes.adds:
            sent = changes.adds[segment] | changes.refreshes[segment]
            if ordinal in changes.removes[segment]:
                expected.setdefault(named, {})[segment] = "remove"
            elif ordinal in sent:
                expected.setdefault(named, {}).setdefault(segment, "add")
    days = dict.fromkeys(changes.adds, 3)
    blocks = id_blocks(
        seat, changes=changes, texts=Named(names), expires_days=days, removed_texts=removed
    )
    rows = [row for block in blocks for row in block.rows()]
    assert [(row.id_space, row.id) for row in rows] == sorted(expected)
    for row in rows:
        said = {name: "add" for name, minutes in row.adds if minutes == 3 * 1440}
        said |= dict.fromkeys(row.removes, "remove")
        assert said == expected[row.id_space, row.id]


LIMITS: list[dict[str, Any]] = [
    {},
    {"file.max_rows": 7},
    {"file.max_bytes": 600},
    {"file.max_bytes": 600, "file.compression": "none"},
    {"format.segments_per_line_max": 2},
    {"membership.removal": "section"},
]
A_CHANGE = st.tuples(
    st.lists(st.sampled_from([("10", 1440), ("11", 2880), ("12", 1440)]), unique=True),
    st.lists(st.sampled_from(["20", "21"]), unique=True),
).filter(any)


@pytest.mark.parametrize("limits", LIMITS, ids=str)
@given(table=st.lists(A_CHANGE, min_size=1, max_size=4), data=st.data())
def test_blocks_become_the_bytes_of_rows(
    seats: dict[str, Seat], limits: dict[str, Any], table: list[Any], data: st.DataObject
) -> None:
    """Whatever the limits, a block gives the lines of its rows; files split where they would."""
    seat = changed(seats["xandr_958"], limits)
    codes = data.draw(st.lists(st.integers(0, len(table) - 1), max_size=60))
    block = block_of("xandr", [f"{1000 + number}" for number in range(len(codes))], codes, table)
    single = Written(list(block.rows()), seat)
    files: dict[str, Kept] = {}

    def opened(name: str) -> Kept:
        files[name] = Kept()
        return files[name]

    out = Parts(seat=seat, run=5, mode=Mode.DELTA, at_ms=AT_MS, open_file=opened)
    writer_of(seat).write_blocks([block] if codes else [], seat, out)
    parts = out.finish()
    lines = [line for plain in single.plain().values() for line in plain.splitlines()]
    blocks = Written([], seat)
    blocks.files = files
    assert [line for plain in blocks.plain().values() for line in plain.splitlines()] == lines
    total = [(each.counts.adds, each.counts.removes, each.counts.ids) for each in parts]
    assert [sum(column) for column in zip(*total, strict=True)] == [
        sum(column)
        for column in zip(
            *((each.counts.adds, each.counts.removes, each.counts.ids) for each in single.parts),
            strict=True,
        )
    ]
    most = seat.file.max_bytes
    assert all(not most or each.bytes <= most for each in parts)
    assert all(each.counts.rows <= (seat.file.max_rows or each.counts.rows) for each in parts)


@given(st.lists(st.text(max_size=6), max_size=5))
def test_what_looks_plain_is_refused_by_nobody(every_seat: dict[str, Seat], ids: list[str]) -> None:
    """Ids that are let through together are let through one by one."""
    for seat in every_seat.values():
        for id_space in seat.id_spaces:
            if all_plain(strings(ids), seat, id_space):
                assert not any(writer_of(seat).refused_id(each, seat, id_space) for each in ids)


def test_plain_ids_are_many(seats: dict[str, Seat]) -> None:
    """The ids of most partners are looked at together."""
    assert all_plain(strings(["1234567890", "abcDEF012"]), seats["xandr_958"], "xandr")
    assert not all_plain(strings(["12;34"]), seats["xandr_958"], "xandr")
    assert not all_plain(strings(["12", ""]), seats["xandr_958"], "xandr")
    assert not all_plain(strings(["é"]), seats["xandr_958"], "xandr")


def test_a_row_has_no_change_of_its_own() -> None:
    """Rows of one change share it, so a block is small."""
    changes = ([("10", 1440)], ["11"])
    block = block_of("xandr", ["1", "2"], [1, 1], [([], []), changes])
    assert list(block.rows()) == [
        IdRow(id=each, id_space="xandr", adds=changes[0], removes=changes[1]) for each in "12"
    ]
