"""From observations to links: all of a log at once, or the logs of some visitors exactly.

Pure functions: the order of observations does not matter, and taking one away gives what would
have been without it. Nothing here reads or stores.
"""

import numpy as np
from numpy.typing import NDArray

from matching.identification import Observations
from matching.ids import NOBODY, ORDINAL_LAST, VISITOR_FIRST
from matching.linking.click_links import Clicks, confirmed, within_link_limit
from matching.linking.links import CLICK, PAGE, STRENGTH_OF, Limits, Links, LinkStatus
from matching.linking.standing_links import StandingLinks
from matching.linking.votes import Block, Verdict, Votes

Places = NDArray[np.int64]


def link(observations: Observations, *, limits: Limits, visitors: int) -> Links:
    """Decide, from the whole log, whom each visitor is linked to."""
    found = in_log_order(of_visitors(observations))
    votes = Votes(visitors)
    votes.add(block_of(found, places_of(found.visitor)))
    standing = StandingLinks(limits)
    standing.renew_all(votes.result(limits))
    return standing.links


def verdict_on(
    observations: Observations, places: Places, *, limits: Limits
) -> tuple[Places, Verdict]:
    """Decide, from all that was observed of them, these visitors and those in the log.

    The places of the verdict number the visitors that come with it, ascending.
    """
    found = in_log_order(of_visitors(observations))
    seen = places_of(found.visitor)
    everybody = np.union1d(places, seen)
    votes = Votes(everybody.size)
    votes.add(block_of(found, np.searchsorted(everybody, seen).astype(np.int64)))
    return everybody, votes.result(limits)


def status_of_each(observations: Observations, links: Links) -> list[LinkStatus]:
    """Explain every observation of a log that holds all observations of its visitors.

    It holds those of all who have a place on its click links, too.
    """
    order = _log_order(observations)
    may = STRENGTH_OF[observations.method] > 0
    may &= ~observations.claimed & (observations.customer != NOBODY)
    clicks = order[(may & (observations.method == CLICK))[order]]
    sure, within = _counted_clicks(observations, clicks)
    status = dict.fromkeys(clicks.tolist(), LinkStatus.CLICK_UNCONFIRMED)
    status |= dict.fromkeys(sure.tolist(), LinkStatus.CLICK_OVER_LIMIT)
    for row in within.tolist():
        del status[row]
    return [
        status[row] if row in status else _status_of_one(observations, links, row, counts=counts)
        for row, counts in enumerate(may.tolist())
    ]


def _counted_clicks(observations: Observations, clicks: Places) -> tuple[Places, Places]:
    """Give the confirmed among these clicks, and of them those of their links' first visitors."""
    places = places_of(observations.visitor)
    pages = np.flatnonzero(observations.method == PAGE)
    sure = clicks[
        confirmed(
            _clicks(observations, places, clicks),
            page_place=places[pages],
            page_at_ms=observations.at_ms[pages],
        )
    ]
    within, _ = within_link_limit(_clicks(observations, places, sure))
    return sure, sure[within]


def _clicks(observations: Observations, places: Places, rows: Places) -> Clicks:
    return Clicks(
        place=places[rows], at_ms=observations.at_ms[rows], proof=observations.proof[rows]
    )


def _status_of_one(
    observations: Observations, links: Links, row: int, *, counts: bool
) -> LinkStatus:
    """Say what became of an observation that is no click, or a click that counts."""
    if observations.claimed[row]:
        return LinkStatus.CLAIMED_ONLY
    if not counts:
        return LinkStatus.NONE
    visitor = int(observations.visitor[row])
    status = links.status_of(visitor)
    is_other = links.customer_of_visitor(visitor) != observations.customer[row]
    return LinkStatus.SUPERSEDED if status is LinkStatus.LINKED and is_other else status


def of_visitors(observations: Observations) -> Observations:
    """Keep the observations of visitors."""
    visitor = observations.visitor
    good = (visitor >= VISITOR_FIRST) & (visitor <= ORDINAL_LAST)
    return observations if good.all() else observations.take(good)


def in_log_order(observations: Observations) -> Observations:
    """Order observations as the log has them: by chunk and row."""
    return observations.take(_log_order(observations))


def _log_order(observations: Observations) -> Places:
    # Why four: should a row ever stand twice, its order must not be chance either.
    keys = ("method", "customer", "row", "chunk")
    order = np.lexsort(tuple(getattr(observations, name) for name in keys))
    return order.astype(np.int64)


def places_of(visitors: NDArray[np.uint32]) -> Places:
    """Give the number of each visitor, the first one's being 0."""
    return visitors.astype(np.int64) - VISITOR_FIRST


def block_of(observations: Observations, places: Places) -> Block:
    """Make what is counted of observations whose visitors are numbered so."""
    return Block(
        place=places,
        customer=observations.customer,
        at_ms=observations.at_ms,
        method=observations.method,
        claimed=observations.claimed,
        proof=observations.proof,
    )
