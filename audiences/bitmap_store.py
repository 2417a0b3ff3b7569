"""Keeps the members of builds as bitmap states in the table `builds`.

In go a build and its members, out come the newest that succeeded; one row is one whole build, so a
build is there with all its members or not at all.
"""

import struct
from typing import Final

import msgspec
from clickhouse_connect.driver.client import Client
from pyroaring import BitMap

from audiences.audience_store import Build
from audiences.bitmap_states import decode_length, decode_state, encode_length, encode_state
from audiences.sql import sql

COLUMNS: Final = [*Build.__struct_fields__[:4], "at", *Build.__struct_fields__[5:], "members"]


class BitmapStore:
    """The table `builds`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def write(self, build: Build, members: BitMap) -> None:
        """Store a finished build."""
        row = _encode(build) + encode_state(members)
        self._client.raw_insert("builds", COLUMNS, row, fmt="RowBinary")

    def newest(self) -> dict[str, tuple[Build, BitMap]]:
        """Give the newest build that succeeded, and its members, by audience."""
        rows = memoryview(self._client.raw_query(sql("newest_builds"), fmt="RowBinary"))
        found, offset = {}, 0
        while offset < len(rows):
            build, offset = _decode(rows, offset)
            members, offset = decode_state(rows, offset)
            found[build.audience] = (build, members)
        return found

    def forget_old(self, *, keep: int) -> None:
        """Delete all but the newest builds of each audience."""
        self._client.command(sql("forget_builds"), parameters={"keep": keep})


def _encode(build: Build) -> bytes:
    return b"".join(
        (
            _text(build.audience),
            struct.pack("<QI", build.build, build.version),
            _text(build.identity),
            struct.pack("<q", build.at_ms),
            _text(build.status),
            _text(build.detail),
            struct.pack("<Q", build.size),
        )
    )


def _decode(rows: memoryview, offset: int) -> tuple[Build, int]:
    audience, offset = _read_text(rows, offset)
    number, version = struct.unpack_from("<QI", rows, offset)
    identity, offset = _read_text(rows, offset + 12)
    (at_ms,) = struct.unpack_from("<q", rows, offset)
    status, offset = _read_text(rows, offset + 8)
    detail, offset = _read_text(rows, offset)
    (size,) = struct.unpack_from("<Q", rows, offset)
    values = (audience, number, version, identity, at_ms, status, detail, size)
    plain = dict(zip(Build.__struct_fields__, values, strict=True))
    return msgspec.convert(plain, Build), offset + 8


def _text(text: str) -> bytes:
    encoded = text.encode()
    return encode_length(len(encoded)) + encoded


def _read_text(rows: memoryview, offset: int) -> tuple[str, int]:
    length, begin = decode_length(rows, offset)
    return bytes(rows[begin : begin + length]).decode(), begin + length
