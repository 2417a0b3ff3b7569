"""Writes columns as one block of ClickHouse's format Native: arrays come in, bytes go out.

The driver would look at every value of every row; here a column of numbers is its own bytes, and a
text that many rows share is written once. What the columns mean, the calling store knows.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

DATE: Final = "Date"
MOMENT: Final = "DateTime64(3, 'UTC')"
NAME: Final = "LowCardinality(String)"
TEXT: Final = "String"
_DTYPES: Final = {
    "UInt8": "u1",
    "UInt32": "<u4",
    "UInt64": "<u8",
    DATE: "<u2",
    MOMENT: "<i8",
}
Bytes = bytes | msgspec.Raw

_SHARED_NAMES: Final = 1
"""Version of the LowCardinality format: a dictionary for each block, shared by its rows."""
_OWN_DICTIONARY: Final = 0x600
"""Flags of a LowCardinality column: its keys come with it and replace those before."""
_WIDTHS: Final = (("u1", 1 << 8, 0), ("<u2", 1 << 16, 1), ("<u4", 1 << 32, 2))
_SHORT_MAX: Final = 1 << 14


class CodedTexts(msgspec.Struct, frozen=True, kw_only=True):
    """Texts of which many rows share few: each once, and which one every row has."""

    names: Sequence[str]
    codes: NDArray[Any]

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, places: NDArray[Any]) -> "CodedTexts":
        """Keep the texts of these rows, in this order."""
        return CodedTexts(names=self.names, codes=self.codes[places])


class PackedTexts(msgspec.Struct, frozen=True, kw_only=True):
    """Texts one behind the other, each led by its length; `bounds` says where each begins."""

    packed: bytes
    bounds: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.bounds) - 1

    @property
    def may_be_no_utf_8(self) -> bool:
        """Whether any sign is none of ASCII; False is certain."""
        high = np.count_nonzero(np.frombuffer(self.packed, dtype=np.uint8) & 0x80)
        # Why: every byte of a length but the last is a high one.
        sizes = np.diff(self.bounds)
        return int(high) > sum(
            int(np.count_nonzero(sizes >= (1 << bits) + bits // 7 + 1)) for bits in range(7, 42, 7)
        )

    def take(self, places: NDArray[Any]) -> "PackedTexts":
        """Keep the texts of these rows, in this order."""
        if places.size == 0:
            return pack_texts([])
        ends = np.flatnonzero(np.diff(places) != 1)
        begins = np.concatenate([places[:1], places[ends + 1]])
        ends = np.concatenate([places[ends], places[-1:]]) + 1
        packed = self.packed
        runs = zip(self.bounds[begins].tolist(), self.bounds[ends].tolist(), strict=True)
        sizes = np.diff(self.bounds)[places]
        return PackedTexts(
            packed=b"".join([packed[begin:end] for begin, end in runs]), bounds=_bounds(sizes)
        )


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """One column of a block: its ClickHouse type and its values."""

    type: str
    values: Any


def native_block(columns: Mapping[str, Column]) -> bytes:
    """Write columns of one length."""
    rows = {len(column.values) for column in columns.values()}
    if len(rows) != 1:
        raise ValueError(f"The columns of a block have one length, found {sorted(rows)}.")
    parts = [_varint(len(columns)), _varint(rows.pop())]
    for name, column in columns.items():
        parts += [_text(name), _text(column.type), *_values(column)]
    return b"".join(parts)


def pack_texts(texts: Sequence[Bytes]) -> PackedTexts:
    """Pack texts that are bytes already."""
    sizes = list(map(len, texts))
    parts: list[Bytes] = [b""] * (2 * len(sizes))
    parts[0::2] = _lengths(sizes)
    parts[1::2] = texts
    lengths = np.array(sizes, dtype=np.int64)
    leads = 1 + (lengths >= 1 << 7) + (lengths >= _SHORT_MAX).astype(np.int64)
    for bits in range(21, 64, 7):
        leads += lengths >= 1 << bits
    return PackedTexts(packed=b"".join(parts), bounds=_bounds(lengths + leads))


def joined_texts(pieces: Sequence[PackedTexts]) -> PackedTexts:
    """Put the texts of several pieces one behind the other."""
    if len(pieces) == 1:
        return pieces[0]
    sizes = [np.diff(each.bounds) for each in pieces] or [np.zeros(0, dtype=np.int64)]
    return PackedTexts(
        packed=b"".join([each.packed for each in pieces]), bounds=_bounds(np.concatenate(sizes))
    )


def coded_texts(texts: Sequence[str]) -> CodedTexts:
    """Code texts, in the order in which they occur."""
    codes = {text: code for code, text in enumerate(dict.fromkeys(texts))}
    return CodedTexts(
        names=list(codes), codes=np.array([codes[text] for text in texts], dtype=np.uint32)
    )


def _bounds(sizes: NDArray[Any]) -> NDArray[np.int64]:
    bounds = np.zeros(len(sizes) + 1, dtype=np.int64)
    np.cumsum(sizes, out=bounds[1:])
    return bounds


def _values(column: Column) -> Iterable[bytes]:
    values = column.values
    if isinstance(values, PackedTexts):
        return (values.packed,)
    if isinstance(values, CodedTexts):
        return _coded(values)
    return (np.ascontiguousarray(values, dtype=_DTYPES[column.type]).tobytes(),)


def _coded(texts: CodedTexts) -> Iterable[bytes]:
    """Write the names that any row has, and every row's place among them in narrow numbers."""
    if len(texts) == 0:
        return
    used = np.bincount(texts.codes, minlength=len(texts.names)) > 0
    names = [texts.names[code] for code in np.flatnonzero(used).tolist()]
    codes = texts.codes if used.all() else (np.cumsum(used) - 1)[texts.codes]
    dtype, _, width = next(each for each in _WIDTHS if len(names) <= each[1])
    yield from map(_number, (_SHARED_NAMES, _OWN_DICTIONARY | width, len(names)))
    yield from map(_text, names)
    yield _number(len(codes))
    yield np.ascontiguousarray(codes, dtype=dtype).tobytes()


def _number(value: int) -> bytes:
    return value.to_bytes(8, "little")


def _text(text: str) -> bytes:
    raw = text.encode()
    return _varint(len(raw)) + raw


def _varint(value: int) -> bytes:
    groups = bytearray()
    while value >= 1 << 7:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)


_SHORT: Final = [_varint(length) for length in range(_SHORT_MAX)]


def _lengths(sizes: list[int]) -> list[bytes]:
    try:
        return [_SHORT[size] for size in sizes]
    except IndexError:
        return [_varint(size) for size in sizes]
