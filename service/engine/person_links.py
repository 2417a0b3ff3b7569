"""How each browser came to a person, and why others that named it did not.

In goes a person, out come its observations with what became of each and the reason in words, and
the browsers that are not its own. Read by key, decided as `people.py` decides for everybody.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from matching.identification import METHODS, STRENGTHS, Method
from matching.ids import NOBODY, CrmId, VisitorId
from matching.linking.click_links import CONFIRMED_WITHIN_MS, VISITORS_PER_LINK
from matching.people import Limits, LinkStatus, status_of_each
from matching.person_rows_store import SeenLink, observations_of
from service.engine.engine import Engine
from service.engine.subjects import Subject

NOT_LINKED_SHOWN: Final = 50
CUSTOMERS_SHOWN: Final = 20
NO_PROOF: Final = "none"
PROOFS: Final = {
    Method.LOGIN: "identify token",
    Method.PURCHASE: "an order with a token or by the server key",
    Method.SERVER: "server key",
    Method.CLICK: "click link",
    Method.FORM: "the word of a site that asks for no proof",
    Method.IMPORT: "imported file",
}


class PersonLink(msgspec.Struct, frozen=True, kw_only=True):
    """One observation of a browser as a customer: how it was learnt, and what became of it."""

    crm_id: CrmId | None
    """None: a customer that is known no more."""
    method: str
    proof: str
    strength: int
    """4 is strongest; a weaker one never displaces a stronger."""
    at: int
    site: str
    status: LinkStatus
    reason: str


class Shared(msgspec.Struct, frozen=True, kw_only=True):
    """A browser that too many customers used to be one's own."""

    customers: list[CrmId]
    count: int
    limit: int


class Browser(msgspec.Struct, frozen=True, kw_only=True):
    """One browser and why it is linked or not."""

    visitor: VisitorId
    status: LinkStatus
    reason: str
    links: list[PersonLink]
    shared: Shared | None


class PersonLinks(msgspec.Struct, frozen=True, kw_only=True):
    """The browsers of a person by ordinal, and those that named it and are not its own."""

    own: dict[int, Browser]
    not_linked: list[Browser]


def links_of_person(engine: Engine, subject: Subject) -> PersonLinks:
    """Explain every browser of a person and every other one that named it."""
    stores = engine.stores
    named = set(stores.person_rows.named(subject.customer)) if subject.customer else set()
    others = stores.customers.visitor_ids(
        sorted(named - subject.visitors.keys())[:NOT_LINKED_SHOWN]
    )
    visitors = {**subject.visitors, **others}
    rows = stores.person_rows.links(list(visitors))
    statuses = status_of_each(observations_of(rows), stores.people.links)
    crm_ids = {subject.customer: subject.crm_id} if subject.customer else {}
    strangers = {row.customer for row in rows} - crm_ids.keys() - {NOBODY}
    if strangers:
        crm_ids |= stores.customers.crm_ids(sorted(strangers))
    explained = _Explained(engine.config.service.people, rows, statuses, crm_ids)
    browsers = {
        visitor: explained.browser(visitor, name, stores.people.links.status_of(visitor))
        for visitor, name in visitors.items()
    }
    return PersonLinks(
        own={each: browsers[each] for each in subject.visitors},
        not_linked=[browsers[each] for each in others],
    )


class _Explained:
    """The observations of some browsers, each with its status."""

    def __init__(
        self,
        limits: Limits,
        rows: Sequence[SeenLink],
        statuses: Sequence[LinkStatus],
        crm_ids: dict[int, CrmId],
    ) -> None:
        self._limits = limits
        self._crm_ids = crm_ids
        self._of: dict[int, list[tuple[SeenLink, LinkStatus]]] = {}
        for row, status in zip(rows, statuses, strict=True):
            if row.customer != NOBODY:
                self._of.setdefault(row.visitor, []).append((row, status))

    def browser(self, visitor: int, name: VisitorId, status: LinkStatus) -> Browser:
        """Put one browser's explanation together."""
        told = self._of.get(visitor, [])
        shared = None
        if status is LinkStatus.SHARED_DEVICE:
            shared = self._shared(row for row, each in told if each is LinkStatus.SHARED_DEVICE)
        return Browser(
            visitor=name,
            status=status,
            reason=self._reason(status),
            links=[self._link(row, each) for row, each in told],
            shared=shared,
        )

    def _link(self, row: SeenLink, status: LinkStatus) -> PersonLink:
        method = Method(row.method) if row.method in METHODS else None
        return PersonLink(
            crm_id=self._crm_ids.get(row.customer),
            method=row.method,
            proof=NO_PROOF if row.claimed or method is None else PROOFS.get(method, NO_PROOF),
            strength=0 if row.claimed or method is None else STRENGTHS[method],
            at=row.at_ms,
            site=row.site,
            status=status,
            reason=self._reason(status),
        )

    def _shared(self, rows: Iterable[SeenLink]) -> Shared:
        customers = sorted({row.customer for row in rows})
        known = [self._crm_ids[each] for each in customers if each in self._crm_ids]
        return Shared(
            customers=known[:CUSTOMERS_SHOWN],
            count=len(customers),
            limit=self._limits.customers_per_visitor,
        )

    def _reason(self, status: LinkStatus) -> str:
        limits = self._limits
        return {
            LinkStatus.NONE: "nothing says whose browser it is",
            LinkStatus.LINKED: "linked",
            LinkStatus.SHARED_DEVICE: f"a shared device: more than {limits.customers_per_visitor} "
            "customers proved to use it",
            LinkStatus.OVER_LIMIT: f"the customer has {limits.visitors_per_customer} browsers "
            "with newer links already",
            LinkStatus.CLAIMED_ONLY: "claimed without proof",
            LinkStatus.CLICK_UNCONFIRMED: "no page followed the click within "
            f"{CONFIRMED_WITHIN_MS // 60_000} minutes",
            LinkStatus.SUPERSEDED: "a stronger or newer link names another customer",
            LinkStatus.CLICK_OVER_LIMIT: f"the click link brought {VISITORS_PER_LINK} other "
            "browsers before",
        }[status]
