"""The common request, decided at a glance: messages of a known browser that prove nothing.

What the steps of `collect.py` would give comes out, with the same bytes, or None: then they must be
taken. A test compares both ways over random requests.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec

from service.tag.door import Door
from service.tag.frames import FRAMES_MAX, frame_of, is_frame
from service.tag.harmless import is_harmless_part, is_plain_name
from service.tag.message_bodies import (
    BATCH_BYTES_MAX,
    BATCH_MESSAGES_MAX,
    MESSAGE_BYTES_MAX,
    UNDECODABLE,
)
from service.tag.messages import Type
from service.tag.pixel import PIXEL_FIELDS, pixel_message
from service.tag.record import write_stamped
from service.tag.sender import Sender, told_by, who_at
from service.tag.told import Manner, manner_of

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

    type: Type
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
_encode: Final = msgspec.json.Encoder().encode
_read_time: Final = datetime.fromisoformat
_BETWEEN: Final = b'},{"type":'
_PROPERTIES: Final = b'"properties":'
_CUT: Final = b'}\n{"type":'


def keep_at_a_glance(
    door: Door, sender: Sender, body: bytes, stamp: bytes, records: list[bytes]
) -> bool:
    """Append the records of a request whose sender `is_common`; False leaves all of it open."""
    is_list = body[:1] == b"[" and body[-1:] == b"]"
    inner = body[1:-1] if is_list else body
    who = _who(door, sender, inner)
    if who is not None:  # one object, which no list of several is
        records.append(write_stamped(stamp, who, inner))
        return True
    if not is_list or _BETWEEN not in inner or b"\n" in inner or len(body) > BATCH_BYTES_MAX:
        return False
    # Why this is a list's only reading: pieces that are each one object can be cut in no other way.
    raws = inner.replace(_BETWEEN, _CUT).split(b"\n")
    if len(raws) > BATCH_MESSAGES_MAX:
        return False
    found = []
    for raw in raws:
        who = _who(door, sender, raw)
        if who is None:
            return False
        found.append(write_stamped(stamp, who, raw))
    records += found
    return True


def keep_pixel_at_a_glance(
    door: Door, sender: Sender, fields: Mapping[str, str], stamp: bytes, records: list[bytes]
) -> bool:
    """Append the record of a pixel whose sender `is_common`; False leaves all of it open."""
    for field in PIXEL_FIELDS:
        name = fields.get(field)
        if name and not is_plain_name(name):
            return False
    raw = pixel_message(fields)
    # Why the first place: plain names hold no quotation marks.
    properties = raw[raw.find(_PROPERTIES) + len(_PROPERTIES) : -1]
    if len(raw) > MESSAGE_BYTES_MAX or not is_harmless_part(properties):
        return False
    told = sender.told.get(b"") or told_by(sender, b"")
    if not told.is_common:
        return False
    manner = manner_of(told, "track" if fields.get("event") else "page")
    who = sender.who.get(manner.name) or who_at(door, sender, manner)
    records.append(write_stamped(stamp, who, raw))
    return True


def _who(door: Door, sender: Sender, raw: bytes) -> bytes | None:
    """Give what stands before a message in its record; None leaves it open."""
    frame = frame_of(raw)
    manner = None if frame is None else sender.frames.get(frame)
    if manner is None:
        manner = _judge(sender, raw)
        if manner is None:
            return None
        if frame is not None and is_frame(frame, raw):
            _remember(sender, frame, manner)
    return sender.who.get(manner.name) or who_at(door, sender, manner)


def _judge(sender: Sender, raw: bytes) -> Manner | None:
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
    if not told.is_common or (message.type == "track" and not message.event):
        return None
    return manner_of(told, message.type)


def _remember(sender: Sender, frame: bytes, known: Manner) -> None:
    if len(sender.frames) >= FRAMES_MAX:
        sender.frames.clear()
    sender.frames[frame] = known


def _has_plain_names(message: Common) -> bool:
    """Tell names without contacts, and times as browsers write them; ValueError for no time."""
    time, sent, name = message.timestamp, message.sent_at, message.message_id
    if time is not None and not (
        len(time) == PLAIN_TIME_LENGTH and time[-1] == "Z" and _read_time(time)
    ):
        return False
    if sent is not None and not (
        len(sent) == PLAIN_TIME_LENGTH and sent[-1] == "Z" and _read_time(sent)
    ):
        return False
    if name is not None and not is_plain_name(name):
        return False
    for name in (message.anonymous_id, message.event, message.name, message.category):
        if name is not None and not is_plain_name(name):
            return False
    return True
