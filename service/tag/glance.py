"""The common request, decided at a glance: messages of a known browser that prove nothing.

What the steps of `collect.py` would give comes out, with the same bytes, or None: then they must be
taken. A test compares both ways over random requests.
"""

from datetime import datetime
from typing import Final

import msgspec

from service.tag.door import Door
from service.tag.harmless import is_harmless_part, is_plain_name
from service.tag.message_bodies import (
    BATCH_BYTES_MAX,
    BATCH_MESSAGES_MAX,
    MESSAGE_BYTES_MAX,
    UNDECODABLE,
)
from service.tag.messages import TYPES
from service.tag.record import Kind, write_packed
from service.tag.request import TagRequest
from service.tag.sender import Sender, packed_meta, told_by

PLAIN_TIME_LENGTH: Final = len("2026-11-22T09:30:00.000Z")


class Common(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename="camel",
    omit_defaults=True,
    forbid_unknown_fields=True,
    gc=False,
):
    """A message with the fields that most have, and no other."""

    type: str
    message_id: str | None = None
    anonymous_id: str | None = None
    event: str | None = None
    name: str | None = None
    category: str | None = None
    timestamp: str | None = None
    sent_at: str | None = None
    properties: msgspec.Raw = msgspec.Raw(b"")
    context: msgspec.Raw = msgspec.Raw(b"")


_decode: Final = msgspec.json.Decoder(Common).decode
_decode_list: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_encode: Final = msgspec.json.Encoder().encode
_read_time: Final = datetime.fromisoformat


def records_at_a_glance(
    door: Door, request: TagRequest, sender: Sender
) -> tuple[bytes, ...] | None:
    """Give the records of a request whose sender `is_common`; None leaves all of it open."""
    body = request.body
    if body[:1] != b"[" or body[-1:] != b"]":
        record = record_at_a_glance(door, request, sender, body)
        return None if record is None else (record,)
    alone = record_at_a_glance(door, request, sender, body[1:-1])
    if alone is not None:
        return (alone,)
    try:
        raws = _decode_list(body)
    except UNDECODABLE:
        return None
    if len(raws) > BATCH_MESSAGES_MAX or len(body) > BATCH_BYTES_MAX:
        return None
    records = []
    for raw in raws:
        record = record_at_a_glance(door, request, sender, bytes(raw))
        if record is None:
            return None
        records.append(record)
    return tuple(records)


def record_at_a_glance(door: Door, request: TagRequest, sender: Sender, raw: bytes) -> bytes | None:
    """Give the record of one message of a sender who `is_common`; None leaves all of it open."""
    try:
        message = _decode(raw)
        # Why the length: `harmless.py` says what it proves.
        if len(_encode(message)) != len(raw) or len(raw) > MESSAGE_BYTES_MAX:
            return None
        if not _has_plain_names(message):
            return None
        context = bytes(message.context)
        told = sender.told.get(context) or told_by(sender, context)
    except UNDECODABLE:
        return None
    properties = bytes(message.properties)
    if properties and not is_harmless_part(properties):
        return None
    type_ = message.type
    if not told.is_common or type_ not in TYPES or (type_ == "track" and not message.event):
        return None
    known = sender.packed.get((type_, told.encoded))
    packed = known or packed_meta(door, sender, told, type_)
    return write_packed(Kind.MESSAGE, request.received_us, sender.visitor, packed, raw)


def _has_plain_names(message: Common) -> bool:
    """Tell names without contacts, and times as browsers write them; ValueError for no time."""
    for time in (message.timestamp, message.sent_at):
        if time is not None:
            _read_time(time)
            if len(time) != PLAIN_TIME_LENGTH or time[-1] != "Z":
                return False
    for name in (
        message.message_id,
        message.anonymous_id,
        message.event,
        message.name,
        message.category,
    ):
        if name is not None and not is_plain_name(name):
            return False
    return True
