"""How far each visitor came with one id space: offered, answered, refused, deleted, and its id.

Numbers only, read from the table of correspondence for all visitors at once; ids have no text here.
Who carries an id beside somebody is asked for few ids. Nothing is written.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np
from clickhouse_connect.driver.client import Client
from numpy.typing import NDArray
from pyroaring import BitMap

from matching.bitmaps import bitmap_of
from matching.columns_store import MILLISECONDS, blocks_of_columns
from matching.ids import VISITOR_FIRST
from matching.partner_facts import VISITORS_PER_ID_MAX
from matching.rows_store import all_rows
from matching.sql import sql

DAY_MS: Final = 86_400_000
ID_COLUMNS: Final = ("UInt32", "UInt32", MILLISECONDS, "UInt8")
ID_DTYPES: Final = ("<u4", "<u4", "<i8", "?")
ACTION_ROW: Final = np.dtype([("visitor", "<u4"), ("is_refused", "?")])


class IdStates(msgspec.Struct, frozen=True, kw_only=True):
    """One id space: the newest id or deletion of each visitor as parallel arrays, by visitor.

    `offered` and `refused` are the visitors to whom that ever happened.
    """

    visitors: NDArray[np.uint32]
    id_ordinals: NDArray[np.uint32]
    at_ms: NDArray[np.int64]
    is_stored: NDArray[np.bool_]
    offered: BitMap
    refused: BitMap


class IdStatesStore:
    """Questions to the table `partner_ids` about visitors.

    `shared` gives those of some ids that more than one visitor may carry, never too few.
    """

    def __init__(self, client: Client, shared: Callable[[Sequence[int]], frozenset[int]]) -> None:
        self._client = client
        self._shared = shared

    def read(self, id_space: str, *, as_of_ms: int) -> IdStates:
        """Read the whole of one id space as it stood then."""
        parameters = {"id_space": id_space, "first": VISITOR_FIRST, "as_of_ms": as_of_ms}
        blocks = blocks_of_columns(
            self._client, sql("partner_ids_by_visitor"), ID_COLUMNS, parameters
        )
        visitors, id_ordinals, at_ms, is_stored = _newest(blocks)
        did = all_rows(self._client, sql("visitors_by_partner_action"), ACTION_ROW, parameters)
        return IdStates(
            visitors=visitors,
            id_ordinals=id_ordinals,
            at_ms=at_ms,
            is_stored=is_stored,
            offered=bitmap_of(did["visitor"][~did["is_refused"]]),
            refused=bitmap_of(did["visitor"][did["is_refused"]]),
        )

    def carriers(
        self, id_space: str, ids: Mapping[int, str], *, as_of_ms: int, lives_days: int
    ) -> dict[int, list[int]]:
        """Give the visitors who carry these ids (ordinal and text) live, where they are several.

        Of an id that too many carry only so many come that this shows.
        """
        several = self._shared(list(ids))
        if not several:
            return {}
        parameters = {
            "id_space": id_space,
            "ids": [ids[each] for each in several],
            "ordinals": list(several),
            "as_of_ms": as_of_ms,
            "since_ms": as_of_ms - lives_days * DAY_MS,
            "first": VISITOR_FIRST,
            "limit": VISITORS_PER_ID_MAX + 1,
        }
        found: dict[int, list[int]] = {}
        rows = self._client.query(sql("carriers_of_partner_ids"), parameters=parameters).result_rows
        for ordinal, visitor in rows:
            found.setdefault(ordinal, []).append(visitor)
        return {ordinal: visitors for ordinal, visitors in found.items() if len(visitors) > 1}


def _newest(blocks: Iterator[list[NDArray[Any]]]) -> list[NDArray[Any]]:
    """Keep each visitor's last row, while blocks are read: the rows stand by visitor."""
    # Why bytes: they grow in place, while many small arrays would be there twice in the end.
    kept = [bytearray() for _ in ID_DTYPES]
    last: list[NDArray[Any]] | None = None
    for block in blocks:
        visitors = block[0]
        if not visitors.size:
            continue
        if last is not None and last[0][0] != visitors[0]:
            _keep(kept, last)
        is_newest = visitors[1:] != visitors[:-1]
        _keep(kept, [column[:-1][is_newest] for column in block])
        last = [column[-1:].copy() for column in block]
    if last is not None:
        _keep(kept, last)
    return [np.frombuffer(data, dtype) for data, dtype in zip(kept, ID_DTYPES, strict=True)]


def _keep(kept: list[bytearray], rows: list[NDArray[Any]]) -> None:
    for data, some in zip(kept, rows, strict=True):
        data.extend(some.tobytes())
