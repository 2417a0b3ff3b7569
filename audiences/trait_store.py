"""Reads the traits of customers, and holds the computed ones in memory.

In go a trait and a test, out come the ordinals that pass: customers, and for computed traits also
unlinked visitors. Who is whose, and what `is_not` means for people without the trait, is for
`criteria` to say.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import numpy as np
from clickhouse_connect.driver.client import Client
from numpy.typing import NDArray
from pyroaring import BitMap

from audiences.bitmap_states import decode_length, decode_state
from audiences.conditions import Op, Scalar, Value, holds, texts_of
from audiences.sql import sql
from audiences.third_party_trait_store import ThirdPartyTraitStore
from audiences.trait_holders_store import stored_holders
from matching.bitmaps import bitmap_of
from matching.customer_traits_store import read_traits

COMPUTED_KIND: Final = "computed"


class ComputedTrait(msgspec.Struct, frozen=True, kw_only=True):
    """A trait that events yield: `codes` are places in `values`, one per person."""

    persons: NDArray[np.uint32]
    codes: NDArray[np.uint8]
    values: tuple[Scalar, ...]


class TraitInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One trait: its kind, how many have it, about how many values there are."""

    trait: str
    kind: str
    holders: int
    values: int


class TraitValue(msgspec.Struct, frozen=True, kw_only=True):
    """One value of a trait and those who have it."""

    value: str
    holders: BitMap


class TraitStore:
    """The table `customer_traits`, read only, and the computed traits beside it."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._computed: Mapping[str, ComputedTrait] = {}
        self.third_party = ThirdPartyTraitStore(client)
        """What others say of people, kept apart."""

    def set_computed(self, traits: Mapping[str, ComputedTrait]) -> None:
        """Replace all computed traits at once."""
        self._computed = dict(traits)

    def is_computed(self, trait: str) -> bool:
        """Tell whether events yield this trait."""
        return trait in self._computed

    def holders(self, trait: str, op: Op, value: Value) -> BitMap:
        """Give the ordinals that have the trait with a value that passes; `is_not` is no test."""
        if op is Op.IS_NOT:
            raise ValueError("holders() tells who has a trait; ask for `is` and take the rest")
        computed = self._computed.get(trait)
        if computed is not None:
            passing = np.array([holds(op, value, each) for each in computed.values], dtype=np.bool_)
            return bitmap_of(computed.persons[passing[computed.codes]])
        return stored_holders(self._client, "customer_traits", "customer", trait, op, value)

    def values(self, trait: str, *, limit: int = 50) -> list[TraitValue]:
        """Give the most frequent values of a trait, each with those who have it."""
        computed = self._computed.get(trait)
        if computed is not None:
            return [
                TraitValue(
                    value=texts_of(value)[0],
                    holders=bitmap_of(computed.persons[computed.codes == code]),
                )
                for code, value in enumerate(computed.values)
            ]
        parameters = {"trait": trait, "limit": limit}
        rows = self._client.raw_query(sql("trait_values"), parameters=parameters, fmt="RowBinary")
        return list(_decode_values(memoryview(rows)))

    def traits(self) -> list[TraitInfo]:
        """List all traits, computed ones last."""
        rows = self._client.query(sql("traits")).result_rows
        found = [
            TraitInfo(trait=trait, kind=kind, holders=holders, values=values)
            for trait, kind, holders, values in rows
            if trait not in self._computed
        ]
        return found + [
            TraitInfo(
                trait=trait,
                kind=COMPUTED_KIND,
                holders=computed.persons.size,
                values=len(computed.values),
            )
            for trait, computed in self._computed.items()
        ]

    def traits_of(self, person: int) -> dict[str, object]:
        """Give the traits of one customer; of an unlinked visitor the computed ones."""
        return read_traits(self._client, person) | {
            trait: computed.values[int(computed.codes[place[0]])]
            for trait, computed in self._computed.items()
            if (place := np.flatnonzero(computed.persons == person)).size
        }


def _decode_values(rows: memoryview) -> Sequence[TraitValue]:
    found, offset = [], 0
    while offset < len(rows):
        length, begin = decode_length(rows, offset)
        value = bytes(rows[begin : begin + length]).decode()
        members, offset = decode_state(rows, begin + length)
        found.append(TraitValue(value=value, holders=members))
    return found
