"""The spool's record: what is written is read, and damage is found wherever it is."""

from collections.abc import Callable
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.tag.record import (
    MAGIC,
    Damage,
    Kind,
    Meta,
    Record,
    read_records,
    record_places,
    write_record,
)

metas = st.builds(
    Meta, site=st.text(max_size=20), agent=st.text(max_size=40), nonce=st.integers(0, 2**63 - 1)
)
drafts = st.tuples(
    st.sampled_from(list(Kind)),
    st.integers(0, 2**63 - 1),
    st.binary(min_size=16, max_size=16),
    metas,
    st.binary(max_size=200),
)
SAMPLE: Final = [
    write_record(Kind.MESSAGE, 1_000_000 + number, bytes(16), Meta(site="s"), b"body %d" % number)
    for number in range(3)
]


@given(st.lists(drafts, max_size=8))
def test_what_is_written_is_read(written: list[tuple[Kind, int, bytes, Meta, bytes]]) -> None:
    """A chunk gives back every record, whole and in order."""
    chunk = MAGIC + b"".join(write_record(*draft) for draft in written)
    expected = [
        Record(row=row, kind=kind, received_us=at, visitor=visitor, meta=meta, body=body)
        for row, (kind, at, visitor, meta, body) in enumerate(written)
    ]
    assert list(read_records(chunk)) == expected


def test_every_cut_of_the_tail_keeps_what_came_before() -> None:
    """A chunk that is cut off anywhere gives the whole records before the cut, and says torn."""
    whole = MAGIC + b"".join(SAMPLE)
    ends = [len(MAGIC)]
    for record in SAMPLE:
        ends.append(ends[-1] + len(record))
    for cut in range(len(MAGIC), len(whole)):
        found, damage = _read(whole[:cut])
        assert len(found) == max(index for index, end in enumerate(ends) if end <= cut)
        assert cut in ends or (damage is not None and damage.torn)


def test_every_flipped_bit_is_detected() -> None:
    """One wrong bit anywhere in a chunk is found; no wrong record is ever given."""
    whole = MAGIC + b"".join(SAMPLE)
    good = list(read_records(whole))
    for bit in range(len(whole) * 8):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        found, damage = _read(bytes(flipped))
        assert damage is not None
        assert found == good[: len(found)]


@given(st.binary(max_size=300))
def test_no_bytes_crash_the_reader(noise: bytes) -> None:
    """Whatever stands in a chunk, the reader gives records or says what is damaged."""
    _read(MAGIC + noise)


def test_a_foreign_file_is_refused() -> None:
    """A file that is no chunk is damage from its first byte."""
    with pytest.raises(Damage, match="not a chunk"):
        list(read_records(b"PK\x03\x04 something else"))


def _read(chunk: bytes) -> tuple[list[Record], Damage | None]:
    found: list[Record] = []
    try:
        for record in read_records(chunk):
            found.append(record)  # noqa: PERF402 - what came before the damage counts
    except Damage as damage:
        return found, damage
    return found, None


@given(st.lists(drafts, max_size=4), st.data())
def test_places_are_those_of_the_records(
    written: list[tuple[Kind, int, bytes, Meta, bytes]], data: st.DataObject
) -> None:
    """Whole chunks give each record's place; of a cut or changed one the damage is the same."""
    chunk = MAGIC + b"".join(write_record(*draft) for draft in written)
    assert [chunk[place - 8 :][:8] for place in record_places(chunk)] == [
        write_record(*draft)[:8] for draft in written
    ]
    cut = chunk[: data.draw(st.integers(0, len(chunk)))]
    changed = bytearray(cut)
    if cut and data.draw(st.booleans()):
        changed[data.draw(st.integers(0, len(cut) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert damage_of(lambda: record_places(bytes(changed))) == damage_of(
        lambda: list(read_records(bytes(changed)))
    )


def damage_of(read: Callable[[], object]) -> tuple[str, int, bool] | None:
    try:
        read()
    except Damage as problem:
        return (str(problem), problem.offset, problem.torn)
    return None
