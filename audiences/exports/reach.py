"""How many of some people a seat can reach, and with which of its partner's ids.

In go the people, the live ids of their browsers and the contacts of customers, and what consent and
suppression leave; out come the ids and a waterfall of what each step costs. Preview and export call
this very function.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from matching.bitmaps import bitmap_of, marked, mask_of, ordinals_of
from matching.ids import CUSTOMER_FIRST, VISITOR_FIRST
from matching.partner_ids_store import CarriedIds
from matching.people import Identity, People

CUSTOMERS: Final = BitMap(range(CUSTOMER_FIRST, VISITOR_FIRST))


class ReachStep(StrEnum):
    """What an id must pass on its way to a seat, in order."""

    MEMBERS = "members"
    NOT_SUPPRESSED = "not_suppressed"
    WITH_BROWSER = "with_browser"
    ALLOWED = "allowed"
    WITH_LIVE_ID = "with_live_id"
    NOT_DENIED_ELSEWHERE = "not_denied_elsewhere"


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What is left after one step; `ids` are the live ids of those browsers.

    A customer whose contacts are ids of the seat counts as one browser more.
    """

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
    """Who carries: browsers, and customers themselves where their contacts are ids; in parallel to
    `id_ordinals`. Under identity `browser` a customer's contacts are its browsers' instead."""
    id_ordinals: NDArray[np.uint32]
    suppressed_persons: BitMap
    suppressed: BitMap
    """Browsers and customers that are suppressed, and browsers whose customer is."""
    allowed: BitMap
    with_live_id: BitMap
    sendable: BitMap
    """Those who carry at least one id that may be sent."""
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
    """Decide once for a seat who carries which id, and what of that may be sent at all.

    `live` names customers beside browsers where their contacts are ids; they are sent when they too
    stand in `allowed`. An id of anybody who may not be sent is sent for nobody.
    """
    carried = live[0] if len(live) == 1 else _together(live)
    of_customers = people.persons_of_customers(suppressed & CUSTOMERS)
    barred = suppressed | people.visitors_of(of_customers)
    may_be_sent = allowed - barred
    is_open = _rows_of(carried.visitors, may_be_sent)
    denied = bitmap_of(carried.id_ordinals[~is_open])
    if people.identity is Identity.BROWSER and (carried.visitors < VISITOR_FIRST).any():
        carried = _of_browsers(carried, is_open, people)
        is_open = _rows_of(carried.visitors, may_be_sent)
        denied |= bitmap_of(carried.id_ordinals[~is_open])
    sendable = is_open & ~_rows_of(carried.id_ordinals, denied)
    return Carriers(
        people=people,
        visitors=carried.visitors,
        id_ordinals=carried.id_ordinals,
        suppressed_persons=suppressed | of_customers,
        suppressed=barred,
        allowed=allowed,
        with_live_id=bitmap_of(carried.visitors),
        sendable=bitmap_of(carried.visitors[sendable]),
        ids=bitmap_of(carried.id_ordinals[is_open]) - denied,
    )


def reach_of(persons: BitMap, seat: Carriers) -> SeatReach:
    """Walk the steps for one audience of a seat."""
    everyone = seat.people.visitors_of(persons)
    if seat.people.identity is not Identity.BROWSER:
        everyone |= persons & seat.with_live_id
    free = everyone - seat.suppressed
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


def _together(live: Sequence[CarriedIds]) -> CarriedIds:
    return CarriedIds(
        visitors=np.concatenate([np.zeros(0, np.uint32), *(each.visitors for each in live)]),
        id_ordinals=np.concatenate([np.zeros(0, np.uint32), *(each.id_ordinals for each in live)]),
    )


def _of_browsers(carried: CarriedIds, is_open: NDArray[np.bool_], people: People) -> CarriedIds:
    """Give the contacts of customers who may be sent to each of their browsers, theirs to nobody.

    Why only theirs: what others carry is denied already, for the customer's own sake.
    """
    is_customer = carried.visitors < VISITOR_FIRST
    rows = np.flatnonzero(is_customer & is_open)
    rows = rows[np.argsort(carried.visitors[rows], kind="stable")]
    owners = carried.visitors[rows]
    browsers = ordinals_of(people.persons_of_customers(bitmap_of(owners)))
    customers = people.customer_of[browsers - np.uint32(VISITOR_FIRST)]
    first = np.searchsorted(owners, customers, side="left")
    counts = np.searchsorted(owners, customers, side="right") - first
    begins = np.repeat(first - np.cumsum(counts) + counts, counts)
    theirs = rows[begins + np.arange(begins.size)]
    own = np.flatnonzero(~is_customer)
    return CarriedIds(
        visitors=np.concatenate([carried.visitors[own], np.repeat(browsers, counts)]),
        id_ordinals=np.concatenate([carried.id_ordinals[own], carried.id_ordinals[theirs]]),
    )


def _ids_of(browsers: BitMap, seat: Carriers) -> BitMap:
    return bitmap_of(seat.id_ordinals[_rows_of(seat.visitors, browsers & seat.with_live_id)])


def _rows_of(values: NDArray[np.uint32], wanted: BitMap) -> NDArray[np.bool_]:
    """Tell for each value whether it is wanted."""
    if not values.size:
        return np.zeros(0, np.bool_)
    first, last = int(values.min()), int(values.max())
    if first < VISITOR_FIRST <= last:
        # Why apart: what lies between customers and browsers would be half a billion of nobody.
        is_low = values < VISITOR_FIRST
        found = np.empty(values.size, np.bool_)
        for some in (is_low, ~is_low):
            found[some] = _rows_of(values[some], wanted)
        return found
    return marked(mask_of(wanted, first=first, size=last - first + 1), values, first=first)
