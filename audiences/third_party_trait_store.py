"""Reads what third parties say of people: a trait and a test come in, their ordinals go out.

What the CRM says of the same person goes before it, which is for `criteria` to say. Of one person
several values may stand, by several sources or browsers; each of them counts.
"""

from collections.abc import Sequence

import msgspec
from clickhouse_connect.driver.client import Client
from pyroaring import BitMap

from audiences.bitmap_states import decode_length, decode_state
from audiences.conditions import Op, Value
from audiences.sql import sql
from audiences.trait_holders_store import stored_holders


class ThirdPartyTraitInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One trait: its kind, who says it, of how many, and about how many values there are."""

    trait: str
    kind: str
    holders: int
    values: int
    sources: tuple[str, ...]


class ThirdPartyTraitStore:
    """The table `third_party_traits`, read only."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def holders(self, trait: str, op: Op, value: Value) -> BitMap:
        """Give the ordinals of whom something that passes is said; `is_not` is no test."""
        if op is Op.IS_NOT:
            raise ValueError("holders() tells of whom it is said; ask for `is` and take the rest")
        return stored_holders(self._client, "third_party_traits", "holder", trait, op, value)

    def values(self, trait: str, *, limit: int = 50) -> list[tuple[str, BitMap]]:
        """Give the most frequent values of a trait, each with those of whom it is said."""
        parameters = {"trait": trait, "limit": limit}
        query = sql("third_party_trait_values")
        rows = memoryview(self._client.raw_query(query, parameters=parameters, fmt="RowBinary"))
        found, offset = [], 0
        while offset < len(rows):
            length, begin = decode_length(rows, offset)
            members, offset = decode_state(rows, begin + length)
            found.append((bytes(rows[begin : begin + length]).decode(), members))
        return found

    def traits(self) -> Sequence[ThirdPartyTraitInfo]:
        """List all traits of which somebody says something."""
        rows = self._client.query(sql("third_party_traits")).result_rows
        names = ThirdPartyTraitInfo.__struct_fields__
        return [
            ThirdPartyTraitInfo(**dict(zip(names, (*row[:4], tuple(row[4])), strict=True)))
            for row in rows
        ]
