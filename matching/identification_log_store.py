"""Reads the log of identifications: all of it in blocks, or that of some visitors exactly.

The whole log comes without what orders it, for that costs as much as all else: whoever's answer
depends on the order is read again.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from clickhouse_connect.driver.client import Client
from numpy.typing import NDArray
from pyroaring import BitMap

from matching.bitmaps import bitmap_of
from matching.columns_store import MILLISECONDS, all_columns, blocks_of_columns
from matching.identification import METHODS, UNKNOWN_METHOD, Observations
from matching.ids import NOBODY, ORDINAL_LAST, VISITOR_FIRST
from matching.linking.votes import Block
from matching.rows_store import all_numbers
from matching.sql import sql

VISITORS_PER_QUERY_MAX: Final = 10_000  # a server takes 128 KiB for one parameter
UNKNOWN_CODE: Final = 15
CLAIMED: Final = 16
CODES: Final[dict[str, Any]] = {"methods": list(METHODS), "codes": list(range(len(METHODS)))}
TYPES: Final = ("UInt32", "UInt32", MILLISECONDS, "UInt8", "UInt64")

Places = NDArray[np.int64]


class Described(NamedTuple):
    """One observation with its names."""

    visitor: int
    customer: int
    at_ms: int
    method: str
    claimed: bool
    chunk: int
    row: int
    proof: int
    site: str


class IdentificationLog:
    """The table `identifications`, read."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def count(self) -> int:
        """Give how many observations there are."""
        return int(self._client.query(sql("identification_count")).result_rows[0][0])

    def everything(self) -> Iterator[Block]:
        """Read the whole log in no order; a visitor's place is its ordinal less the first one."""
        blocks = blocks_of_columns(self._client, sql("identification_rows"), TYPES, CODES)
        for visitor, customer, at_ms, code, proof in blocks:
            block = Block(
                place=visitor.astype(np.int64) - VISITOR_FIRST,
                customer=customer,
                at_ms=at_ms,
                method=_method(code),
                claimed=code >= CLAIMED,
                proof=proof,
            )
            good = (block.place >= 0) & (visitor <= ORDINAL_LAST)
            yield block if good.all() else block.take(np.flatnonzero(good).astype(np.int64))

    def of(self, places: Places) -> Observations:
        """Read all that was observed of these visitors."""
        visitors = (places + VISITOR_FIRST).tolist()
        found = [
            all_columns(
                self._client,
                sql("identification_rows_of"),
                (*TYPES, "UInt64", "UInt32"),
                CODES | {"visitors": visitors[first : first + VISITORS_PER_QUERY_MAX]},
            )
            for first in range(0, len(visitors), VISITORS_PER_QUERY_MAX)
        ]
        return joined_observations([_observations(*columns) for columns in found])

    def touched_by_erasing(self, parameters: dict[str, Any]) -> BitMap:
        """Give whom an erasure may unlink or, by freeing a place on a click link, link."""
        rows = self._client.query(sql("identifications_to_erase"), parameters=parameters)
        touched = BitMap([each[0] for each in rows.result_rows])
        proofs = sorted({each[1] for each in rows.result_rows if each[1]})
        if proofs:
            found = all_numbers(self._client, sql("identified_on_links"), {"proofs": proofs})
            touched |= bitmap_of(found)
        touched.remove_range(NOBODY, VISITOR_FIRST)
        return touched

    def named(self, customer: int) -> list[int]:
        """Give the visitors who were ever named as this customer."""
        found = all_numbers(self._client, sql("identified_as"), {"customer": customer})
        return [int(each) for each in found]

    def described(self, visitors: Sequence[int]) -> list[Described]:
        """Read all that was observed of these visitors as the card shows it, newest first."""
        found: list[Described] = []
        for first in range(0, len(visitors), VISITORS_PER_QUERY_MAX):
            some = {"visitors": list(visitors[first : first + VISITORS_PER_QUERY_MAX])}
            rows = self._client.query(
                sql("identifications_of_visitors"), parameters=some
            ).result_rows
            found += [Described(*each) for each in rows]
        return sorted(found, key=lambda each: (each.at_ms, each.chunk, each.row), reverse=True)


def joined_observations(parts: list[Observations]) -> Observations:
    """Put logs one behind the other."""
    empty = _observations(
        *(np.zeros(0, dtype=each) for each in ("u4", "u4", "i8", "u1", "u8", "u8", "u4"))
    )
    names = Observations.__struct_fields__
    return Observations(
        **{
            name: np.concatenate([getattr(each, name) for each in (empty, *parts)])
            for name in names
        }
    )


def _observations(
    visitor: NDArray[Any],
    customer: NDArray[Any],
    at_ms: NDArray[Any],
    code: NDArray[Any],
    proof: NDArray[Any],
    chunk: NDArray[Any],
    row: NDArray[Any],
) -> Observations:
    return Observations(
        visitor=visitor,
        customer=customer,
        at_ms=at_ms,
        method=_method(code),
        claimed=code >= CLAIMED,
        chunk=chunk,
        row=row,
        proof=proof,
    )


def _method(code: NDArray[Any]) -> NDArray[np.uint8]:
    methods: NDArray[np.uint8] = _METHOD_OF_CODE[code & UNKNOWN_CODE]
    return methods


_METHOD_OF_CODE: Final = np.arange(UNKNOWN_CODE + 1, dtype=np.uint8)
_METHOD_OF_CODE[UNKNOWN_CODE] = UNKNOWN_METHOD
