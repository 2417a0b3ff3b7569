"""What decides who may be sent, gathered from the tables once for one moment of the data.

Allowed browsers and customers of each partner, and how far each came with each id space, come out;
all of it is shared and must not be changed. Who is reached, `seat_reach.py` says.
"""

from collections.abc import Callable
from functools import cached_property
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from matching.bitmaps import bitmap_of, ordinals_of
from matching.consent.decide import GOOGLE_GVL_ID, Use
from matching.consent.google import GOOGLE_KEYS
from matching.consent_store import ConsentClasses, Decide, allowed_visitors, visitors_with_gpc
from matching.contact_profiles import SPACES
from matching.ids import VISITOR_FIRST
from matching.partner_facts import VISITORS_PER_ID_MAX, Partner
from matching.partner_ids_store import DAY_MS, CarriedIds
from matching.people import Identity, People
from service.config import Config
from service.engine.addressability import Addressability
from service.engine.stores import Stores

CONTACTS: Final = frozenset(SPACES)


class SpaceFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One id space: the ids that live, and who came to each gate before that."""

    live: CarriedIds
    """With the contacts of customers, of those too who did not opt in: they deny an id to all."""
    came_to: dict[Addressability, BitMap]
    has_live: BitMap
    """Browsers with a live id, however many carry it."""


class ReachFacts:
    """One moment of the data; what is asked for the first time is read then."""

    def __init__(
        self,
        *,
        config: Config,
        stores: Stores,
        decide: Decide,
        suppressed: BitMap,
        bots: Callable[[], BitMap],
        now_ms: int,
    ) -> None:
        self.suppressed = suppressed
        self._config = config
        self._stores = stores
        self._decide = decide
        self._read_bots = bots
        self._now_ms = now_ms
        self._allowed: dict[str, BitMap] = {}
        self._spaces: dict[tuple[str, int], SpaceFacts] = {}

    @cached_property
    def visitors(self) -> BitMap:
        """All browsers."""
        return self._stores.customers.visitors()

    @cached_property
    def customers(self) -> BitMap:
        """All customers."""
        return self._stores.customers.customers()

    @cached_property
    def bots(self) -> BitMap:
        """The browsers that were judged to be bots."""
        return self._read_bots()

    @cached_property
    def gpc(self) -> BitMap:
        """All browsers of everybody who sends GPC from one: it denies for the customer too."""
        return self._people.visitors_of(self._persons_with_gpc)

    @cached_property
    def customers_with_gpc(self) -> BitMap:
        """The customers who send GPC from one of their browsers."""
        return self._people.customers_of(self._persons_with_gpc)

    def allowed(self, partner: Partner | None) -> BitMap:
        """Give the browsers whose consent lets this partner have them; bots are none of them."""
        if partner is None:
            return BitMap()
        if partner.key not in self._allowed:
            allowed = allowed_visitors(
                self._classes,
                partner.consent,
                Use.EXPORT,
                self._decide,
                visitors=self.visitors,
                default_site=self._config.default_site.key,
            )
            self._allowed[partner.key] = allowed - self.gpc - self.bots - self._denied
        return self._allowed[partner.key]

    def allowed_contacts(self, partner: Partner | None) -> BitMap:
        """Give the customers whose contacts this partner may have: their own word decides."""
        return self._opted_in - self.customers_with_gpc - self.unasked(partner)

    def unasked(self, partner: Partner | None) -> BitMap:
        """Give the customers who said too little for this partner, whatever their opt-in."""
        if partner is None:
            return self.customers
        if not is_google(partner):
            return BitMap()
        granted = [self._stores.customers.granted(key) for key in GOOGLE_KEYS]
        return self.customers - BitMap.intersection(*granted)

    def space(self, id_space: str, lives_days: int) -> SpaceFacts:
        """Give what became of one id space."""
        key = (id_space, lives_days)
        if key not in self._spaces:
            found = self._read_space(id_space, lives_days)
            if id_space in CONTACTS:
                found = _joined(found, self._read_contacts(id_space))
            self._spaces[key] = found
        return self._spaces[key]

    @cached_property
    def _people(self) -> People:
        return self._stores.people.people(Identity.LAST_AUTHENTICATED)

    @cached_property
    def _persons_with_gpc(self) -> BitMap:
        with_gpc = visitors_with_gpc(self._classes, self._decide)
        return self._people.persons_of_visitors(with_gpc)

    @cached_property
    def _classes(self) -> ConsentClasses:
        return self._stores.consents.classes()

    @cached_property
    def _denied(self) -> BitMap:
        """Browsers that may not be recorded for audiences, so that no audience sends them."""
        return self._stores.consents.denied_audiences(self._decide)

    def _read_space(self, id_space: str, lives_days: int) -> SpaceFacts:
        """Read what became of the ids of browsers."""
        states = self._stores.partner_ids.states.read(id_space, as_of_ms=self._now_ms)
        is_fresh = states.at_ms >= self._now_ms - lives_days * DAY_MS
        has_live = states.is_stored & is_fresh
        is_live = has_live.copy()
        is_live[has_live] = are_carried_by_few(states.id_ordinals[has_live])
        rows = {
            Addressability.DELETED: ~states.is_stored,
            Addressability.EXPIRED: states.is_stored & ~is_fresh,
            Addressability.FAN_OUT: has_live & ~is_live,
        }
        if id_space in CONTACTS:
            whose = self._whose(states.visitors)
            rows[Addressability.NOT_LINKED] = is_live & ~whose.is_linked
            rows[Addressability.NOT_OPTED_IN] = is_live & whose.is_linked & ~whose.is_opted_in
            is_live = is_live & whose.is_opted_in
        came_to = {status: bitmap_of(states.visitors[which]) for status, which in rows.items()}
        came_to[Addressability.NEVER_RETURNED] = states.offered
        came_to[Addressability.REFUSED_ID] = states.refused
        return SpaceFacts(
            live=CarriedIds(
                visitors=states.visitors[is_live], id_ordinals=states.id_ordinals[is_live]
            ),
            came_to=came_to,
            has_live=bitmap_of(states.visitors[has_live]),
        )

    def _read_contacts(self, id_space: str) -> SpaceFacts:
        """Read how far customers come by the contacts that the CRM says."""
        carried = self._stores.contact_ids.carried(id_space)
        is_live = are_carried_by_few(carried.id_ordinals)
        live = CarriedIds(
            visitors=carried.visitors[is_live], id_ordinals=carried.id_ordinals[is_live]
        )
        return SpaceFacts(
            live=live,
            came_to={
                Addressability.FAN_OUT: bitmap_of(carried.visitors[~is_live]),
                Addressability.NOT_OPTED_IN: bitmap_of(live.visitors) - self._opted_in,
            },
            has_live=BitMap(),
        )

    def _whose(self, visitors: NDArray[np.uint32]) -> "_Whose":
        persons = self._people.fold(visitors, np.zeros_like(visitors))
        return _Whose(
            is_linked=persons < VISITOR_FIRST,
            is_opted_in=np.isin(persons, ordinals_of(self._opted_in)),
        )

    @cached_property
    def _opted_in(self) -> BitMap:
        return self._stores.customers.opted_in()


class _Whose(msgspec.Struct, frozen=True, kw_only=True):
    """Of some browsers: which are a customer's, and which one's who opted in."""

    is_linked: NDArray[np.bool_]
    is_opted_in: NDArray[np.bool_]


def is_google(partner: Partner) -> bool:
    """Tell whether a partner is Google, who wants both of its consents."""
    return partner.consent.gvl_id == GOOGLE_GVL_ID


def are_carried_by_few(id_ordinals: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Tell of each row whether not too many of these rows have the same id."""
    few: NDArray[np.bool_] = np.bincount(id_ordinals)[id_ordinals] <= VISITORS_PER_ID_MAX
    return few


def _joined(one: SpaceFacts, other: SpaceFacts) -> SpaceFacts:
    statuses = one.came_to.keys() | other.came_to.keys()
    return SpaceFacts(
        live=CarriedIds(
            visitors=np.concatenate([one.live.visitors, other.live.visitors]),
            id_ordinals=np.concatenate([one.live.id_ordinals, other.live.id_ordinals]),
        ),
        came_to={
            each: one.came_to.get(each, BitMap()) | other.came_to.get(each, BitMap())
            for each in statuses
        },
        has_live=one.has_live | other.has_live,
    )
