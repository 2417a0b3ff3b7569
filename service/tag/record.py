"""The spool's record: what a tag process keeps of one message, byte for byte.

Layout, little-endian: `u32 length | u32 crc32 | u8 kind | u8 flags | u64 received_us | 16 visitor |
u16 size of meta | meta (msgpack) | body`. The length counts what follows the crc; the crc covers
everything after itself.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from enum import IntEnum
from mmap import mmap
from typing import Final

import msgspec

HEAD: Final = struct.Struct("<II")
FIXED: Final = struct.Struct("<BBQ16sH")
_STAMP: Final = struct.Struct("<BBQ")
_WHO: Final = struct.Struct("<16sH")
"""The two halves of FIXED: one is the same for a moment, the other for a sender."""
MAGIC: Final = b"JMLSPL01"
RECORD_BYTES_MAX: Final = 1 << 20


class Kind(IntEnum):
    """What a record tells; numbers are written to disk and never re-used."""

    MESSAGE = 1
    OFFER = 2
    PARTNER_ID = 3
    CLICK = 4
    CONSENT = 5
    OTHER_ID = 6
    """An id that a message names itself; `partner` is its space."""


class Meta(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, array_like=False):
    """What the tag knows of a record besides its body."""

    site: str
    type: str = ""
    server: bool = False
    agent: str = ""
    ip: str = ""
    signals: str = ""
    proved: str = ""
    method: str = ""
    partner: str = ""
    nonce: int = 0
    uid: str = ""
    reason: str = ""
    sent_at: str = ""
    again: str = ""
    """Of a bad record that is tried again: which one it was, as CHUNK:ROW."""


class Record(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One record as the loader sees it; `row` is its place in the chunk."""

    row: int
    kind: Kind
    received_us: int
    visitor: bytes
    meta: Meta
    body: bytes


class Damage(Exception):
    """Bytes that are no record, at a place of the chunk."""

    def __init__(self, offset: int, why: str, *, torn: bool) -> None:
        super().__init__(f"{why} at byte {offset}")
        self.offset = offset
        self.torn = torn


_KINDS: Final = {int(kind): kind for kind in Kind}
_KIND_AND_FLAGS: Final = re.compile(rb"[\x01-\x06]\x00")
_head: Final = HEAD.pack
_checksum: Final = zlib.crc32
_meta_encoder = msgspec.msgpack.Encoder()
_meta_decoder = msgspec.msgpack.Decoder(Meta)


def write_record(kind: Kind, received_us: int, visitor: bytes, meta: Meta, body: bytes) -> bytes:
    """Give the bytes of one record."""
    return write_packed(kind, received_us, visitor, pack_meta(meta), body)


def pack_meta(meta: Meta) -> bytes:
    """Give the bytes of a record's meta."""
    return _meta_encoder.encode(meta)


def write_packed(kind: Kind, received_us: int, visitor: bytes, packed: bytes, body: bytes) -> bytes:
    """Give the bytes of one record whose meta is packed already."""
    payload = FIXED.pack(kind, 0, received_us, visitor, len(packed)) + packed + body
    return HEAD.pack(len(payload), zlib.crc32(payload)) + payload


def stamp_of(kind: Kind, received_us: int) -> bytes:
    """Give the first bytes of all records of one kind and moment."""
    return _STAMP.pack(kind, 0, received_us)


def who_of(visitor: bytes, packed: bytes) -> bytes:
    """Give what follows a stamp in all records of one visitor that share their meta."""
    return _WHO.pack(visitor, len(packed)) + packed


def write_stamped(stamp: bytes, who: bytes, body: bytes) -> bytes:
    """Give the bytes of one record of which all but the body is ready."""
    payload = stamp + who + body
    return _head(len(payload), _checksum(payload)) + payload


def bytes_of(record: Record) -> bytes:
    """Give the bytes that a record was read from."""
    return write_record(record.kind, record.received_us, record.visitor, record.meta, record.body)


def read_record(content: bytes) -> Record:
    """Read the bytes of one record; raise Damage when they are not one."""
    (record,) = read_records(MAGIC + content)
    return record


def read_records(chunk: bytes, *, start: int = 0, row: int = 0) -> Iterator[Record]:
    """Read a chunk's records in order; raise Damage where the bytes stop making sense.

    `Damage.torn` says that a write was cut off there, so that the tail may be dropped. `start` and
    `row` go on behind a damaged place.
    """
    if not start and chunk[: len(MAGIC)] != MAGIC:
        raise Damage(0, "not a chunk of this service", torn=len(chunk) < len(MAGIC))
    offset, end = start or len(MAGIC), len(chunk)
    metas: dict[bytes, Meta] = {}
    while offset < end:
        payload = _payload_at(chunk, offset)
        yield _record_of(payload, row, offset, metas)
        offset += HEAD.size + len(payload)
        row += 1


def record_places(chunk: bytes | mmap) -> list[int]:
    """Give the place behind each record's head, in order; raise Damage at the first that is none.

    Kinds and metas are left to be read; `read_records` also judges them.
    """
    if chunk[: len(MAGIC)] != MAGIC:
        raise Damage(0, "not a chunk of this service", torn=len(chunk) < len(MAGIC))
    places: list[int] = []
    put, head_at, checksum_of = places.append, HEAD.unpack_from, zlib.crc32
    least, most = FIXED.size, RECORD_BYTES_MAX
    place, end = len(MAGIC) + HEAD.size, len(chunk) + HEAD.size
    with suppress(struct.error):  # a last head that is cut off, which the next line tells
        while place < end:
            length, crc = head_at(chunk, place - HEAD.size)
            behind = place + length
            if checksum_of(chunk[place:behind]) != crc or length < least or length > most:
                break
            put(place)
            place = behind + HEAD.size
    if place != end:
        _payload_at(chunk, place - HEAD.size)  # this says what is wrong there
    return places


def meta_of(packed: bytes) -> Meta:
    """Read the bytes of a record's meta."""
    return _meta_decoder.decode(packed)


def find_record(chunk: bytes, start: int) -> int:
    """Give the place of the first whole record at or behind `start`; the chunk's end if none is."""
    for match in _KIND_AND_FLAGS.finditer(chunk, start + HEAD.size):
        place = match.start() - HEAD.size
        try:
            _record_of(_payload_at(chunk, place), 0, place, {})
        except Damage:
            continue
        return place
    return len(chunk)


def _payload_at(chunk: bytes | mmap, offset: int) -> bytes:
    if offset + HEAD.size > len(chunk):
        raise Damage(offset, "a record's head is cut off", torn=True)
    length, crc = HEAD.unpack_from(chunk, offset)
    start = offset + HEAD.size
    if length < FIXED.size or length > RECORD_BYTES_MAX:
        raise Damage(offset, f"a record of {length} bytes", torn=not any(chunk[offset:]))
    if start + length > len(chunk):
        raise Damage(offset, "a record is cut off", torn=True)
    payload = chunk[start : start + length]
    if zlib.crc32(payload) != crc:
        raise Damage(offset, "a record's checksum differs", torn=start + length == len(chunk))
    return payload


def _record_of(payload: bytes, row: int, offset: int, metas: dict[bytes, Meta]) -> Record:
    """Read one record; `metas` remembers what was decoded, for a batch's records share theirs."""
    kind, _flags, received_us, visitor, size = FIXED.unpack_from(payload)
    packed = payload[FIXED.size : FIXED.size + size]
    meta = metas.get(packed)
    try:
        if meta is None:
            meta = metas[packed] = _meta_decoder.decode(packed)
        known = _KINDS[kind]
    except (msgspec.MsgspecError, ValueError, KeyError) as problem:
        raise Damage(offset, f"a record of an unknown version ({problem})", torn=False) from problem
    return Record(
        row=row,
        kind=known,
        received_us=received_us,
        visitor=visitor,
        meta=meta,
        body=payload[FIXED.size + size :],
    )
