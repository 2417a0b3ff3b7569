"""How many of some people a seat can reach, and with which of its partner's ids.

In go the people, their browsers, the live ids and what consent and suppression leave; out come the
ids and a waterfall of what each step costs. Preview and export call this very function.
"""

from collections.abc import Sequence
from enum import StrEnum

import msgspec
import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from matching.bitmaps import bitmap_of, mask_of
from matching.ids import CUSTOMER_FIRST, ORDINAL_LAST, VISITOR_FIRST
from matching.partner_ids_store import CarriedIds
from matching.people import People


class ReachStep(StrEnum):
    """What an id must pass on its way to a seat, in order."""

    MEMBERS = "members"
    NOT_SUPPRESSED = "not_suppressed"
    WITH_BROWSER = "with_browser"
    ALLOWED = "allowed"
    WITH_LIVE_ID = "with_live_id"
    NOT_DENIED_ELSEWHERE = "not_denied_elsewhere"


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What is left after one step; `ids` are the live ids of those browsers."""

    step: ReachStep
    people: int
    browsers: int
    ids: int


class SeatReach(msgspec.Struct, frozen=True, kw_only=True):
    """The people a seat reaches and the ordinals of the ids that name them."""

    waterfall: list[Step]
    people: int
    ids: BitMap


class Carriers(msgspec.Struct, frozen=True, kw_only=True):
    """Who carries which id and who may be sent: the same for every audience of one seat."""

    people: People
    visitors: NDArray[np.uint32]
    id_ordinals: NDArray[np.uint32]
    suppressed_persons: BitMap
    suppressed_browsers: BitMap
    allowed: BitMap
    with_live_id: BitMap
    sendable: BitMap
    """Visitors with at least one id that may be sent."""
    ids: BitMap
    """Every id that may be sent."""


def reach(
    persons: BitMap,
    *,
    people: People,
    live: Sequence[CarriedIds],
    allowed: BitMap,
    suppressed: BitMap,
) -> SeatReach:
    """Find the ids of `persons`; an id that a denied browser carries too is left out."""
    return reach_of(
        persons, carriers(people=people, live=live, allowed=allowed, suppressed=suppressed)
    )


def carriers(
    *, people: People, live: Sequence[CarriedIds], allowed: BitMap, suppressed: BitMap
) -> Carriers:
    """Decide once for a seat which browsers and ids may be sent at all."""
    visitors = np.concatenate([np.zeros(0, np.uint32), *(each.visitors for each in live)])
    id_ordinals = np.concatenate([np.zeros(0, np.uint32), *(each.id_ordinals for each in live)])
    customers = suppressed & BitMap(range(CUSTOMER_FIRST, VISITOR_FIRST))
    of_customers = people.persons_of_customers(customers)
    browsers = (suppressed & BitMap(range(VISITOR_FIRST, ORDINAL_LAST + 1))) | people.visitors_of(
        of_customers
    )
    is_open = _rows_of(visitors, allowed - browsers)
    denied = bitmap_of(id_ordinals[~is_open])
    ids = bitmap_of(id_ordinals[is_open]) - denied
    sendable = is_open & ~_rows_of(id_ordinals, denied)
    return Carriers(
        people=people,
        visitors=visitors,
        id_ordinals=id_ordinals,
        suppressed_persons=suppressed | of_customers,
        suppressed_browsers=browsers,
        allowed=allowed,
        with_live_id=bitmap_of(visitors),
        sendable=bitmap_of(visitors[sendable]),
        ids=ids,
    )


def reach_of(persons: BitMap, seat: Carriers) -> SeatReach:
    """Walk the steps for one audience of a seat."""
    everyone = seat.people.visitors_of(persons)
    free = everyone - seat.suppressed_browsers
    allowed = free & seat.allowed
    live = allowed & seat.with_live_id
    final = live & seat.sendable
    browsers = {
        ReachStep.MEMBERS: everyone,
        ReachStep.NOT_SUPPRESSED: free,
        ReachStep.WITH_BROWSER: free,
        ReachStep.ALLOWED: allowed,
        ReachStep.WITH_LIVE_ID: live,
        ReachStep.NOT_DENIED_ELSEWHERE: final,
    }
    counts = {
        step: (seat.people.persons_of_visitors(left) & persons) for step, left in browsers.items()
    }
    counts[ReachStep.MEMBERS] = persons
    counts[ReachStep.NOT_SUPPRESSED] = persons - seat.suppressed_persons
    ids = _ids_of(final, seat) & seat.ids
    waterfall = [
        Step(
            step=step,
            people=len(counts[step]),
            browsers=len(left),
            ids=len(ids if left is final else _ids_of(left, seat)),
        )
        for step, left in browsers.items()
    ]
    return SeatReach(waterfall=waterfall, people=waterfall[-1].people, ids=ids)


def sendable_rows(seat: Carriers) -> NDArray[np.intp]:
    """Give the rows of the browsers and ids that may be sent."""
    return np.flatnonzero(
        _rows_of(seat.visitors, seat.sendable) & _rows_of(seat.id_ordinals, seat.ids)
    )


def _ids_of(browsers: BitMap, seat: Carriers) -> BitMap:
    return bitmap_of(seat.id_ordinals[_rows_of(seat.visitors, browsers & seat.with_live_id)])


def _rows_of(values: NDArray[np.uint32], wanted: BitMap) -> NDArray[np.bool_]:
    """Tell for each value whether it is wanted."""
    if not values.size:
        return np.zeros(0, np.bool_)
    first, last = int(values.min()), int(values.max())
    mask = mask_of(wanted, first=first, size=last - first + 1)
    return np.take(mask, values - np.uint32(first))
