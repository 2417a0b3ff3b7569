"""The bytes that partners get: golden files, limits, and reading back what was written."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from written_files import AT_MS, DAY_MINUTES, Kept, Written, changed

from audiences.exports.formats.choose import writer_of
from audiences.exports.formats.parts import Parts
from audiences.exports.formats.rows import Counts, IdRow, UnwritableRow
from audiences.exports.seat import Mode, Removal
from audiences.exports.seats import Seat

CASES = sorted((Path(__file__).parents[2] / "cases" / "seats").glob("*.json"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_golden_files(every_seat: dict[str, Seat], path: Path) -> None:
    """Each case's rows give exactly the case's files and counts."""
    case = json.loads(path.read_text(encoding="utf-8"))
    seat = changed(every_seat[case["seat"]], case["change"])
    rows = msgspec.convert(case["rows"], list[IdRow])
    written = Written(rows, seat, mode=Mode(case.get("mode", "delta")))
    charset = "latin-1" if seat.partner == "xandr" else "utf-8"
    found = {
        name: data.hex() if case.get("binary") else data.decode(charset)
        for name, data in written.plain().items()
    }
    assert found == case["expected"]["files"]
    assert written.counts == msgspec.convert(case["expected"]["counts"], Counts)


VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "xandr": ("xandr_958", {}),
    "xandr short lines": ("xandr_958", {"format.segments_per_line_max": 1}),
    "xandr section": (
        "xandr_958",
        {"membership.removal": "section", "format.separators.user": ":"},
    ),
    "xandr tagged": ("xandr_958", {"id_spaces": ["xandr", "idfa"], "format.tags": {"idfa": "3"}}),
    "ttd": ("ttd_demo", {"file.max_items": 2}),
    "csv": ("pixel_csv", {"file.max_rows": 2, "file.compression": "gzip"}),
}


@st.composite
def rows_for(draw: st.DrawFn, seat: Seat) -> list[IdRow]:
    """Draw rows that the seat can say, as an export makes them: sorted, each id once."""
    letters = "abz019é=." if seat.partner == "pixel" else "abz019"
    names = st.tuples(st.sampled_from(sorted(seat.id_spaces)), st.text(letters, min_size=1))
    segments = st.sampled_from(["10", "11", "12", "2147483647"])
    rows = []
    for id_space, name in sorted(draw(st.sets(names, max_size=8))):
        used = draw(st.lists(segments, unique=True, min_size=1))
        split = draw(st.integers(0, len(used)))
        days = draw(st.integers(1, 180))
        adds = [(segment, days * DAY_MINUTES) for segment in used[:split]]
        rows.append(IdRow(id=name, id_space=id_space, adds=adds, removes=used[split:]))
    return rows


@pytest.mark.parametrize(("key", "changes"), VARIANTS.values(), ids=VARIANTS)
@given(data=st.data())
def test_what_is_written_can_be_read(
    seats: dict[str, Seat], key: str, changes: dict[str, Any], data: st.DataObject
) -> None:
    """Reading gives the rows back, the counts are theirs, and writing twice gives equal bytes."""
    seat = changed(seats[key], changes)
    rows = data.draw(rows_for(seat))
    written = Written(rows, seat)
    assert written.read() == rows
    assert written.counts.adds == sum(len(row.adds) for row in rows)
    assert written.counts.removes == sum(len(row.removes) for row in rows)
    assert written.counts.ids == len(rows)
    for name in Counts.__struct_fields__:
        each = [getattr(part.counts, name) for part in written.parts]
        assert sum(each) == getattr(written.counts, name)
    again = Written(rows, seat)
    assert [part.sha256 for part in again.parts] == [part.sha256 for part in written.parts]
    assert all(not seat.file.max_rows or p.counts.rows <= seat.file.max_rows for p in again.parts)


def many(number: int, id_space: str) -> list[IdRow]:
    """Make rows of one segment each."""
    return [
        IdRow(id=f"{each:06}", id_space=id_space, adds=[("10", DAY_MINUTES)], removes=[])
        for each in range(number)
    ]


@pytest.mark.parametrize(("segments", "lines"), [(1800, 1), (1801, 2), (3601, 3)])
def test_a_xandr_line_holds_1800_segments(
    seats: dict[str, Seat], segments: int, lines: int
) -> None:
    """The 1801st segment begins a new line of the same id."""
    adds = [(str(each), DAY_MINUTES) for each in range(1, segments + 1)]
    written = Written([IdRow(id="1", id_space="xandr", adds=adds, removes=[])], seats["xandr_958"])
    assert (written.counts.rows, written.counts.ids) == (lines, 1)


@pytest.mark.parametrize(("items", "requests"), [(1600, 1), (1601, 2)])
def test_a_request_holds_1600_items(seats: dict[str, Seat], items: int, requests: int) -> None:
    """The 1601st item begins a new request."""
    assert Written(many(items, "ttd"), seats["ttd_demo"]).counts.rows == requests


@given(limit=st.integers(1000, 2000))
def test_a_request_stays_within_its_bytes(seats: dict[str, Seat], limit: int) -> None:
    """No request is longer than `request_bytes_max`, and none could have taken the next item."""
    seat = changed(seats["ttd_demo"], {"format.request_bytes_max": limit})
    lines = b"".join(Written(many(60, "ttd"), seat).plain().values()).splitlines(keepends=True)
    item = len(b'{"TDID":"000000","Data":[{"Name":"10","TtlInMinutes":1440}]},')
    assert all(limit - item - 1 <= len(line) <= limit for line in lines[:-1])


@pytest.mark.parametrize("compression", ["none", "gzip"])
@given(limit=st.integers(300, 1500), number=st.integers(1, 150))
def test_a_file_stays_within_its_bytes(
    seats: dict[str, Seat], compression: str, limit: int, number: int
) -> None:
    """No file is larger than `max_bytes` as it goes over the wire, and nothing is lost."""
    seat = changed(seats["pixel_csv"], {"file.max_bytes": limit, "file.compression": compression})
    rows = many(number, "pixel")
    written = Written(rows, seat)
    sizes = [len(file.data) for file in written.files.values()]
    assert sizes == [part.bytes for part in written.parts]
    assert max(sizes) <= limit
    assert written.read() == rows


def test_an_exactly_full_file_is_not_split(seats: dict[str, Seat]) -> None:
    """A file may be as large as its limit, to the byte; one byte less and there are two."""
    rows = many(10, "pixel")
    size = Written(rows, seats["pixel_csv"]).parts[0].bytes
    parts = [
        len(Written(rows, changed(seats["pixel_csv"], {"file.max_bytes": limit})).parts)
        for limit in (size, size - 1)
    ]
    assert parts == [1, 2]


@pytest.mark.parametrize(
    ("key", "changes"),
    [("pixel_csv", {"file.max_bytes": 10}), ("ttd_demo", {"format.request_bytes_max": 1000})],
    ids=["file", "request"],
)
def test_a_row_that_never_fits_stops_the_export(
    seats: dict[str, Seat], key: str, changes: dict[str, Any]
) -> None:
    """A row above the limits is an error that names the limit, not a broken file."""
    seat = changed(seats[key], changes)
    adds = [(str(each), DAY_MINUTES) for each in range(100)]
    row = IdRow(id="1", id_space=seat.id_spaces[0], adds=adds, removes=[])
    with pytest.raises(UnwritableRow, match="max"):
        Written([row], seat)


@pytest.mark.parametrize(
    ("key", "text", "allowed"),
    [
        ("xandr_958", "12345678900987654321", True),
        ("xandr_958", "é", True),
        ("xandr_958", "a,b", False),
        ("xandr_958", "a^b", False),
        ("xandr_958", "a\tb", False),
        ("xandr_958", "a\nb", False),
        ("xandr_958", "€", False),
        ("xandr_958", "", False),
        ("ttd_demo", "", False),
        ("ttd_demo", "a\x00", False),
        ("ttd_demo", "€", True),
        ("pixel_csv", 'a,"b"', True),
        ("pixel_csv", "a\r", False),
        ("pixel_csv", "", False),
        ("pixel_csv", "=HYPERLINK(1)", False),
        ("pixel_csv", "+1", False),
        ("pixel_csv", "-1", False),
        ("pixel_csv", "@SUM(A1)", False),
        ("pixel_csv", "\tx", False),
        ("pixel_csv", "\rx", False),
        ("pixel_csv", "a=b+c-d@e", True),
    ],
)
def test_ids_that_a_format_cannot_say_are_refused(
    seats: dict[str, Seat], key: str, text: str, *, allowed: bool
) -> None:
    """An id that would break the file is refused with a reason."""
    assert (writer_of(seats[key]).refused_id(text, seats[key]) == "") is allowed


@pytest.mark.parametrize(
    ("key", "changes", "segment", "allowed"),
    [
        ("xandr_958", {}, "10000", True),
        ("xandr_958", {}, "2147483647", True),
        ("xandr_958", {}, "2147483648", False),
        ("xandr_958", {}, "0", False),
        ("xandr_958", {}, "007", False),
        ("xandr_958", {}, "auto", False),
        ("xandr_958", {"format.fields": ["SEG_CODE", "EXPIRATION"]}, "auto", True),
        ("xandr_958", {"format.fields": ["SEG_CODE", "EXPIRATION"]}, "a;b", False),
        ("ttd_demo", {}, "s1", True),
        ("ttd_demo", {}, "", False),
        ("pixel_csv", {}, "cycling", True),
        ("pixel_csv", {}, "a\nb", False),
        ("pixel_csv", {}, "=1+1", False),
        ("adobe_audience_manager", {}, "24", True),
        ("adobe_audience_manager", {}, "shoes", False),
        ("adform", {}, "vélo", True),
        ("adform", {}, "a,b", False),
        ("adform", {}, "a\tb", False),
        ("beeswax", {}, "acme-12", True),
        ("beeswax", {}, "acme-12:0.5", False),
        ("ttd_crm", {}, "crm_1", True),
        ("ttd_crm", {}, "../crm", False),
        ("ttd_crm", {}, "a/b", False),
        ("ttd_crm", {}, ".hidden", False),
        ("google_data_manager", {}, "111", True),
        ("google_data_manager", {}, "list", False),
        ("google_bulk", {}, "9223372036854775807", True),
        ("google_bulk", {}, "9223372036854775808", False),
        ("google_bulk", {}, "0", False),
        ("xandr_avro", {}, "2147483647", True),
        ("xandr_avro", {}, "2147483648", False),
        ("criteo", {}, "12", True),
        ("criteo", {}, "", False),
    ],
)
def test_segments_that_a_format_cannot_say_are_refused(
    every_seat: dict[str, Seat], key: str, changes: dict[str, Any], segment: str, *, allowed: bool
) -> None:
    """A segment that the partner could not read is refused before it is activated."""
    seat = changed(every_seat[key], changes)
    assert (writer_of(seat).refused_segment(segment, seat) == "") is allowed


def test_an_empty_export_can_still_empty_a_seat(seats: dict[str, Seat]) -> None:
    """Where absence removes, a file with the header alone is written."""
    seat = changed(
        seats["pixel_csv"], {"membership.removal": Removal.REPLACE, "membership.mode": "full"}
    )
    kept = Kept()
    out = Parts(seat=seat, run=5, mode=Mode.FULL, at_ms=AT_MS, open_file=lambda _name: kept)
    writer_of(seat).write([], seat, out)
    (part,) = out.finish(even_empty=True)
    assert (part.counts.rows, kept.data) == (0, b"id,segment,action,expires_days\n")


def test_an_export_without_rows_has_no_file(seats: dict[str, Seat]) -> None:
    """Elsewhere nothing to say means no file."""
    assert Written([], seats["xandr_958"]).parts == []


def test_gzip_holds_neither_name_nor_time(seats: dict[str, Seat]) -> None:
    """The header's time is 0 and it names no file, so that a retry gives the same bytes."""
    (file,) = Written(many(1, "xandr"), seats["xandr_958"]).files.values()
    assert file.data[:8] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00"
