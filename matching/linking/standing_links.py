"""The links that stand: what every visitor's log came to, renewed for a few visitors or for all.

Candidates come in, published customers come out. Reads nothing: `people_store.py` gives the rows.
Held are 18 bytes a visitor (four of them the published customers), four a customer and twelve a
visitor's place on a click link.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from matching.identification import UNKNOWN_METHOD
from matching.ids import NOBODY, VISITOR_FIRST
from matching.linking.crowds import Crowds
from matching.linking.holders import LinkHolders
from matching.linking.links import (
    LINKED,
    NO_CHANGES,
    NO_STATUS,
    OVER_LIMIT,
    SHARED_DEVICE,
    Changes,
    Limits,
    Links,
)
from matching.linking.votes import Candidates, Verdict, weights

Places = NDArray[np.int64]
HEADROOM: Final = 65_536


class StandingLinks:
    """Of every visitor (place = ordinal - VISITOR_FIRST) its candidate, and who is linked."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.size = 0
        self._candidate = np.zeros(0, dtype=np.uint32)
        self._status = np.zeros(0, dtype=np.uint8)
        self._method = np.zeros(0, dtype=np.uint8)
        self._at_ms = np.zeros(0, dtype=np.int64)
        self._published = np.zeros(0, dtype=np.uint32)
        self._crowds = Crowds(self._candidate, visitors_max=limits.visitors_per_customer)
        self.holders = LinkHolders(np.zeros(0, dtype=np.uint64), np.zeros(0, dtype=np.int64))

    @property
    def links(self) -> Links:
        """Give the links; only `customer_of` stays as it is when they are renewed."""
        return Links(
            customer_of=self.customer_of,
            status=self._status[: self.size],
            method=self._method[: self.size],
            at_ms=self._at_ms[: self.size],
        )

    @property
    def customer_of(self) -> NDArray[np.uint32]:
        """Give the customer of every visitor, which nobody writes to again."""
        customers = self._published[: self.size]
        customers.setflags(write=False)
        return customers

    @property
    def bytes(self) -> int:
        """Tell how much memory all of this takes, but for the lists of crowds."""
        visitors = (self._candidate, self._status, self._method, self._at_ms, self._published)
        return sum(each.nbytes for each in visitors) + self._crowds.bytes + self.holders.bytes

    def visitors_over_limit(self, customer: int) -> tuple[BitMap, BitMap]:
        """Give the visitors of a customer who has too many: who stays, and who is cut."""
        places = self._crowds.of(customer)
        if places is None:
            return BitMap(), BitMap()
        cut = BitMap([each for each in places if self._status[each] == OVER_LIMIT])
        return (places - cut).shift(VISITOR_FIRST), cut.shift(VISITOR_FIRST)

    def grow(self, size: int) -> None:
        """Make room for so many visitors."""
        if size > self._candidate.size:
            room = size + size // 8 + HEADROOM
            self._candidate = _longer(self._candidate, room)
            self._status = _longer(self._status, room)
            self._method = _longer(self._method, room, fill=UNKNOWN_METHOD)
            self._at_ms = _longer(self._at_ms, room)
            self._published = _longer(self._published, room)
        self.size = max(self.size, size)

    def renew_all(self, verdict: Verdict) -> None:
        """Take over what the whole log came to; a place is a visitor."""
        found = verdict.candidates
        self.size = found.customer.size
        self._candidate, self._status = found.customer, found.status
        self._method, self._at_ms = found.method, found.at_ms
        self._crowds = Crowds(self._candidate, visitors_max=self._limits.visitors_per_customer)
        _, cut = self._crowds.cut(self._crowds.over_limit(), self._at_ms)
        self._status[cut] = OVER_LIMIT
        self._published = self._candidate.copy()
        self._published[cut] = NOBODY
        self.holders = LinkHolders(verdict.holder_proof, verdict.holder_place)

    def renew(self, places: Places, found: Candidates) -> Changes:
        """Take over what the logs of some visitors came to; `places` ascend."""
        if places.size == 0:
            return NO_CHANGES
        self.grow(int(places[-1]) + 1)
        before = self._candidate[places]
        self._candidate[places], self._status[places] = found.customer, found.status
        self._method[places], self._at_ms[places] = found.method, found.at_ms
        crowded = self._crowds.move(
            places, before=before, now=found.customer, candidates=self._candidate
        )
        kept, cut = self._crowds.cut(crowded, self._at_ms)
        self._status[kept] = LINKED
        self._status[cut] = OVER_LIMIT
        return self._publish(np.unique(np.concatenate([places, kept, cut])))

    def changes_since(self, published: NDArray[np.uint32]) -> Changes:
        """Compare with the customers of another time; visitors beyond the shorter were nobody's."""
        size = max(self.size, published.size)
        before, now = _longer(published, size), _longer(self._published[: self.size], size)
        changed = np.flatnonzero(before != now)
        return Changes(
            visitors=(changed + VISITOR_FIRST).astype(np.uint32),
            before=before[changed],
            now=now[changed],
        )

    def outvote(self, places: Places, verdict: Verdict) -> tuple[Candidates, NDArray[np.bool_]]:
        """Tell what comes of observations that are added to those of these visitors.

        `verdict` says what the added ones come to by themselves; there are no clicks and pages
        among them. The mask tells for whom what stands and what is new are enough to know.
        """
        self.grow(int(places.max(initial=-1)) + 1)
        old, new = self._standing_of(places), verdict.candidates
        linked = (old.status == LINKED) | (old.status == OVER_LIMIT)
        counted = linked | (old.status == SHARED_DEVICE)
        proven = new.status == LINKED
        old_weight, new_weight = weights(old.method, old.at_ms), weights(new.method, new.at_ms)
        level = counted & proven & (old_weight == new_weight)
        sure = ~(level & (old.method != new.method))
        sure &= ~(linked & proven & (old.customer != new.customer))
        sure[verdict.torn] = False
        sure[verdict.doubtful] = False
        wins = proven & (~counted | (new_weight > old_weight))
        first = (proven & ~counted) | ((old.status == NO_STATUS) & ~proven)
        uncut = np.where(linked, np.uint8(LINKED), old.status)
        merged = Candidates(
            customer=np.where(first, new.customer, old.customer),
            status=np.where(first, new.status, uncut),
            method=np.where(wins, new.method, old.method),
            at_ms=np.where(wins, new.at_ms, old.at_ms),
        )
        return merged, sure

    def _standing_of(self, places: Places) -> Candidates:
        return Candidates(
            customer=self._candidate[places],
            status=self._status[places],
            method=self._method[places],
            at_ms=self._at_ms[places],
        )

    def _publish(self, places: Places) -> Changes:
        """Publish the customers of these visitors, in a new array when one is another."""
        linked = self._status[places] == LINKED
        now = np.where(linked, self._candidate[places], np.uint32(NOBODY))
        before = self._published[places]
        changed = np.flatnonzero(before != now)
        if changed.size == 0:
            return NO_CHANGES
        published = np.zeros(self._published.size, dtype=np.uint32)
        published[: self.size] = self._published[: self.size]
        published[places[changed]] = now[changed]
        self._published = published
        return Changes(
            visitors=(places[changed] + VISITOR_FIRST).astype(np.uint32),
            before=before[changed],
            now=now[changed],
        )


def _longer(values: NDArray[Any], size: int, *, fill: int = 0) -> NDArray[Any]:
    if values.size >= size:
        return values
    longer = np.full(size, fill, dtype=values.dtype) if fill else np.zeros(size, values.dtype)
    longer[: values.size] = values
    return longer
