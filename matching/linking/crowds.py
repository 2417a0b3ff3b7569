"""How many visitors each customer has, and which of them stay when they are too many.

The candidates of each visitor come in, all at once or as they change; out come those whom the limit
cuts: a customer keeps its newest links, of equal times the lower visitor's. Only customers past
half of the limit have their visitors listed, so that no change searches through everybody.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from matching.bitmaps import bitmap_of, ordinals_of
from matching.ids import NOBODY

Places = NDArray[np.int64]


class Crowds:
    """The visitors of customers, counted; `places` number the visitors."""

    def __init__(self, candidates: NDArray[np.uint32], *, visitors_max: int) -> None:
        self._max = visitors_max
        self._listed_from = visitors_max // 2 + 1
        self._counts = np.bincount(candidates, minlength=1).astype(np.uint32)
        self._counts[NOBODY] = 0
        self._places: dict[int, BitMap] = {}
        self._list(candidates, np.flatnonzero(self._counts >= self._listed_from).tolist())

    def move(
        self,
        places: Places,
        *,
        before: NDArray[np.uint32],
        now: NDArray[np.uint32],
        candidates: NDArray[np.uint32],
    ) -> list[int]:
        """Take over changed candidates, and give the customers whose list must be cut anew.

        `candidates` are those of everybody after the change.
        """
        moved = before != now
        self._recount(before[moved], now[moved])
        touched = np.unique(np.concatenate([before, now]))
        crowded = touched[self._counts[touched] >= self._listed_from].tolist()
        # Why before the moves: who is listed from here on is listed with everybody.
        new = [each for each in crowded if each not in self._places]
        for customer in self._listed(before[moved]):
            self._places[customer] -= bitmap_of(places[moved & (before == customer)])
        for customer in self._listed(now[moved]):
            self._places[customer] |= bitmap_of(places[moved & (now == customer)])
        if new:
            self._list(candidates, new)
        return [each for each in touched.tolist() if each in self._places]

    def cut(self, customers: Iterable[int], at_ms: NDArray[np.int64]) -> tuple[Places, Places]:
        """Tell of all visitors of these customers who stays and who is cut."""
        kept, cut = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
        for customer in customers:
            places = ordinals_of(self._places[customer]).astype(np.int64)
            if places.size > self._max:
                places = places[np.lexsort((places, -at_ms[places]))]
            kept.append(places[: self._max])
            cut.append(places[self._max :])
        return np.concatenate(kept), np.concatenate(cut)

    def over_limit(self) -> list[int]:
        """List the customers who have more visitors than they may."""
        return [each for each, places in self._places.items() if len(places) > self._max]

    def of(self, customer: int) -> BitMap | None:
        """Give all visitors of a customer who has too many of them, else None."""
        places = self._places.get(customer)
        return places if places is not None and len(places) > self._max else None

    @property
    def bytes(self) -> int:
        """Tell how much memory the counts take."""
        return self._counts.nbytes

    def _recount(self, before: NDArray[np.uint32], now: NDArray[np.uint32]) -> None:
        last = int(now.max(initial=0))
        if last >= self._counts.size:
            more = np.zeros(last + 1 + last // 8 - self._counts.size, dtype=np.uint32)
            self._counts = np.concatenate([self._counts, more])
        np.subtract.at(self._counts, before, np.uint32(1))
        np.add.at(self._counts, now, np.uint32(1))
        self._counts[NOBODY] = 0

    def _listed(self, customers: NDArray[np.uint32]) -> list[int]:
        return [each for each in np.unique(customers).tolist() if each in self._places]

    def _list(self, candidates: NDArray[np.uint32], customers: list[int]) -> None:
        """List all visitors of these customers, found in one pass."""
        if not customers:
            return
        wanted = np.zeros(self._counts.size, dtype=np.bool_)
        wanted[customers] = True
        places = np.flatnonzero(wanted[candidates])
        owners = candidates[places]
        order = np.argsort(owners, kind="stable")
        places, owners = places[order], owners[order]
        bounds = np.searchsorted(owners, np.array([*customers]))
        ends = np.searchsorted(owners, np.array([*customers]), side="right")
        for customer, begin, end in zip(customers, bounds.tolist(), ends.tolist(), strict=True):
            self._places[customer] = bitmap_of(places[begin:end].astype(np.uint32))
