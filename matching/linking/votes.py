"""What a log of identifications says of each visitor: one pass, and who is whose candidate.

Blocks of observations come in, in any order; out come candidates, before customers' limits. Of
observations that weigh the same at the same time the later one in the log wins: they either come in
the log's order, or the visitors for whom it matters are named as `doubtful`, to be asked again.
"""

from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from matching.identification import UNKNOWN_METHOD
from matching.ids import NOBODY
from matching.linking.click_links import Clicks, confirmed, within_link_limit
from matching.linking.links import (
    CLICK,
    LINKED,
    NO_STATUS,
    PAGE,
    SHARED_DEVICE,
    STATUS_CODES,
    STRENGTH_OF,
    Limits,
    LinkStatus,
)

AT_BITS: Final = np.uint64(49)
AT_OFFSET_MS: Final = 1 << 47
"""A key holds the times of twice 4,000 years, wherever they begin."""
AT_MASK: Final = np.uint64((1 << 49) - 1)
METHOD_BITS: Final = np.uint64(8)
METHOD_MASK: Final = np.uint64(UNKNOWN_METHOD)

Ints = NDArray[np.int64]


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """Observations as parallel arrays; `place` numbers the visitors."""

    place: Ints
    customer: NDArray[np.uint32]
    at_ms: Ints
    method: NDArray[np.uint8]
    claimed: NDArray[np.bool_]
    proof: NDArray[np.uint64]

    def take(self, which: Ints) -> "Block":
        """Keep the observations at these indexes."""
        return Block(**{name: getattr(self, name)[which] for name in self.__struct_fields__})


class Candidates(msgspec.Struct, frozen=True, kw_only=True):
    """By place: the customer that a visitor is linked to unless it has too many, and why."""

    customer: NDArray[np.uint32]
    status: NDArray[np.uint8]
    method: NDArray[np.uint8]
    at_ms: Ints

    def take(self, which: Ints) -> "Candidates":
        """Keep those at these indexes."""
        return Candidates(**{name: getattr(self, name)[which] for name in self.__struct_fields__})


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The candidates, and what one must know of how they came about."""

    candidates: Candidates
    doubtful: Ints
    """The places for which the order within the log matters, which did not come in it."""
    torn: Ints
    """The places that more than one customer claims with proof."""
    holder_proof: NDArray[np.uint64]
    holder_place: Ints
    """Which visitors have a place of which click link."""


class Votes:
    """The observations of `size` visitors, added up."""

    def __init__(self, size: int) -> None:
        self._best = np.zeros(size, dtype=np.uint64)
        self._winner = np.zeros(size, dtype=np.uint64)
        self._first = np.zeros(size, dtype=np.uint32)
        self._claimed = np.zeros(size, dtype=np.bool_)
        self._torn: list[NDArray[np.uint64]] = [np.zeros(0, dtype=np.uint64)]
        self._doubtful: list[Ints] = [np.zeros(0, dtype=np.int64)]
        self._clicks: list[Block] = []
        self._pages: list[Block] = []

    def add(self, block: Block) -> None:
        """Add observations; of those that weigh the same the later stands."""
        self._make_room(int(block.place.max(initial=-1)) + 1)
        named = (STRENGTH_OF[block.method] > 0) & (block.customer != NOBODY)
        self._claimed[block.place[named & block.claimed]] = True
        named &= ~block.claimed
        is_click = block.method == CLICK
        clicks, pages = np.flatnonzero(named & is_click), np.flatnonzero(block.method == PAGE)
        if clicks.size:
            self._clicks.append(block.take(clicks))
        if pages.size:
            self._pages.append(block.take(pages))
        self._count(block, np.flatnonzero(named & ~is_click).astype(np.int64))

    def result(self, limits: Limits) -> Verdict:
        """Decide; no block may be added afterwards."""
        clicks = joined(self._clicks)
        pages = joined(self._pages)
        asked = Clicks(place=clicks.place, at_ms=clicks.at_ms, proof=clicks.proof)
        good = np.flatnonzero(
            confirmed(asked, page_place=pages.place, page_at_ms=pages.at_ms)
        ).astype(np.int64)
        sure = clicks.take(good)
        asked = Clicks(place=sure.place, at_ms=sure.at_ms, proof=sure.proof)
        within, tied = within_link_limit(asked)
        self._doubtful.append(tied)
        counted = sure.take(np.flatnonzero(within).astype(np.int64))
        self._count(counted, np.arange(counted.place.size))
        return self._verdict(limits, clicks.place, sure.place, counted)

    def _make_room(self, size: int) -> None:
        """Take a visitor whom the caller's count did not know yet."""
        missing = size - self._best.size
        if missing > 0:
            self._best = np.concatenate([self._best, np.zeros(missing, dtype=np.uint64)])
            self._winner = np.concatenate([self._winner, np.zeros(missing, dtype=np.uint64)])
            self._first = np.concatenate([self._first, np.zeros(missing, dtype=np.uint32)])
            self._claimed = np.concatenate([self._claimed, np.zeros(missing, dtype=np.bool_)])

    def _count(self, block: Block, rows: Ints) -> None:
        """Let these observations link: the strongest wins, among equals the newest."""
        place, customer, method = block.place[rows], block.customer[rows], block.method[rows]
        self._tear(place, customer)
        keys = weights(method, block.at_ms[rows])
        before = self._best[place]
        np.maximum.at(self._best, place, keys)
        wins = np.flatnonzero(keys == self._best[place])
        places, level = place[wins], before[wins] == keys[wins]
        winning = (customer[wins].astype(np.uint64) << METHOD_BITS) | method[wins]
        self._doubt(places[level], winning[level])
        self._winner[places] = winning  # of rows that share a place the last one stands
        self._doubt(places, winning)

    def _doubt(self, places: Ints, winning: NDArray[np.uint64]) -> None:
        """Note the places that have another winner, which is as strong and as new."""
        other = self._winner[places] != winning
        if other.any():
            self._doubtful.append(places[other])

    def _tear(self, place: Ints, customer: NDArray[np.uint32]) -> None:
        """Note every customer but the first that came for a place."""
        others = np.flatnonzero(self._first[place] != customer)
        place, customer = place[others], customer[others]
        new = self._first[place] == NOBODY
        self._first[place[new]] = customer[new]
        torn = self._first[place] != customer
        if torn.any():
            self._torn.append((place[torn].astype(np.uint64) << np.uint64(32)) | customer[torn])

    def _verdict(
        self, limits: Limits, clicked: Ints, confirmed_places: Ints, counted: Block
    ) -> Verdict:
        candidates = self._by_weight()
        torn, others = _each_counted(np.concatenate(self._torn))
        shared = torn[others + 1 > limits.customers_per_visitor]
        candidates.status[shared] = SHARED_DEVICE
        candidates.customer[shared] = NOBODY
        for places, lack in (
            (np.flatnonzero(self._claimed), LinkStatus.CLAIMED_ONLY),
            (clicked, LinkStatus.CLICK_UNCONFIRMED),
            (confirmed_places, LinkStatus.CLICK_OVER_LIMIT),
        ):
            candidates.status[places[self._best[places] == 0]] = STATUS_CODES[lack]
        held = np.flatnonzero(counted.proof != 0)
        return Verdict(
            candidates=candidates,
            doubtful=np.unique(np.concatenate(self._doubtful)),
            torn=torn,
            holder_proof=counted.proof[held],
            holder_place=counted.place[held],
        )

    def _by_weight(self) -> Candidates:
        """Link everybody for whom an observation counts."""
        counts = self._best > 0
        method = (self._winner & METHOD_MASK).astype(np.uint8)
        method[~counts] = UNKNOWN_METHOD
        at_ms = (self._best & AT_MASK).astype(np.int64) - AT_OFFSET_MS
        at_ms[~counts] = 0
        return Candidates(
            customer=(self._winner >> METHOD_BITS).astype(np.uint32),
            status=np.where(counts, np.uint8(LINKED), np.uint8(NO_STATUS)),
            method=method,
            at_ms=at_ms,
        )


def joined(blocks: list[Block]) -> Block:
    """Put blocks one behind the other."""
    empty = Block(
        place=np.zeros(0, dtype=np.int64),
        customer=np.zeros(0, dtype=np.uint32),
        at_ms=np.zeros(0, dtype=np.int64),
        method=np.zeros(0, dtype=np.uint8),
        claimed=np.zeros(0, dtype=np.bool_),
        proof=np.zeros(0, dtype=np.uint64),
    )
    names = Block.__struct_fields__
    return Block(
        **{
            name: np.concatenate([getattr(each, name) for each in (empty, *blocks)])
            for name in names
        }
    )


def weights(method: NDArray[np.uint8], at_ms: Ints) -> NDArray[np.uint64]:
    """Make numbers that grow with strength and, among the equally strong, with time."""
    since_ms = np.clip(at_ms, -AT_OFFSET_MS, int(AT_MASK) - AT_OFFSET_MS) + AT_OFFSET_MS
    return (STRENGTH_OF[method].astype(np.uint64) << AT_BITS) | since_ms.astype(np.uint64)


def _each_counted(pairs: NDArray[np.uint64]) -> tuple[Ints, Ints]:
    """Give the places of distinct pairs of place and customer, and how many each has."""
    ordered = np.sort(pairs)
    distinct = ordered[np.concatenate([[True], ordered[1:] != ordered[:-1]])[: ordered.size]]
    places = (distinct >> np.uint64(32)).astype(np.int64)
    begins = np.flatnonzero(np.concatenate([[True], places[1:] != places[:-1]])[: places.size])
    counts = np.diff(np.concatenate([begins, [places.size]]))
    return places[begins], counts
