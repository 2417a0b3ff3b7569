"""Xandr's Avro files as the library fastavro reads them, with the schema and without ours."""

import io
from typing import Any

import fastavro
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from written_files import Written, changed

from audiences.exports.format_checks import AVRO_DOMAINS
from audiences.exports.formats.avro_bytes import Reader, long_bytes
from audiences.exports.formats.rows import IdRow
from audiences.exports.formats.xandr_avro import domains, schema
from audiences.exports.seat import Mode, Removal
from audiences.exports.seats import Seat

IDFA = "AEBE52E7-03EE-455A-B3C4-E57283966239"
U = "tMmiiTI7IaAcPpQPFQ65uMVCWH8av9jw4cwf/F5HVRQ="
ROWS = [
    IdRow(id=IDFA, id_space="idfa", adds=[("10000", 1440)], removes=["10002"]),
    IdRow(id=U, id_space="uid2", adds=[("10000", 259_200)], removes=[]),
    IdRow(id="12345", id_space="xandr", adds=[], removes=["123"]),
]


def segment(number: int, expiration: int) -> dict[str, Any]:
    """Write a segment as a reader gives it."""
    rest = {"code": "", "member_id": 0, "timestamp": 0, "value": 0}
    return {"id": number, "expiration": expiration, **rest}


def records(data: bytes) -> list[Any]:
    """Let fastavro read a file; a branch of the union comes with its name."""
    return list(fastavro.reader(io.BytesIO(data), return_record_name=True))


def test_fastavro_reads_what_was_written(templates: dict[str, Seat]) -> None:
    """Each id is said by its branch, each removal by the lifetime -1."""
    (data,) = Written(ROWS, templates["xandr_avro"]).plain().values()
    assert records(data) == [
        {
            "uid": ("xandr.avro.device_id", {"id": IDFA, "domain": "idfa"}),
            "segments": [segment(10_000, 1440), segment(10_002, -1)],
        },
        {
            "uid": ("xandr.avro.eid", {"source": "uidapi.com", "id": U}),
            "segments": [segment(10_000, 259_200)],
        },
        {"uid": 12_345, "segments": [segment(123, -1)]},
    ]


def test_fastavro_writes_the_same_records(templates: dict[str, Seat]) -> None:
    """What the library writes with the same schema is, uncompressed, the same block."""
    seat = changed(templates["xandr_avro"], {"format.codec": "null"})
    (data,) = Written(ROWS, seat).plain().values()
    other = io.BytesIO()
    fastavro.writer(
        other,
        fastavro.parse_schema(msgspec.json.decode(schema())),
        records(data),
        codec="null",
        sync_marker=data[-16:],
    )
    block = other.getvalue().split(data[-16:])[1]
    assert data.split(data[-16:])[1] == block


def test_the_vendors_example_is_said_so(templates: dict[str, Seat]) -> None:
    """The JSON view of the page's device id and member's id is what a reader sees."""
    seat = changed(
        templates["xandr_avro"],
        {
            "id_spaces": ["aaid", "crm", "device", "hashed"],
            "ids.validate": {},
            "format.id_types": {
                "aaid": {"branch": "device_id", "domain": "aaid"},
                "crm": {"branch": "external_id"},
                "device": {"branch": "ifa", "type": "atif"},
                "hashed": {"branch": "hem"},
            },
        },
    )
    names = {
        "aaid": "958cba26-f338-43f3-8bb0-ed821582daae",
        "crm": "clientid1",
        "device": "99136473264876328",
        "hashed": "ab" * 32,
    }
    rows = [
        IdRow(id=name, id_space=id_space, adds=[("123", 1440)], removes=[])
        for id_space, name in names.items()
    ]
    written = Written(rows, seat)
    (data,) = written.plain().values()
    assert [each["uid"] for each in records(data)] == [
        ("xandr.avro.device_id", {"id": names["aaid"], "domain": "aaid"}),
        ("xandr.avro.external_id", {"id": "clientid1", "member_id": 958}),
        ("xandr.avro.ifa", {"id": "99136473264876328", "type": "atif"}),
        ("xandr.avro.hem", {"hex_encoded": names["hashed"]}),
    ]
    assert written.read() == rows


def test_without_lifetimes_the_members_own_holds(templates: dict[str, Seat]) -> None:
    """A seat that says no lifetimes leaves them to the member: -2, never 0 or a removal."""
    seat = changed(
        templates["xandr_avro"],
        {"membership.expiry": {"unit": "none"}, "membership.refresh_before_days": 0},
    )
    row = IdRow(id="1", id_space="xandr", adds=[("10", 0)], removes=["11"])
    (data,) = Written([row], seat).plain().values()
    (record,) = records(data)
    assert [each["expiration"] for each in record["segments"]] == [-2, -1]


def test_codes_are_said_with_their_member(templates: dict[str, Seat]) -> None:
    """A segment by code says whose it is and no number."""
    seat = changed(templates["xandr_avro"], {"format.segment": "code", "format.value": 7})
    row = IdRow(id="1", id_space="xandr", adds=[("vélo", 1440)], removes=[])
    (data,) = Written([row], seat).plain().values()
    (record,) = records(data)
    assert record["segments"] == [
        {
            "id": 0,
            "code": "vélo",
            "member_id": 958,
            "expiration": 1440,
            "timestamp": 0,
            "value": 7,
        }
    ]


def test_blocks_and_files_are_split(templates: dict[str, Seat]) -> None:
    """Blocks close at their size, files at their rows and bytes; a reader gets every record."""
    rows = [
        IdRow(id=str(each), id_space="xandr", adds=[("10", 1440)], removes=[])
        for each in range(100, 400)
    ]
    for changes in (
        {"format.block_bytes": 100, "file.max_rows": 100},
        {"format.block_bytes": 100, "file.max_bytes": 2500},
    ):
        seat = changed(templates["xandr_avro"], changes)
        written = Written(rows, seat)
        found = [record for data in written.plain().values() for record in records(data)]
        assert [each["uid"] for each in found] == list(range(100, 400))
        assert len(written.parts) > 1
        assert all(part.counts.rows <= 100 or not seat.file.max_rows for part in written.parts)
        assert all(part.bytes <= 2500 or not seat.file.max_bytes for part in written.parts)


def test_the_marker_comes_of_the_content(templates: dict[str, Seat]) -> None:
    """The same rows give the same 16 bytes at the end, other rows give others."""
    one, two, again = (
        next(iter(Written(rows, templates["xandr_avro"]).plain().values()))[-16:]
        for rows in (ROWS, ROWS[:1], ROWS)
    )
    assert one == again
    assert one != two


def test_a_schema_of_the_partners_own_reads_it(templates: dict[str, Seat]) -> None:
    """A reader with fewer branches and fields still gets what it knows, by name."""
    known = msgspec.json.decode(schema())
    union = known["fields"][0]["type"]
    known["fields"][0]["type"] = [each for each in reversed(union) if each != "hem"]
    segments = known["fields"][1]["type"]["items"]["fields"]
    known["fields"][1]["type"]["items"]["fields"] = segments[:1] + segments[3:4]
    (data,) = Written(ROWS, templates["xandr_avro"]).plain().values()
    found: list[Any] = list(fastavro.reader(io.BytesIO(data), fastavro.parse_schema(known)))
    assert found[0]["segments"] == [
        {"id": 10_000, "expiration": 1440},
        {"id": 10_002, "expiration": -1},
    ]


def test_the_checks_know_the_schemas_domains() -> None:
    """What a seat may say of a device is what the schema has a symbol for."""
    assert set(domains()) == AVRO_DOMAINS


@given(st.integers(-(2**63), 2**63 - 1))
def test_numbers_come_back(number: int) -> None:
    """A number reads back as it was, as fastavro writes it."""
    data = long_bytes(number)
    other = io.BytesIO()
    fastavro.schemaless_writer(other, {"type": "long"}, number)
    assert data == other.getvalue()
    assert Reader(data).long() == number


def test_removal_of_all_is_still_delta(templates: dict[str, Seat]) -> None:
    """Records that only remove are written in a full file too."""
    seat = templates["xandr_avro"]
    assert seat.membership.removal is Removal.SENTINEL
    (part,) = Written(ROWS[2:], seat, mode=Mode.FULL).parts
    assert (part.counts.adds, part.counts.removes) == (0, 1)


@pytest.mark.parametrize("codec", ["deflate", "null"])
def test_the_header_names_the_codec(templates: dict[str, Seat], codec: str) -> None:
    """A reader learns from the file how its blocks are compressed."""
    seat = changed(templates["xandr_avro"], {"format.codec": codec})
    (data,) = Written(ROWS, seat).plain().values()
    read: Any = fastavro.reader(io.BytesIO(data))
    assert read.codec == codec
