"""Which partner ids more browsers may carry than one id may have, told while ids are stored.

Ordinals of ids and visitors come in as rows are stored or read back; suspects go out, never too
few: who carries what today, the table says.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from matching.ids import VISITOR_FIRST
from matching.partner_facts import VISITORS_PER_ID_MAX

CHANGES_MAX: Final = 255


class IdCarriers:
    """For each id its last visitor, and how often another one followed: five bytes an id.

    Why changes: an id that its one visitor confirms every week is stored often and suspect never.
    """

    def __init__(self) -> None:
        self._last = np.zeros(0, dtype=np.uint32)
        self._changes = np.zeros(0, dtype=np.uint8)

    def stored(self, id_ordinals: NDArray[np.uint32], visitors: NDArray[np.uint32]) -> None:
        """Note rows in their order; what is no id or no visitor's is left out."""
        kept = np.flatnonzero((id_ordinals != 0) & (visitors >= VISITOR_FIRST))
        if kept.size == 0:
            return
        kept = kept[np.argsort(id_ordinals[kept], kind="stable")]
        ids, carriers = id_ordinals[kept], visitors[kept]
        self._make_room(int(ids[-1]) + 1)
        firsts = np.flatnonzero(np.diff(ids, prepend=0))
        before = np.empty_like(carriers)
        before[1:] = carriers[:-1]
        distinct = ids[firsts]
        before[firsts] = self._last[distinct]
        changes = self._changes[distinct] + np.add.reduceat(
            (before != carriers).view("i1"), firsts, dtype=np.int64
        )
        self._changes[distinct] = np.minimum(changes, CHANGES_MAX)
        self._last[distinct] = carriers[np.append(firsts[1:], ids.size) - 1]

    def suspects(self) -> list[int]:
        """Give the ids that too many visitors may carry."""
        found: list[int] = np.flatnonzero(self._changes > VISITORS_PER_ID_MAX).tolist()
        return found

    def shared(self, id_ordinals: Sequence[int]) -> frozenset[int]:
        """Give those of these ids that more than one visitor may carry."""
        known = self._changes.size
        return frozenset(each for each in id_ordinals if each < known and self._changes[each] > 1)

    def _make_room(self, wanted: int) -> None:
        if wanted > self._last.size:
            size = wanted + wanted // 4
            self._last = np.concatenate([self._last, np.zeros(size - self._last.size, np.uint32)])
            more = np.zeros(size - self._changes.size, np.uint8)
            self._changes = np.concatenate([self._changes, more])
