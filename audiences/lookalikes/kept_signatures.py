"""Signatures that follow their people: a new trait is an exact minimum, a lost one needs a refold.

In come who gained or lost a trait; signatures stay right, or their people are told as dirty until
they are folded anew. Nothing is stored here, and no trait is remembered.
"""

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from audiences.lookalike_signatures import Signatures, TokenTable
from matching.bitmaps import bitmap_of, ordinals_of


class UnknownPerson(Exception):
    """Somebody gained a trait who has no signature yet."""


class KeptSignatures:
    """One signature for each of `people`, in ordinal order."""

    def __init__(self, people: BitMap, signatures: Signatures, table: TokenTable) -> None:
        self._ordinals = ordinals_of(people)
        self._table = table
        self._values = signatures.values.copy()
        self.dirty = BitMap()

    @property
    def signatures(self) -> Signatures:
        """The signatures as they stand; those of dirty people may be too small."""
        return Signatures(scheme=self._table.scheme, values=self._values)

    def settle(self, people: BitMap, table: TokenTable) -> None:
        """Keep signatures of these people alone, by a table that may have grown at its end.

        Who is new has no token yet, so that gaining all its tokens makes its signature.
        """
        self._table = table
        ordinals = ordinals_of(people)
        stay, there = np.isin(ordinals, self._ordinals), np.isin(self._ordinals, ordinals)
        values = np.repeat(table.values[-1:], len(ordinals), axis=0)
        values[stay] = self._values[there]
        self._ordinals, self._values = ordinals, values
        self.dirty &= people

    def gained(self, token: int, people: BitMap) -> None:
        """Add a token, a row of the table, to people: the minimum of both signatures."""
        places = self._places(people)
        self._values[places] = np.minimum(self._values[places], self._table.values[token])

    def lost(self, token: int, people: BitMap) -> BitMap:
        """Take a token from people; give those whose signature it may have made."""
        places = self._places(people)
        made = (self._values[places] == self._table.values[token]).any(axis=1)
        dirty = bitmap_of(self._ordinals[places[made]])
        self.dirty |= dirty
        return dirty

    def refolded(self, people: BitMap, signatures: Signatures) -> None:
        """Take over signatures that were folded anew from all tokens."""
        self._values[self._places(people)] = signatures.values
        self.dirty -= people

    def _places(self, people: BitMap) -> NDArray[np.intp]:
        asked = ordinals_of(people)
        places = np.searchsorted(self._ordinals, asked)
        inside = np.minimum(places, max(len(self._ordinals) - 1, 0))
        known = self._ordinals[inside] == asked if len(self._ordinals) else np.zeros(len(asked))
        if not np.all(known):
            raise UnknownPerson(
                f"{len(asked) - int(np.sum(known))} of {len(asked)} people have no signature: "
                "fold them first."
            )
        return places
