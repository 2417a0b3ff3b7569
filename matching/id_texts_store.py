"""The texts of ids by their ordinals, read piece by piece: for files, which name what maps number.

Ordinals go in, pieces of ordinals and texts come out in no order; contacts come as they rest,
sealed. Memory holds one piece and a byte for each ordinal, however many ids there are.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
from clickhouse_connect.driver.client import Client
from numpy.typing import NDArray
from pyroaring import BitMap

from matching.bitmaps import bitmap_of, bitmap_of_mask, mask_of, ordinals_of
from matching.columns_store import TEXTS, blocks_of_columns
from matching.rows_store import all_numbers, pieces_of_rows
from matching.sql import sql

ORDINALS_PER_QUERY_MAX: Final = 10_000
"""A server takes 128 KiB for one parameter."""
TEXTS_PER_QUERY_MAX: Final = 500
FEW: Final = 8 * ORDINALS_PER_QUERY_MAX
"""So many are asked for by ordinal; of more, reading the whole id space takes less."""
COLUMNS: Final = ("UInt32", "UInt32", TEXTS)
NUMBER: Final = np.dtype("<u4")


class IdTexts(msgspec.Struct, frozen=True, kw_only=True):
    """Some ids of one id space: ordinals and, in parallel, texts as an Arrow array of strings."""

    id_ordinals: NDArray[np.uint32]
    ids: Any

    def rows(self, places: NDArray[np.intp]) -> "IdTexts":
        """Give the ids at these places."""
        return IdTexts(id_ordinals=self.id_ordinals[places], ids=self.ids.take(pa.array(places)))


class IdTextsStore:
    """Questions to the table `partner_ids` about what ids are called."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def pieces(self, id_space: str, id_ordinals: BitMap) -> Iterator[IdTexts]:
        """Give these ids' texts, those that the id space has; some come twice."""
        if len(id_ordinals) > FEW:
            yield from self._of_many(id_space, id_ordinals, query="id_texts")
            return
        for some in _some_at_once(id_ordinals):
            asked = {"id_space": id_space, "ordinals": some}
            yield from self._read("id_texts_of", asked)

    def odd(self, id_space: str, id_ordinals: BitMap) -> Iterator[IdTexts]:
        """Give of these ids at least those that hold more than letters and digits of ASCII."""
        if len(id_ordinals) > FEW:
            return self._of_many(id_space, id_ordinals, query="odd_id_texts")
        return self.pieces(id_space, id_ordinals)

    def named(self, id_spaces: Sequence[str], id_ordinals: BitMap) -> BitMap:
        """Give those of these ids that have a text in any of these id spaces."""
        spaces = {"id_spaces": list(id_spaces)}
        found = BitMap()
        if len(id_ordinals) <= FEW:
            for some in _some_at_once(id_ordinals):
                asked = spaces | {"ordinals": some}
                found |= bitmap_of(all_numbers(self._client, sql("named_ids_of"), asked))
            return found
        size = id_ordinals.max() + 1
        has_text = np.zeros(size, dtype=np.bool_)
        for piece in pieces_of_rows(self._client, sql("named_ids"), NUMBER, spaces):
            has_text[piece[piece < size]] = True
        return bitmap_of_mask(has_text) & id_ordinals

    def ordinals_of(self, id_space: str, ids: Sequence[str]) -> BitMap:
        """Give the ordinals of the texts that are ids of this id space."""
        found = BitMap()
        for begin in range(0, len(ids), TEXTS_PER_QUERY_MAX):
            asked = {"id_space": id_space, "ids": list(ids[begin : begin + TEXTS_PER_QUERY_MAX])}
            found |= bitmap_of(all_numbers(self._client, sql("ordinals_of_ids"), asked))
        return found

    def _of_many(self, id_space: str, id_ordinals: BitMap, *, query: str) -> Iterator[IdTexts]:
        beyond = id_ordinals.max() + 1
        wanted = mask_of(id_ordinals, first=0, size=beyond + 1)
        for piece in self._read(query, {"id_space": id_space}):
            near = np.minimum(piece.id_ordinals, np.uint32(beyond))
            kept = np.flatnonzero(wanted[near])
            wanted[near[kept]] = False
            if kept.size:
                yield piece if kept.size == near.size else piece.rows(kept)

    def _read(self, query: str, asked: dict[str, Any]) -> Iterator[IdTexts]:
        for ordinals, sizes, data in blocks_of_columns(self._client, sql(query), COLUMNS, asked):
            yield IdTexts(id_ordinals=ordinals, ids=_strings(sizes, data))


def _some_at_once(id_ordinals: BitMap) -> Iterator[list[int]]:
    every = ordinals_of(id_ordinals)
    for begin in range(0, every.size, ORDINALS_PER_QUERY_MAX):
        yield every[begin : begin + ORDINALS_PER_QUERY_MAX].tolist()


def _strings(sizes: NDArray[np.uint32], data: NDArray[np.uint8]) -> Any:
    offsets = np.zeros(sizes.size + 1, dtype=np.int32)
    np.cumsum(sizes, out=offsets[1:])
    return pa.StringArray.from_buffers(sizes.size, pa.py_buffer(offsets), pa.py_buffer(data))
