"""Scores buyers by recency, frequency and money, and names their segment.

In go orders folded onto people and the settings of `rfm.toml`, out come computed traits. It reads
no events and knows no identity.
"""

from typing import Annotated, Any, Final

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from audiences.event_selection import ORDER_COMPLETED
from audiences.person_totals import SUM_DECIMALS
from audiences.trait_store import ComputedTrait
from matching.ids import NOBODY

SCORES: Final = (1, 2, 3, 4, 5)
COUNTED_RANGE_MAX: Final = 1 << 16
"""Days and numbers of orders lie so close together that counting each beats putting in order."""
RFM_TRAITS: Final = ("rfm_recency", "rfm_frequency", "rfm_monetary", "rfm_segment")

Score = Annotated[int, Meta(ge=1, le=5)]
Range = tuple[Score, Score]


class SegmentRange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of the table: these scores of recency, and of frequency and money together."""

    segment: str
    recency: Range
    frequency_monetary: Range


class RfmSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `rfm.toml` says; of the segments the first whose ranges hold is taken."""

    event: str = ORDER_COMPLETED
    field: str = "total"
    window_days: Annotated[int, Meta(ge=1)] = 365
    segments: tuple[SegmentRange, ...]

    def __post_init__(self) -> None:
        for recency in SCORES:
            for both in SCORES:
                if not any(_is_in(each, recency, both) for each in self.segments):
                    raise ValueError(
                        f"no segment for recency {recency} and frequency_monetary {both}"
                    )


class Purchases(msgspec.Struct, frozen=True, kw_only=True):
    """Per buyer, ascending, the last day of an order, the number of orders, what they come to."""

    persons: NDArray[np.uint32]
    last_day: NDArray[np.int64]
    count: NDArray[np.int64]
    sum: NDArray[np.float64]


def purchases_of(
    persons: NDArray[np.uint32],
    days: NDArray[Any],
    amounts: NDArray[np.float64],
    is_refund: NDArray[np.bool_],
) -> Purchases:
    """Put rows together per person; a refund lowers the sum and is no order."""
    buyers, place = np.unique(persons, return_inverse=True)
    last_day = np.full(buyers.size, -1, dtype=np.int64)
    np.maximum.at(last_day, place[~is_refund], days[~is_refund].astype(np.int64))
    counts = np.bincount(place[~is_refund], minlength=buyers.size)
    # Why as float: of no rows at all bincount gives integers.
    sums = np.bincount(place, weights=amounts, minlength=buyers.size).astype(np.float64)
    bought = np.flatnonzero((counts > 0) & (buyers != NOBODY))
    return Purchases(
        persons=buyers[bought],
        last_day=last_day[bought],
        count=counts[bought],
        sum=np.round(sums[bought], SUM_DECIMALS),
    )


def replaced(purchases: Purchases, persons: NDArray[np.uint32], by: Purchases) -> Purchases:
    """Give the purchases with those of some persons replaced; persons stay ascending."""
    places = np.searchsorted(purchases.persons, persons)
    there = places < purchases.persons.size
    there[there] = purchases.persons[places[there]] == persons[there]
    kept = np.ones(purchases.persons.size, dtype=np.bool_)
    kept[places[there]] = False
    at = np.searchsorted(purchases.persons[kept], by.persons)
    merged = {
        name: np.insert(getattr(purchases, name)[kept], at, getattr(by, name))
        for name in Purchases.__struct_fields__
    }
    return Purchases(**merged)


def score_purchases(purchases: Purchases, settings: RfmSettings) -> dict[str, ComputedTrait]:
    """Give the four computed traits."""
    recency = quintiles(purchases.last_day)
    frequency = quintiles(purchases.count)
    monetary = quintiles(purchases.sum)
    names = tuple(dict.fromkeys(each.segment for each in settings.segments))
    segments = _table(settings, names)[recency - 1, (frequency + monetary + 1) // 2 - 1]
    return {
        "rfm_recency": _scores(purchases, recency),
        "rfm_frequency": _scores(purchases, frequency),
        "rfm_monetary": _scores(purchases, monetary),
        "rfm_segment": ComputedTrait(persons=purchases.persons, codes=segments, values=names),
    }


def quintiles(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Score by rank, 5 for the best fifth; equal values share the better score."""
    scores = np.full(values.size, 5, dtype=np.uint8)
    if not values.size:
        return scores
    # Who has at least k fifths of all above it is below the last value of these fifths.
    lasts = [values.size + (-fifth * values.size // 5) for fifth in (1, 2, 3, 4)]
    for last in _in_order(values, lasts):
        scores -= values < last
    return scores


def _in_order(values: NDArray[Any], places: list[int]) -> NDArray[Any]:
    """Give the values that would stand at these places were all in order."""
    low = values.min()
    if values.dtype.kind == "i" and values.max() - low < COUNTED_RANGE_MAX:
        until = np.cumsum(np.bincount(values - low))
        found: NDArray[Any] = low + np.searchsorted(until, places, side="right")
        return found
    return np.partition(values, places)[places]


def _scores(purchases: Purchases, scores: NDArray[np.uint8]) -> ComputedTrait:
    return ComputedTrait(persons=purchases.persons, codes=scores - np.uint8(1), values=SCORES)


def _table(settings: RfmSettings, names: tuple[str, ...]) -> NDArray[np.uint8]:
    """Spread the segments over all pairs of scores."""
    table = np.zeros((len(SCORES), len(SCORES)), dtype=np.uint8)
    for recency in SCORES:
        for both in SCORES:
            first = next(each for each in settings.segments if _is_in(each, recency, both))
            table[recency - 1, both - 1] = names.index(first.segment)
    return table


def _is_in(line: SegmentRange, recency: int, both: int) -> bool:
    low, high = line.recency
    low_both, high_both = line.frequency_monetary
    return low <= recency <= high and low_both <= both <= high_both
