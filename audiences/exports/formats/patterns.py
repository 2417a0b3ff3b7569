"""Many rows at once: what a format writes of one row, with holes where the id stands.

Blocks of ids go in, the very bytes come out that the format's own rows would give. A pattern is
made by letting the format write a row whose id is known, so nothing of a format is said twice.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from audiences.exports.formats.parts import ANY, Group, Lot, Parts
from audiences.exports.formats.rows import (
    WRITTEN_AS_THEY_ARE,
    Change,
    Counts,
    IdBlock,
    IdRow,
    bytes_of,
)
from audiences.exports.seat import Seat

LETTERS: Final = ("Jumelle0", "0eniatneL")
"""What the ids are made of that stand for others."""

WriteRows = Callable[[Iterable[IdRow], Seat, Parts], object]


class _Put(msgspec.Struct, frozen=True, kw_only=True):
    """What one row puts into one group: its text around the id, and what it counts."""

    pieces: tuple[str, ...]
    rows: int
    adds: int
    removes: int
    ids: int


class _Pattern(msgspec.Struct, frozen=True, kw_only=True):
    """What one change makes the format do."""

    puts: dict[Group, _Put]
    begun: tuple[Group, ...]


def write_blocks(
    blocks: Iterable[IdBlock],
    seat: Seat,
    out: Parts,
    *,
    write: WriteRows,
    charset: str = "utf-8",
    quoted: str = "",
) -> None:
    """Write blocks as `write` would write their rows; ids that hold any of `quoted` one by one."""
    write((), seat, out)
    safe = bytes(each for each in WRITTEN_AS_THEY_ARE if chr(each) not in quoted)
    for block in blocks:
        patterns = _patterns(block, seat, out, write, charset, safe)
        if patterns is None or not _write_block(block, patterns, out, charset):
            write(block.rows(), seat, out)


def _patterns(
    block: IdBlock, seat: Seat, out: Parts, write: WriteRows, charset: str, safe: bytes
) -> list[_Pattern] | None:
    """Give the pattern of each change, or nothing where rows of one change differ in more."""
    if bytes_of(block.ids).translate(None, safe):
        return None
    sizes = pc.binary_length(block.ids).to_numpy()
    # Why two lengths: where a line is cut may depend on how long the id is.
    stand_ins = [
        (letters * size)[:size]
        for size in {int(sizes.min()), int(sizes.max())}
        for letters in LETTERS
    ]
    found = []
    for change in block.changes:
        alike = [
            _pattern(text, block.id_space, change, seat, out, write, charset) for text in stand_ins
        ]
        if any(each != alike[0] for each in alike):
            return None
        found.append(alike[0])
    return found


def _pattern(
    text: str,
    id_space: str,
    change: Change,
    seat: Seat,
    out: Parts,
    write: WriteRows,
    charset: str,
) -> _Pattern:
    adds, removes = change
    noted = _Noted(out)
    write([IdRow(id=text, id_space=id_space, adds=adds, removes=removes)], seat, noted)
    puts = {
        group: msgspec.structs.replace(each, pieces=tuple(each.pieces[0].split(text)))
        for group, each in noted.said(charset).items()
    }
    return _Pattern(puts=puts, begun=tuple(noted.begun))


class _Noted(Parts):
    """Notes what a format would put into the files of an export."""

    def __init__(self, out: Parts) -> None:
        self.at_s = out.at_s
        self.header = b""
        self.group = out.group  # type: ignore[method-assign]
        self.begun: list[Group] = []
        self._noted: dict[Group, list[tuple[bytes, int, int, int, int]]] = {}

    def put(
        self,
        line: bytes,
        *,
        adds: int,
        removes: int,
        ids: int,
        rows: int = 1,
        group: Group = ANY,
    ) -> None:
        self._noted.setdefault(group, []).append((line, rows, adds, removes, ids))

    def begin(self, group: Group) -> None:
        self.begun.append(group)

    def counts(self) -> Counts:
        return Counts()

    def said(self, charset: str) -> dict[Group, _Put]:
        """Join what was put into each group; the text is one piece yet."""
        found = {}
        for group, lines in self._noted.items():
            text = b"".join(line for line, *_ in lines).decode(charset)
            rows, adds, removes, ids = (sum(each) for each in list(zip(*lines, strict=True))[1:])
            found[group] = _Put(pieces=(text,), rows=rows, adds=adds, removes=removes, ids=ids)
        return found


def _write_block(block: IdBlock, patterns: list[_Pattern], out: Parts, charset: str) -> bool:
    """Write a block by its patterns, if all its files have room for all of it."""
    counts = np.bincount(block.codes, minlength=len(patterns)).tolist()
    used = [(pattern, count) for pattern, count in zip(patterns, counts, strict=True) if count]
    lots = []
    for group in dict.fromkeys(group for pattern, _ in used for group in pattern.puts):
        puts = [(each.puts[group], count) for each, count in used if group in each.puts]
        pieces = [each.puts[group].pieces if group in each.puts else ("",) for each in patterns]
        lots.append(
            Lot(
                group=group,
                lines=_text(block, pieces, charset),
                rows=sum(put.rows * count for put, count in puts),
                adds=sum(put.adds * count for put, count in puts),
                removes=sum(put.removes * count for put, count in puts),
                ids=sum(put.ids * count for put, count in puts),
            )
        )
    if not out.put_lots(lots):
        return False
    for pattern, _ in used:
        for group in pattern.begun:
            out.begin(group)
    return True


def _text(block: IdBlock, pieces: Sequence[tuple[str, ...]], charset: str) -> bytes:
    """Put each id into the holes of its change, and all rows end to end."""
    holes = np.array([len(each) - 1 for each in pieces], dtype=np.int64)
    of_rows = holes[block.codes]
    texts, places = [], []
    for count in np.unique(of_rows).tolist():
        if count:
            rows = np.flatnonzero(of_rows == count)
            texts.append(_filled(block, rows, pieces, count))
            places.append(rows)
    if not texts:
        return b""
    filled = texts[0]
    if len(texts) > 1:
        filled = pa.concat_arrays(texts).take(pa.array(np.argsort(np.concatenate(places))))
    data = bytes_of(filled)
    return data if charset == "utf-8" or data.isascii() else data.decode().encode(charset)


def _filled(
    block: IdBlock, rows: NDArray[np.intp], pieces: Sequence[tuple[str, ...]], count: int
) -> Any:
    ids, codes = block.ids, block.codes
    if rows.size < codes.size:
        ids, codes = ids.take(pa.array(rows)), codes[rows]
    columns: list[Any] = []
    for place in range(count + 1):
        if place:
            columns.append(ids)
        texts = [each[place] if len(each) > place else "" for each in pieces]
        columns.append(
            texts[0] if len(texts) == 1 else pa.array(texts, type=pa.string()).take(pa.array(codes))
        )
    return pc.binary_join_element_wise(*columns, "")
