"""From the log of identifications to people: whom each visitor is linked to, and who is whose.

Pure functions of whole logs: the order of observations does not matter, and taking one away gives
what would have been without it. Nothing here reads or stores.
"""

from enum import StrEnum
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from matching.bitmaps import bitmap_of, bitmap_of_mask, mask_of, ordinals_of
from matching.identification import (
    METHOD_CODES,
    METHODS,
    STRENGTHS,
    UNKNOWN_METHOD,
    Method,
    Observations,
)
from matching.ids import NOBODY, ORDINAL_LAST, VISITOR_FIRST

CLICK_CONFIRMED_WITHIN_MS: Final = 30 * 60_000
VISITORS_PER_CLICK_LINK: Final = 3
"""A forwarded newsletter must not turn its readers into one person."""

_CLICK, _PAGE = METHOD_CODES[Method.CLICK], METHOD_CODES[Method.PAGE]
_STRENGTH_OF = np.zeros(UNKNOWN_METHOD + 1, dtype=np.int8)
_STRENGTH_OF[: len(METHODS)] = [STRENGTHS[method] for method in METHODS]


class Identity(StrEnum):
    """What a person is: a customer with its visitors, or each browser for itself."""

    LAST_AUTHENTICATED = "last_authenticated"
    BROWSER = "browser"


class LinkStatus(StrEnum):
    """Why a visitor is linked or not; a SUPERSEDED observation lost to another customer."""

    NONE = "none"
    LINKED = "linked"
    SHARED_DEVICE = "shared_device"
    OVER_LIMIT = "over_limit"
    CLAIMED_ONLY = "claimed_only"
    CLICK_UNCONFIRMED = "click_unconfirmed"
    SUPERSEDED = "superseded"
    CLICK_OVER_LIMIT = "click_over_limit"


STATUSES: Final = tuple(LinkStatus)
"""A status's code in arrays is its place here."""
STATUS_CODES: Final = {status: code for code, status in enumerate(STATUSES)}


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How many visitors a customer may have, and how many customers make a shared device."""

    visitors_per_customer: int = 100
    customers_per_visitor: int = 10


class Links(msgspec.Struct, frozen=True, kw_only=True):
    """Per visitor (index = ordinal - VISITOR_FIRST) its customer, and why.

    `method` and `at_ms` are those of the strongest observation, also where a limit cut the link.
    """

    customer_of: NDArray[np.uint32]
    status: NDArray[np.uint8]
    method: NDArray[np.uint8]
    at_ms: NDArray[np.int64]

    def status_of(self, visitor: int) -> LinkStatus:
        """Give the status of one visitor; one never observed has none."""
        index = visitor - VISITOR_FIRST
        return STATUSES[self.status[index]] if 0 <= index < self.status.size else LinkStatus.NONE


def link(observations: Observations, *, limits: Limits, visitors: int) -> Links:
    """Decide, from the whole log, whom each visitor is linked to."""
    observed = observations.take(
        (observations.visitor >= VISITOR_FIRST) & (observations.visitor <= ORDINAL_LAST)
    )
    index = observed.visitor.astype(np.int64) - VISITOR_FIRST
    size = max(visitors, int(index.max()) + 1 if index.size else 0)
    counts = counted(observed)
    links = _strongest(observed.take(counts), index[counts], size)
    shared = _shared_devices(observed.take(counts), index[counts], size, limits)
    links.status[shared] = STATUS_CODES[LinkStatus.SHARED_DEVICE]
    links.customer_of[shared] = NOBODY
    _cut_over_limit(links, limits)
    _explain_unlinked(links, observed, index, counts)
    return links


def counted(observations: Observations) -> NDArray[np.bool_]:
    """Tell the observations that may link: proven and of a customer.

    Clicks count only if confirmed, and of each link those of its first visitors only.
    """
    may, clicks, confirmed = _may_link(observations)
    may[clicks[~confirmed]] = False
    clicks = clicks[confirmed]
    may[clicks] = _within_link_limit(observations.take(clicks))
    return may


def _may_link(
    observations: Observations,
) -> tuple[NDArray[np.bool_], NDArray[np.intp], NDArray[np.bool_]]:
    """Tell the proven observations of customers; which are clicks, and which of these confirmed."""
    may: NDArray[np.bool_] = ~observations.claimed & (observations.customer != NOBODY)
    may &= _STRENGTH_OF[observations.method] > 0
    clicks = np.flatnonzero(may & (observations.method == _CLICK))
    return may, clicks, _confirmed(observations, clicks)


def status_of_each(observations: Observations, links: Links) -> list[LinkStatus]:
    """Explain every observation of a log that holds all observations of its visitors."""
    counts = counted(observations)
    _, clicks, confirmed = _may_link(observations)
    over_limit = set(clicks[confirmed & ~counts[clicks]].tolist())
    statuses = []
    for row, counting in enumerate(counts.tolist()):
        status = links.status_of(int(observations.visitor[row]))
        index = int(observations.visitor[row]) - VISITOR_FIRST
        if observations.claimed[row]:
            status = LinkStatus.CLAIMED_ONLY
        elif not counting:
            click = observations.method[row] == _CLICK
            status = LinkStatus.CLICK_UNCONFIRMED if click else LinkStatus.NONE
            status = LinkStatus.CLICK_OVER_LIMIT if row in over_limit else status
        elif status is LinkStatus.LINKED and links.customer_of[index] != observations.customer[row]:
            status = LinkStatus.SUPERSEDED
        statuses.append(status)
    return statuses


def _confirmed(observations: Observations, clicks: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Tell which clicks were followed by a page of the same visitor; mail scanners load none."""
    pages = np.flatnonzero(observations.method == _PAGE)
    both = np.concatenate([clicks, pages])
    visitor, at_ms = observations.visitor[both], observations.at_ms[both]
    is_page = np.arange(both.size) >= clicks.size
    order = np.lexsort((is_page, at_ms, visitor))
    # The next page at or after each place: the smallest page place among those not before it.
    places = np.where(is_page[order], np.arange(both.size), both.size - 1)
    following = np.minimum.accumulate(places[::-1])[::-1]
    page = order[following]
    good = is_page[page] & (visitor[page] == visitor[order])
    good &= at_ms[page] - at_ms[order] <= CLICK_CONFIRMED_WITHIN_MS
    confirmed = np.zeros(both.size, dtype=np.bool_)
    confirmed[order] = good
    return confirmed[: clicks.size]


def _within_link_limit(clicks: Observations) -> NDArray[np.bool_]:
    """Tell which clicks are of the first visitors whom their link brought."""
    size = clicks.visitor.size
    rank = np.empty(size, dtype=np.int64)
    rank[np.lexsort((clicks.row, clicks.chunk, clicks.at_ms))] = np.arange(size)
    order = np.lexsort((rank, clicks.visitor, clicks.proof))
    proof, visitor = clicks.proof[order], clicks.visitor[order]
    begins = np.ones(size, dtype=np.bool_)
    begins[1:] = (proof[1:] != proof[:-1]) | (visitor[1:] != visitor[:-1])
    firsts = order[begins]  # each visitor's first click by each link
    arrival = np.lexsort((rank[firsts], clicks.proof[firsts]))
    links = clicks.proof[firsts][arrival]
    place = np.arange(links.size) - np.searchsorted(links, links)
    within = np.empty(links.size, dtype=np.bool_)
    # Why 0: a click whose link is not known cannot be counted.
    within[arrival] = (place < VISITORS_PER_CLICK_LINK) | (links == 0)
    good = np.empty(size, dtype=np.bool_)
    good[order] = within[np.cumsum(begins) - 1]
    return good


def _strongest(observed: Observations, index: NDArray[np.int64], size: int) -> Links:
    """Link each visitor by its strongest observation, among equals the newest."""
    strength = _STRENGTH_OF[observed.method]
    best = np.zeros(size, dtype=np.int8)
    np.maximum.at(best, index, strength)
    rows = np.flatnonzero(strength == best[index])
    newest = np.full(size, np.iinfo(np.int64).min)
    np.maximum.at(newest, index[rows], observed.at_ms[rows])
    rows = rows[observed.at_ms[rows] == newest[index[rows]]]
    keys = (observed.method, observed.customer, observed.row, observed.chunk)
    rows = rows[np.lexsort(tuple(key[rows] for key in keys))]
    links = Links(
        customer_of=np.zeros(size, dtype=np.uint32),
        status=np.zeros(size, dtype=np.uint8),
        method=np.full(size, UNKNOWN_METHOD, dtype=np.uint8),
        at_ms=np.zeros(size, dtype=np.int64),
    )
    # Of rows that share a visitor the last one written stands: the latest in the log.
    links.customer_of[index[rows]] = observed.customer[rows]
    links.status[index[rows]] = STATUS_CODES[LinkStatus.LINKED]
    links.method[index[rows]] = observed.method[rows]
    links.at_ms[index[rows]] = observed.at_ms[rows]
    return links


def _shared_devices(
    observed: Observations, index: NDArray[np.int64], size: int, limits: Limits
) -> NDArray[np.int64]:
    """Find the visitors whom too many distinct customers used."""
    often = np.bincount(index, minlength=size) > limits.customers_per_visitor
    rows = np.flatnonzero(often[index])
    pairs = (index[rows].astype(np.uint64) << np.uint64(32)) | observed.customer[rows]
    visitors = (np.unique(pairs) >> np.uint64(32)).astype(np.int64)
    found, customers = np.unique(visitors, return_counts=True)
    return found[customers > limits.customers_per_visitor]


def _cut_over_limit(links: Links, limits: Limits) -> None:
    """Keep each customer's newest links up to the limit, of equal times the lower visitor's."""
    held = np.bincount(links.customer_of, minlength=1)
    held[NOBODY] = 0
    too_many = held > limits.visitors_per_customer
    visitors = np.flatnonzero(too_many[links.customer_of])
    customers = links.customer_of[visitors]
    order = np.lexsort((visitors, -links.at_ms[visitors], customers))
    visitors, customers = visitors[order], customers[order]
    place = np.arange(visitors.size) - np.searchsorted(customers, customers)
    cut = visitors[place >= limits.visitors_per_customer]
    links.customer_of[cut] = NOBODY
    links.status[cut] = STATUS_CODES[LinkStatus.OVER_LIMIT]


def _explain_unlinked(
    links: Links, observed: Observations, index: NDArray[np.int64], counts: NDArray[np.bool_]
) -> None:
    """Say of visitors without any counted observation what they lacked."""
    named = ~counts & (observed.customer != NOBODY) & (_STRENGTH_OF[observed.method] > 0)
    click = named & ~observed.claimed & (observed.method == _CLICK)
    lacking = (
        (named & observed.claimed, LinkStatus.CLAIMED_ONLY),
        (click, LinkStatus.CLICK_UNCONFIRMED),
    )
    undecided = links.status == STATUS_CODES[LinkStatus.NONE]
    for which, status in lacking:
        visitors = index[which]
        links.status[visitors[undecided[visitors]]] = STATUS_CODES[status]


class People:
    """One identity's unchanging answer to "whose is it"; customer_of may be shared."""

    __slots__ = ("_linked", "customer_of", "identity", "version")

    def __init__(
        self, *, identity: Identity, version: int, customer_of: NDArray[np.uint32]
    ) -> None:
        self.identity = identity
        self.version = version
        self.customer_of = customer_of
        self._linked = bitmap_of_mask(customer_of != NOBODY, first=VISITOR_FIRST)

    def fold(
        self, visitors: NDArray[np.uint32], customers: NDArray[np.uint32]
    ) -> NDArray[np.uint32]:
        """Give the person of each row: its named customer, else its visitor's; 0 = nobody."""
        if self.identity is Identity.BROWSER:
            return visitors
        linked = self._customer_of_each(visitors)
        persons = np.where(linked != NOBODY, linked, visitors)
        return np.where(customers != NOBODY, customers, persons)

    def persons_of_visitors(self, visitors: BitMap) -> BitMap:
        """Give the persons whom these visitors belong to."""
        if self.identity is Identity.BROWSER:
            return visitors.copy()
        return (visitors - self._linked) | self._linked_customers(visitors)

    def persons_of_customers(self, customers: BitMap) -> BitMap:
        """Give the persons who have the traits of these customers."""
        if self.identity is Identity.LAST_AUTHENTICATED:
            return customers.copy()
        return self._linked_visitors(customers)

    def visitors_of(self, persons: BitMap) -> BitMap:
        """Give all visitors of these persons."""
        if self.identity is Identity.BROWSER:
            return persons.copy()
        unlinked = persons - self._linked
        unlinked.remove_range(NOBODY, VISITOR_FIRST)
        return unlinked | self._linked_visitors(persons)

    def customers_of(self, persons: BitMap) -> BitMap:
        """Give the customers among, or linked to, these persons."""
        if self.identity is Identity.BROWSER:
            return self._linked_customers(persons)
        customers = persons.copy()
        customers.remove_range(VISITOR_FIRST, ORDINAL_LAST + 2)
        return customers

    def base(self, *, customers: BitMap, visitors: BitMap) -> BitMap:
        """Give everyone: customers and unlinked visitors, or each visitor under `browser`."""
        if self.identity is Identity.BROWSER:
            return visitors.copy()
        return customers | (visitors - self._linked)

    def _customer_of_each(self, visitors: NDArray[np.uint32]) -> NDArray[np.uint32]:
        if self.customer_of.size == 0:
            return np.zeros(visitors.size, dtype=np.uint32)
        index = visitors - np.uint32(VISITOR_FIRST)  # visitor 0 wraps far beyond the end
        linked: NDArray[np.uint32] = self.customer_of.take(index, mode="clip")
        linked[index >= self.customer_of.size] = NOBODY
        return linked

    def _linked_customers(self, visitors: BitMap) -> BitMap:
        return bitmap_of_dense(self._customer_of_each(ordinals_of(visitors & self._linked)))

    def _linked_visitors(self, customers: BitMap) -> BitMap:
        asked = mask_of(customers, first=0, size=int(self.customer_of.max(initial=0)) + 1)
        asked[NOBODY] = False
        return bitmap_of_mask(asked[self.customer_of], first=VISITOR_FIRST)


def bitmap_of_dense(customers: NDArray[np.uint32]) -> BitMap:
    """Make the set of customers' ordinals through a mask, for they are dense from 1."""
    if customers.size < 1000:
        return bitmap_of(customers)
    mask = np.zeros(int(customers.max()) + 1, dtype=np.bool_)
    mask[customers] = True
    return bitmap_of_mask(mask)
