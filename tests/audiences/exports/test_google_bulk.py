"""Google's bulk uploader: the bytes as the official runtime of Protocol Buffers reads them."""

from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given
from hypothesis import strategies as st
from written_files import Written, changed

from audiences.exports.formats.google_bulk import messages_of
from audiences.exports.formats.protobuf import fields_of, read_varint, varint
from audiences.exports.formats.rows import IdRow, UnwritableRow
from audiences.exports.seats import Seat

TYPES = {"aaid": 2, "google": 0, "idfa": 1}
VECTOR = "0a1f0a1b43414553454849563848584e70307046644867693272456c4d666b206f1801"
KIND = descriptor_pb2.FieldDescriptorProto
STRING, INT64, BOOL = KIND.TYPE_STRING, KIND.TYPE_INT64, KIND.TYPE_BOOL
INT32, MESSAGE = KIND.TYPE_INT32, KIND.TYPE_MESSAGE
FIELDS = {
    "UserDataOperation": [
        ("user_id", 1, STRING),
        ("user_list_id", 4, INT64),
        ("time_added_to_user_list", 5, INT64),
        ("delete", 6, BOOL),
        ("data_source_id", 7, INT32),
        ("time_added_to_user_list_in_usec", 8, INT64),
        ("opt_out", 12, BOOL),
        ("user_id_type", 14, INT32),
    ],
    "UpdateUsersDataRequest": [
        ("ops", 1, MESSAGE),
        ("send_notifications", 2, BOOL),
        ("process_consent", 3, BOOL),
    ],
}


def request_type() -> Any:
    """Build the vendor's message from its field numbers."""
    file = descriptor_pb2.FileDescriptorProto(name="bulk.proto", package="bulk", syntax="proto2")
    for name, fields in FIELDS.items():
        message = file.message_type.add(name=name)
        for field, number, kind in fields:
            said = message.field.add(
                name=field, number=number, type=kind, label=KIND.LABEL_OPTIONAL
            )
            if kind == MESSAGE:
                said.label = KIND.LABEL_REPEATED
                said.type_name = ".bulk.UserDataOperation"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found = pool.FindMessageTypeByName("bulk.UpdateUsersDataRequest")
    return message_factory.GetMessageClass(found)


REQUEST = request_type()


def requests(rows: list[IdRow], seat: Seat) -> list[Any]:
    """Write rows and let the official runtime read every message."""
    return [
        REQUEST.FromString(message)
        for data in Written(rows, seat).plain().values()
        for message in messages_of(data)
    ]


def test_the_vendors_example(templates: dict[str, Seat]) -> None:
    """One Google id and one list give the vendor's bytes, and the runtime writes the same."""
    row = IdRow(id="CAESEHIV8HXNp0pFdHgi2rElMfk", id_space="google", adds=[("111", 0)], removes=[])
    (data,) = Written([row], templates["google_bulk"]).plain().values()
    (message,) = messages_of(data)
    assert message.hex() == VECTOR
    assert REQUEST.FromString(message).SerializeToString(deterministic=True) == message


@given(
    ids=st.lists(st.text(min_size=1).filter(str.isprintable), unique=True, max_size=6),
    number=st.integers(1, 2**63 - 1),
)
def test_the_official_runtime_reads_what_was_written(
    templates: dict[str, Seat], ids: list[str], number: int
) -> None:
    """Every id, list, deletion and kind of id arrives, with the consent that Google asks for."""
    seat = changed(templates["google_bulk"], {"format.data_source_id": 1000})
    kinds = sorted(seat.id_spaces)
    rows = [
        IdRow(
            id=name,
            id_space=kinds[place % 3],
            adds=[(str(number), 0)],
            removes=["5"] if number != 5 else [],
        )
        for place, name in enumerate(ids)
    ]
    found = requests(rows, seat)
    assert all(each.process_consent for each in found)
    assert [
        (each.user_id, each.user_list_id, each.delete, each.user_id_type, each.data_source_id)
        for request in found
        for each in request.ops
    ] == [
        (row.id, int(segment), deleted, TYPES[row.id_space], 1000)
        for row in rows
        for segment, deleted in [
            *((segment, False) for segment, _ in row.adds),
            *((segment, True) for segment in row.removes),
        ]
    ]


@pytest.mark.parametrize("over", [0, 1])
def test_a_message_stays_within_its_bytes(templates: dict[str, Seat], over: int) -> None:
    """A message of exactly 100,000 bytes is one; an id longer by one byte makes two."""
    operation = len(bytes.fromhex(VECTOR)) - 2
    rows = [
        IdRow(id=f"{each:027}", id_space="google", adds=[("111", 0)], removes=[])
        for each in range(99_998 // operation - 1)
    ]
    left = 99_998 - operation * len(rows)
    rows.append(IdRow(id="x" * (left - 6 + over), id_space="google", adds=[("111", 0)], removes=[]))
    (data,) = Written(rows, templates["google_bulk"]).plain().values()
    sizes = [len(message) for message in messages_of(data)]
    assert len(sizes) == 1 + over
    assert (sizes[0] == 100_000) == (not over)
    assert max(sizes) <= 100_000


def test_an_operation_that_never_fits_stops_the_export(templates: dict[str, Seat]) -> None:
    """An id longer than a whole message is an error."""
    row = IdRow(id="x" * 100_000, id_space="google", adds=[("111", 0)], removes=[])
    with pytest.raises(UnwritableRow, match="request_bytes_max"):
        Written([row], templates["google_bulk"])


@given(st.integers(0, 2**64 - 1))
def test_numbers_come_back(number: int) -> None:
    """A varint reads back as the number it was, to its last byte."""
    data = varint(number)
    assert read_varint(data, 0) == (number, len(data))


def test_other_wire_types_are_told() -> None:
    """A field of a kind that is never written here is no field."""
    with pytest.raises(ValueError, match="wire type 5"):
        list(fields_of(b"\x0d\x00\x00\x00\x00"))
