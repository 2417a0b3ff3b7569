"""Which visitors hold the places of which click links; there are few places on each link.

Pairs of link and visitor come in, the visitors of some links come out. A visitor who lost its place
stays listed: who asks too many gets the same answer.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

NEWCOMERS_MAX: Final = 65_536

Proofs = NDArray[np.uint64]
Places = NDArray[np.int64]


class LinkHolders:
    """Pairs of link and visitor, ordered by link; newcomers wait until they are many."""

    def __init__(self, proofs: Proofs, places: Places) -> None:
        self._proofs = np.zeros(0, dtype=np.uint64)
        self._places = np.zeros(0, dtype=np.uint32)
        self._new_proofs, self._new_places = proofs, places
        self._settle()

    def add(self, proofs: Proofs, places: Places) -> None:
        """Note more pairs."""
        self._new_proofs = np.concatenate([self._new_proofs, proofs])
        self._new_places = np.concatenate([self._new_places, places])
        if self._new_proofs.size > NEWCOMERS_MAX:
            self._settle()

    def of(self, proofs: Proofs) -> Places:
        """Give the visitors of these links, ascending."""
        asked = np.unique(proofs[proofs != 0])
        begins = np.searchsorted(self._proofs, asked)
        counts = np.searchsorted(self._proofs, asked, side="right") - begins
        offsets = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
        old = self._places[np.repeat(begins, counts) + offsets].astype(np.int64)
        return np.unique(np.concatenate([old, self._new_places[np.isin(self._new_proofs, asked)]]))

    @property
    def bytes(self) -> int:
        """Tell how much memory the pairs take."""
        arrays = (self._proofs, self._places, self._new_proofs, self._new_places)
        return sum(each.nbytes for each in arrays)

    def _settle(self) -> None:
        proofs = np.concatenate([self._proofs, self._new_proofs])
        places = np.concatenate([self._places, self._new_places.astype(np.uint32)])
        order = np.argsort(proofs)
        self._proofs, self._places = proofs[order], places[order]
        self._new_proofs = np.zeros(0, dtype=np.uint64)
        self._new_places = np.zeros(0, dtype=np.int64)
