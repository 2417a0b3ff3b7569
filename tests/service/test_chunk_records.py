"""A chunk's records as columns: they are those that are read one by one, and so is the damage."""

import zlib
from collections.abc import Callable
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.engine.chunk_records import records_of
from service.tag.record import (
    FIXED,
    HEAD,
    MAGIC,
    RECORD_BYTES_MAX,
    Damage,
    Kind,
    Meta,
    pack_meta,
    read_records,
    write_packed,
    write_record,
)

NOBODY: Final = bytes(16)
SAMPLE: Final = write_record(Kind.MESSAGE, 1_000_000, NOBODY, Meta(site="s"), b"{}")

metas = st.builds(
    Meta,
    site=st.sampled_from(["shop", "news"]),
    type=st.sampled_from(["page", "track"]),
    ip=st.sampled_from(["", "1.2.3.0", "1.2.4.0"]),
    proved=st.sampled_from(["", "123456"]),
)
drafts = st.tuples(
    st.sampled_from(list(Kind)),
    st.integers(0, 2**63 - 1),
    st.binary(min_size=16, max_size=16),
    metas,
    st.binary(max_size=60),
)


@given(st.lists(drafts, max_size=12))
def test_columns_hold_what_is_read_one_by_one(
    drafts: list[tuple[Kind, int, bytes, Meta, bytes]],
) -> None:
    """A whole chunk's columns give every record, each meta once and senders without address."""
    chunk = MAGIC + b"".join(write_record(*draft) for draft in drafts)
    found, expected = records_of(chunk), list(read_records(chunk))
    assert list(found) == expected
    assert found.metas == list(dict.fromkeys(each.meta for each in expected))
    told = [(found.senders[code].site, found.senders[code].type) for code in found.sender.tolist()]
    assert told == [(each.meta.site, each.meta.type) for each in expected]
    assert len(found.senders) == len(set(told))


@given(st.lists(drafts, max_size=4), st.data())
def test_damage_is_told_as_one_by_one(
    drafts: list[tuple[Kind, int, bytes, Meta, bytes]], data: st.DataObject
) -> None:
    """Of a chunk that is cut or changed anywhere the same damage is told at the same place."""
    chunk = bytearray(MAGIC + b"".join(write_record(*draft) for draft in drafts))
    del chunk[data.draw(st.integers(0, len(chunk))) :]
    if chunk and data.draw(st.booleans()):
        chunk[data.draw(st.integers(0, len(chunk) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    damaged = bytes(chunk)
    one_by_one = damage_of(lambda: list(read_records(damaged)))
    assert damage_of(lambda: records_of(damaged)) == one_by_one


@pytest.mark.parametrize(
    ("record", "why"),
    [
        pytest.param(write_packed(Kind.MESSAGE, 1, NOBODY, b"\xc1", b""), "version", id="meta"),
        pytest.param(SAMPLE[: HEAD.size + FIXED.size - 1], "cut off", id="short-and-last"),
        pytest.param(SAMPLE[: HEAD.size - 1], "head is cut off", id="head"),
        pytest.param(SAMPLE[:-1] + b"]", "checksum", id="last-byte"),
        pytest.param(
            write_packed(
                Kind.MESSAGE, 1, NOBODY, pack_meta(Meta(site="s")), bytes(RECORD_BYTES_MAX)
            ),
            "a record of 1048",
            id="too-long",
        ),
    ],
)
def test_what_is_no_record_is_damage(record: bytes, why: str) -> None:
    """A last record that is cut off, changed, too long or of an unknown version is told."""
    assert len(records_of(MAGIC + SAMPLE)) == 1
    with pytest.raises(Damage, match=why):
        records_of(MAGIC + SAMPLE + record)


def test_a_meta_that_reaches_into_the_next_record_is_damage() -> None:
    """A record with a right checksum whose meta would not end within it is not taken."""
    packed = pack_meta(Meta(site="shop"))
    whole = write_packed(Kind.MESSAGE, 1, NOBODY, packed, b"")
    payload = bytearray(whole[HEAD.size :])
    payload[FIXED.size - 2 : FIXED.size] = (len(packed) + 9).to_bytes(2, "little")
    cut = HEAD.pack(len(payload), zlib.crc32(payload)) + bytes(payload)
    with pytest.raises(Damage, match="meta is cut off"):
        records_of(MAGIC + cut + SAMPLE)


def damage_of(read: Callable[[], object]) -> tuple[str, int, bool] | None:
    """Tell what is said of the damage."""
    try:
        read()
    except Damage as problem:
        return (str(problem), problem.offset, problem.torn)
    return None
