"""Which clicks on newsletter links count: those that a page confirms, of a link's first visitors.

Parallel arrays of clicks come in, masks go out. `place` numbers the visitors; of clicks at the same
time the earlier in the arrays came first.
"""

from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

CONFIRMED_WITHIN_MS: Final = 30 * 60_000
VISITORS_PER_LINK: Final = 3
"""A forwarded newsletter must not turn its readers into one person."""
KEY_BITS: Final = 64


class Clicks(msgspec.Struct, frozen=True, kw_only=True):
    """Clicks as parallel arrays; `proof` tells which link, 0 when that is not known."""

    place: NDArray[np.int64]
    at_ms: NDArray[np.int64]
    proof: NDArray[np.uint64]


def confirmed(
    clicks: Clicks, *, page_place: NDArray[np.int64], page_at_ms: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Tell which clicks were followed by a page of the same visitor; mail scanners load none."""
    if clicks.place.size == 0:
        return np.zeros(0, dtype=np.bool_)
    first, last = int(clicks.at_ms.min()), int(clicks.at_ms.max()) + CONFIRMED_WITHIN_MS
    near = (page_at_ms >= first) & (page_at_ms <= last)
    page_place, page_at_ms = page_place[near], page_at_ms[near]
    time_bits = (last - first + 1).bit_length()
    places = max(int(clicks.place.max()), int(page_place.max(initial=0)))
    if places.bit_length() + time_bits > KEY_BITS:
        return _confirmed_in_halves(clicks, page_place, page_at_ms, (first + last) // 2)
    pages = np.sort(_keys(page_place, page_at_ms - first, time_bits))
    if pages.size == 0:
        return np.zeros(clicks.place.size, dtype=np.bool_)
    keys = _keys(clicks.place, clicks.at_ms - first, time_bits)
    following = np.searchsorted(pages, keys)
    page = pages[np.minimum(following, pages.size - 1)]
    # Why this is the same visitor's: places are further apart than the last click and its page.
    return (following < pages.size) & (page - keys <= np.uint64(CONFIRMED_WITHIN_MS))


def _confirmed_in_halves(
    clicks: Clicks,
    page_place: NDArray[np.int64],
    page_at_ms: NDArray[np.int64],
    middle: int,
) -> NDArray[np.bool_]:
    """Ask of earlier and later clicks alone, for all their time does not fit a key."""
    found = np.zeros(clicks.place.size, dtype=np.bool_)
    early = clicks.at_ms <= middle - CONFIRMED_WITHIN_MS // 2
    for half in (early, ~early):
        some = Clicks(place=clicks.place[half], at_ms=clicks.at_ms[half], proof=clicks.proof[half])
        found[half] = confirmed(some, page_place=page_place, page_at_ms=page_at_ms)
    return found


def _keys(
    place: NDArray[np.int64], since_ms: NDArray[np.int64], time_bits: int
) -> NDArray[np.uint64]:
    high = place.astype(np.uint64) << np.uint64(time_bits)
    return high | since_ms.astype(np.uint64)


def within_link_limit(clicks: Clicks) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Tell which confirmed clicks are of the first visitors whom their link brought.

    The places that come too are those of links where clicks at the same time decide it.
    """
    good = np.ones(clicks.place.size, dtype=np.bool_)
    rows = _of_crowded_links(clicks.proof)
    if rows.size == 0:
        return good, np.zeros(0, dtype=np.int64)
    proof, place, at_ms = clicks.proof[rows], clicks.place[rows], clicks.at_ms[rows]
    came = np.lexsort((at_ms, place, proof))  # stable: the earlier row first
    begins = _begins(proof[came], place[came])
    firsts = came[begins]  # each visitor's first click by each link
    arrival = np.lexsort((firsts, at_ms[firsts], proof[firsts]))
    links, times = proof[firsts][arrival], at_ms[firsts][arrival]
    rank = np.arange(links.size) - np.searchsorted(links, links)
    within = np.empty(links.size, dtype=np.bool_)
    within[arrival] = rank < VISITORS_PER_LINK
    kept = np.empty(rows.size, dtype=np.bool_)
    kept[came] = within[np.cumsum(begins) - 1]
    good[rows] = kept
    tied = links[1:][~_begins(links, times)[1:]]
    return good, np.unique(place[np.isin(proof, tied)])


def _of_crowded_links(proof: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Find the clicks of known links that were clicked more often than visitors fit."""
    ordered = np.sort(proof)
    crowded = np.unique(
        ordered[VISITORS_PER_LINK:][
            ordered[VISITORS_PER_LINK:] == ordered[: max(ordered.size - VISITORS_PER_LINK, 0)]
        ]
    )
    crowded = crowded[crowded != 0]  # Why: a click whose link is not known cannot be counted.
    if crowded.size == 0:
        return np.zeros(0, dtype=np.int64)
    found = np.minimum(np.searchsorted(crowded, proof), crowded.size - 1)
    return np.flatnonzero(crowded[found] == proof).astype(np.int64)


def _begins(one: NDArray[np.generic], other: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Mark where a new pair begins in arrays ordered by pairs."""
    begins = np.ones(one.size, dtype=np.bool_)
    begins[1:] = (one[1:] != one[:-1]) | (other[1:] != other[:-1])
    return begins
