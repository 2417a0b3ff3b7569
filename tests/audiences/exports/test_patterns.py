"""Formats of text written block by block: the bytes, files and counts of rows one by one."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from written_files import AT_MS, Kept, Written, changed

from audiences.exports.formats.choose import writer_of
from audiences.exports.formats.parts import Part, Parts
from audiences.exports.formats.rows import IdBlock, block_of
from audiences.exports.seat import Mode, Seat
from audiences.exports.seat_formats import Avro

SEATS: dict[str, tuple[str, dict[str, Any]]] = {
    "lines": ("adobe_audience_manager", {}),
    "lines that are cut": ("adobe_audience_manager", {"format.line_bytes_max": 34}),
    "lines in files of actions": ("beeswax", {}),
    "lines without removals": ("adform", {"file.max_rows": 5}),
    "ids alone": ("ttd_crm", {"ids.validate": {}}),
    "in Latin-1": ("adform", {"format.charset": "latin-1"}),
    "csv": ("pixel_csv", {}),
    "csv in short files": ("pixel_csv", {"file.max_rows": 3}),
    "csv in small files": ("pixel_csv", {"file.max_bytes": 120}),
    "csv, all quoted": ("pixel_csv", {"format.quote": "all"}),
    "csv, split by dashes": ("pixel_csv", {"format.delimiter": "-"}),
    "csv of one audience": ("liveramp", {"file.max_rows": 4}),
    "requests": ("ttd_first_party", {}),
    "short requests": ("ttd_first_party", {"file.max_items": 3}),
    "small requests": ("ttd_first_party", {"format.request_bytes_max": 1000}),
    "avro": ("xandr_avro", {"id_spaces": ("idfa", "aaid", "uid2")}),
    "avro in short blocks": ("xandr_avro", {"format.block_bytes": 40, "file.max_rows": 3}),
    "csv of contacts": ("google_customer_match", {}),
}
NAMES = ["10", "11", "12", "1-3"]
SAFE = st.text("abcXYZ0189", min_size=1, max_size=20)
ODD = st.sampled_from(["é", 'a"b', "a,b", "a b", "=1", "a\\b", "Jumelle0Jum", "a-b"])


def as_ndjson(seat: Seat) -> Seat:
    """Make of a seat of CSV one of NDJSON."""
    data = msgspec.to_builtins(seat)
    data["format"] = {"kind": "ndjson", "columns": data["format"]["columns"]}
    return msgspec.convert(data, Seat)


@st.composite
def blocks(draw: st.DrawFn, seat: Seat) -> list[IdBlock]:
    """Make sorted blocks of ids, most of them such as need no quotes, of each id space."""
    writer = writer_of(seat)
    names = [each for each in NAMES if not writer.refused_segment(each, seat)]
    minutes = 0 if seat.membership.expiry.unit == "none" else 1440
    found = []
    for id_space in sorted(seat.id_spaces):
        texts = draw(st.sampled_from([SAFE, SAFE | ODD]))
        if isinstance(seat.format, Avro) and seat.format.id_types[id_space].branch == "anid":
            texts = st.integers(0, 2**63 - 1).map(str)
        ids = draw(st.sets(texts, max_size=12))
        table = []
        for _ in range(3):
            used = draw(st.lists(st.sampled_from(names), unique=True, min_size=1))
            split = draw(st.integers(0, len(used)))
            table.append(([(each, minutes) for each in used[:split]], used[split:]))
        codes = [draw(st.integers(0, 2)) for _ in ids]
        if ids:
            found.append(block_of(id_space, sorted(ids), codes, table))
    return found


def by_group(parts: list[Part], plain: dict[str, bytes]) -> dict[Any, list[bytes]]:
    """Join the lines of each group's files, the header left out behind the first."""
    found: dict[Any, list[bytes]] = {}
    for part in parts:
        lines = plain[part.name].splitlines()
        group = (part.segment, part.action, part.id_space)
        known = found.setdefault(group, [])
        known += lines[1:] if known and lines[:1] == known[:1] else lines
    return found


@pytest.mark.parametrize("form", ["", "ndjson"])
@pytest.mark.parametrize("name", SEATS)
@given(data=st.data())
def test_blocks_become_the_lines_of_rows(
    every_seat: dict[str, Seat], name: str, form: str, data: st.DataObject
) -> None:
    """Whatever the format and its limits, blocks give the files and counts of their rows."""
    key, changes = SEATS[name]
    seat = every_seat[key]
    free = {"ids.validate": {}, "ids.case": {}, **changes}
    seat = changed(seat, free)
    if form == "ndjson":
        if seat.format.__class__.__name__ != "Csv":
            return
        seat = as_ndjson(seat)
    given_blocks = data.draw(blocks(seat))
    rows = [row for block in given_blocks for row in block.rows()]
    single = Written(rows, seat)
    many = Written([], seat)
    many.files = files = {}

    def opened(file: str) -> Kept:
        files[file] = Kept()
        return files[file]

    out = Parts(seat=seat, run=5, mode=Mode.DELTA, at_ms=AT_MS, open_file=opened)
    writer_of(seat).write_blocks(given_blocks, seat, out)
    parts = out.finish()
    if name.startswith("avro"):
        assert many.plain() == single.plain()
    assert by_group(parts, many.plain()) == by_group(single.parts, single.plain())
    assert total(parts) == total(single.parts)
    most = seat.file.max_rows
    assert all(each.counts.rows <= (most or each.counts.rows) for each in parts)


def total(parts: list[Part]) -> tuple[int, ...]:
    """Add up the counts of files."""
    return tuple(
        sum(getattr(part.counts, name) for part in parts)
        for name in ("rows", "adds", "removes", "ids")
    )
