"""Every format that ships as a template: read back, counted, repeated, limited, refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from written_files import DAY_MINUTES, Written, changed

import service
from audiences.exports.formats.choose import FORMATS, writer_of
from audiences.exports.formats.parts import Group
from audiences.exports.formats.request_batches import Batches
from audiences.exports.formats.rows import Counts, IdRow, UnwritableRow
from audiences.exports.id_shapes import shape_of
from audiences.exports.seat import Removal, Unit
from audiences.exports.seats import Seat

FOLDER = Path(service.__file__).parent / "example_config" / "seat_templates"
KEYS = sorted(path.stem for path in FOLDER.glob("*.toml"))
NDJSON = {
    "format": {
        "kind": "ndjson",
        "columns": [
            {"header": each, "value": each}
            for each in ("id", "id_space", "segment", "action", "minutes")
        ],
    }
}
PARQUET = {
    "format": {**NDJSON["format"], "kind": "parquet", "row_group_rows": 2},
    "file.max_rows": 5,
}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {key: (key, {}) for key in KEYS} | {
    "ndjson": ("pixel_csv", NDJSON),
    "parquet": ("pixel_csv", PARQUET),
    "short avro blocks": ("xandr_avro", {"format.block_bytes": 1, "file.max_rows": 2}),
    "avro codes": ("xandr_avro", {"format.segment": "code", "format.codec": "null"}),
    "short lines": ("adobe_audience_manager", {"format.segments_per_line_max": 1}),
    "adobe split": ("adobe_audience_manager", {"file.max_rows": 1}),
    "small requests": ("google_data_manager", {"file.max_items": 1, "format.encoding": "base64"}),
    "small messages": ("google_bulk", {"format.request_bytes_max": 1000, "file.max_rows": 1}),
}

HEX = "0123456789abcdef"
UUID = st.uuids().map(str)
TEXTS: dict[str, st.SearchStrategy[str]] = {
    "uuid": UUID,
    "uuid_upper": UUID.map(str.upper),
    "uuid_lower": UUID,
    "digits": st.text("0123456789", min_size=1, max_size=38),
    "int64": st.integers(0, 2**63 - 1).map(str),
    "sha256_hex": st.text(HEX, min_size=64, max_size=64),
    "sha256_base64": st.text("abcXYZ019+/", min_size=43, max_size=43).map("{}=".format),
    "": st.text("abz019", min_size=1),
}


@st.composite
def rows_for(draw: st.DrawFn, seat: Seat) -> list[IdRow]:
    """Draw rows that the seat can say, as an export makes them: sorted, each id once."""
    names = st.sampled_from(sorted(seat.id_spaces)).flatmap(
        lambda space: st.tuples(st.just(space), TEXTS[shape_of(space, seat)])
    )
    segments = st.sampled_from(["10", "11", "12", "2147483647"])
    has_ends = seat.membership.expiry.unit is not Unit.NONE
    rows = []
    for id_space, name in sorted(draw(st.sets(names, max_size=8))):
        used = draw(st.lists(segments, unique=True, min_size=1))
        split = draw(st.integers(0, len(used)))
        minutes = draw(st.integers(1, 180)) * DAY_MINUTES if has_ends else 0
        adds = [(segment, minutes) for segment in used[:split]]
        rows.append(IdRow(id=name, id_space=id_space, adds=adds, removes=used[split:]))
    return rows


def sayable(rows: list[IdRow], seat: Seat) -> list[IdRow]:
    """Give what a reader can learn: no removals where a format has none, segments in any order."""
    silent = seat.membership.removal in {Removal.NONE, Removal.REPLACE}
    said = [
        msgspec.structs.replace(
            row, adds=sorted(row.adds), removes=[] if silent else sorted(row.removes)
        )
        for row in rows
    ]
    return [row for row in said if row.adds or row.removes]


@pytest.mark.parametrize(("key", "changes"), VARIANTS.values(), ids=VARIANTS)
@settings(max_examples=30)
@given(data=st.data())
def test_what_is_written_can_be_read(
    every_seat: dict[str, Seat], key: str, changes: dict[str, Any], data: st.DataObject
) -> None:
    """Reading gives the rows back, the counts are theirs, and writing twice gives equal bytes."""
    seat = changed(every_seat[key], changes)
    rows = data.draw(rows_for(seat))
    written, said = Written(rows, seat), sayable(rows, seat)
    assert sayable(written.read(), seat) == said
    assert written.counts.adds == sum(len(row.adds) for row in said)
    assert written.counts.removes == sum(len(row.removes) for row in said)
    assert written.counts.ids == len(said)
    for name in Counts.__struct_fields__:
        each = [getattr(part.counts, name) for part in written.parts]
        assert sum(each) == getattr(written.counts, name)
    again = Written(rows, seat)
    assert [part.sha256 for part in again.parts] == [part.sha256 for part in written.parts]
    assert all(not seat.file.max_rows or p.counts.rows <= seat.file.max_rows for p in again.parts)


@pytest.mark.parametrize("key", KEYS)
def test_ids_that_can_be_drawn_are_allowed(every_seat: dict[str, Seat], key: str) -> None:
    """What a space's ids look like is nothing that its format refuses."""
    seat = every_seat[key]
    for id_space in seat.id_spaces:
        text = {"": "abz019", "digits": "059", "int64": "12"}.get(shape_of(id_space, seat))
        hashed = "a" * 64 if shape_of(id_space, seat) == "sha256_hex" else "+" + "a" * 42 + "="
        name = {
            "uuid": "958cba26-f338-43f3-8bb0-ed821582daae",
            "uuid_upper": "AEBE52E7-03EE-455A-B3C4-E57283966239",
            "uuid_lower": "958cba26-f338-43f3-8bb0-ed821582daae",
        }.get(shape_of(id_space, seat), hashed)
        assert writer_of(seat).refused_id(text or name, seat, id_space) == ""


@pytest.mark.parametrize("key", KEYS)
def test_nothing_to_say_is_no_file(every_seat: dict[str, Seat], key: str) -> None:
    """Without rows there is no file."""
    assert Written([], every_seat[key]).parts == []


def test_every_format_has_a_seat(every_seat: dict[str, Seat]) -> None:
    """Each kind of format is that of an example, a template or a variant here."""
    seats = [changed(every_seat[key], changes) for key, changes in VARIANTS.values()]
    used = {type(seat.format) for seat in [*every_seat.values(), *seats]}
    assert used == set(FORMATS)


def many(number: int, id_space: str, text: Callable[[int], str]) -> list[IdRow]:
    """Make rows of one segment each."""
    return [
        IdRow(id=text(each), id_space=id_space, adds=[("10", 0)], removes=[])
        for each in range(number)
    ]


@pytest.mark.parametrize(
    ("key", "id_space", "most"),
    [
        ("google_data_manager", "email_google", 10_000),
        ("meta", "email_meta", 10_000),
        ("criteo", "email_criteo", 50_000),
    ],
)
def test_a_request_holds_as_many_members_as_the_partner_takes(
    every_seat: dict[str, Seat], key: str, id_space: str, most: int
) -> None:
    """A request is filled to the partner's limit, and the first member above begins another."""
    rows = many(most + 1, id_space, "{:064x}".format)
    (data,) = Written(rows, every_seat[key]).plain().values()
    members = [line.count(b'"' + b"0" * 59) for line in data.splitlines()]
    assert members == [most, 1]


@pytest.mark.parametrize("over", [0, 1])
def test_an_adobe_line_stays_within_its_bytes(every_seat: dict[str, Seat], over: int) -> None:
    """A line of 102,400 bytes is one line, a byte more makes two."""
    seat = every_seat["adobe_audience_manager"]
    adds = [(str(1_000_000 + each), 0) for each in range(7314)]
    start = 102_400 - sum(len(f"d_sid={segment},") for segment, _ in adds) - len("\t")
    row = IdRow(id="1" * (start + over), id_space="adobe", adds=adds, removes=[])
    (data,) = Written([row], seat).plain().values()
    lines = data.splitlines(keepends=True)
    assert [len(line) <= 102_400 for line in lines] == [True] * (1 + over)
    assert len(lines[0]) == 102_400 or over


def test_more_lines_than_adobe_reads_stop_the_export(every_seat: dict[str, Seat]) -> None:
    """Adobe drops all lines of an id but 200, so there are never more."""
    seat = changed(every_seat["adobe_audience_manager"], {"format.segments_per_line_max": 1})
    for segments in (200, 201):
        adds = [(str(each), 0) for each in range(segments)]
        row = IdRow(id="1", id_space="adobe", adds=adds, removes=[])
        if segments == 200:
            assert Written([row], seat).counts.rows == 200
        else:
            with pytest.raises(UnwritableRow, match="lines_per_id_max"):
                Written([row], seat)


def test_a_member_has_ten_identifiers(every_seat: dict[str, Seat]) -> None:
    """An eleventh identifier of one person is an error, not a request that Google refuses."""
    others = [("phone_google", f"{each:064x}") for each in range(10)]
    row = IdRow(id="a" * 64, id_space="email_google", adds=[("1", 0)], removes=[], others=others)
    seat = every_seat["google_data_manager"]
    nine = msgspec.structs.replace(row, others=others[:9])
    assert Written([nine], seat).counts == Counts(rows=1, adds=1, removes=0, ids=10)
    with pytest.raises(UnwritableRow, match="at most 10"):
        Written([row], seat)


def test_files_that_are_open_at_once_are_bounded(every_seat: dict[str, Seat]) -> None:
    """A file for each of very many audiences is an error that names the way out."""
    adds = [(str(each), 0) for each in range(501)]
    row = IdRow(id="a" * 64, id_space="email_criteo", adds=adds, removes=[])
    with pytest.raises(UnwritableRow, match="more than 500 files"):
        Written([row], every_seat["criteo"])


@given(limit=st.integers(1, 1000), names=st.lists(st.sampled_from("abc"), max_size=60))
def test_unfilled_requests_wait_within_a_bound(
    every_seat: dict[str, Seat], limit: int, names: list[str]
) -> None:
    """When too much waits, the fullest request goes early; nothing is lost or sent twice."""
    written: list[bytes] = []

    class Taking:
        def put(self, line: bytes, **_counts: Any) -> None:
            written.append(line)

        def group(self, *about: str) -> Group:
            return Group(*about)

    out: Any = Taking()
    batches = Batches(
        every_seat["criteo"],
        out,
        body=lambda about: (about.segment.encode() + b":[", b"]"),
        bytes_max=10_000,
        waiting_bytes_max=limit,
    )
    members = [f"{each:04}" for each in range(len(names))]
    for segment, member in zip(names, members, strict=True):
        batches.put(Group(segment, "add"), member.encode(), ids=1)
        assert sum(each.size - each.bare for each in batches._batches.values()) <= limit
    batches.finish()
    found = {
        (line[:1].decode(), member) for line in written for member in line[3:-2].decode().split(",")
    }
    assert found == set(zip(names, members, strict=True))
    assert sum(line.count(b",") + 1 for line in written) == len(names)


@pytest.mark.parametrize("key", ["xandr_text", "xandr_avro", "ttd_first_party"])
@pytest.mark.parametrize("minutes", [0, -1, -2])
def test_no_lifetime_is_a_sentinel(every_seat: dict[str, Seat], key: str, minutes: int) -> None:
    """What removes, or stands for the maximum, is never sent as somebody's lifetime."""
    row = IdRow(id="1", id_space=every_seat[key].id_spaces[0], adds=[("10", minutes)], removes=[])
    with pytest.raises(UnwritableRow, match="lifetime"):
        Written([row], every_seat[key])


SEALED = "0" * 96
REFUSED = [
    ("ttd_crm", "email_uid2", SEALED),
    ("ttd_crm", "email_uid2", "a" * 64),
    ("google_data_manager", "email_google", SEALED),
    ("google_data_manager", "email_google", "tMmiiTI7IaAcPpQPFQ65uMVCWH8av9jw4cwf/F5HVRQ="),
    ("google_data_manager", "phone_google", "A" * 64),
    ("ttd_first_party", "ttd", "TDID"),
    ("ttd_first_party", "uid2", "a" * 64),
    ("adobe_audience_manager", "idfa", "958cba26-f338-43f3-8bb0-ed821582daae"),
    ("adobe_audience_manager", "aaid", "AEBE52E7-03EE-455A-B3C4-E57283966239"),
    ("adobe_audience_manager", "adobe", "1:2"),
    ("beeswax", "beeswax", "a|b"),
    ("beeswax", "beeswax", " a"),
    ("beeswax", "beeswax", "a\n"),
    ("beeswax", "beeswax", ""),
    ("adform", "adform", "a\tb"),
    ("xandr_avro", "xandr", "9223372036854775808"),
    ("xandr_avro", "xandr", "x"),
    ("xandr_text", "xandr", "9223372036854775808"),
]


@pytest.mark.parametrize(("key", "id_space", "text"), REFUSED)
def test_ids_of_another_shape_are_refused(
    every_seat: dict[str, Seat], key: str, id_space: str, text: str
) -> None:
    """An id that is no id of its space never leaves, least of all a sealed one."""
    seat = every_seat[key]
    assert writer_of(seat).refused_id(text, seat, id_space)


def test_a_wording_that_could_be_another_is_refused(every_seat: dict[str, Seat]) -> None:
    """Where a sign before a segment removes, no segment that is added begins with it."""
    seat = changed(
        every_seat["adobe_audience_manager"],
        {"format.add": "{segment}", "format.remove": "-{segment}", "format.segments": "any"},
    )
    assert writer_of(seat).refused_segment("-24", seat)
    assert writer_of(seat).refused_segment("24", seat) == ""


def test_letters_are_written_in_the_partners_case(every_seat: dict[str, Seat]) -> None:
    """A seat may want device ids in another case than they are kept in."""
    seat = changed(every_seat["adobe_audience_manager"], {"ids.case": {"idfa": "lower"}})
    name = "AEBE52E7-03EE-455A-B3C4-E57283966239"
    rows = [IdRow(id=name, id_space="idfa", adds=[("24", 0)], removes=[])]
    written = Written(rows, seat)
    assert written.plain()["ftp_dpm_20915_478_1795219200.sync.1.gz"].startswith(
        name.lower().encode()
    )
    assert written.read() == rows
