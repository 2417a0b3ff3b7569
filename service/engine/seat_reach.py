"""Which people and ids each partner and seat would be sent: one answer for preview and export.

What decides is gathered once per data version; then people are counted by bitmaps alone. Customers
who opted in, and they alone, are sent by hashed contact, with a browser or without.
"""

import threading
from collections.abc import Callable, Iterable

import msgspec
from pyroaring import BitMap

from audiences.exports.id_counts import IdCounts, id_counts
from audiences.exports.reach import Carriers, carriers
from audiences.exports.seats import Seat
from audiences.preview import Reach, SeatCount
from matching.consent_store import Decide
from matching.ids import ORDINAL_LAST, VISITOR_FIRST
from matching.partner_facts import Partner
from matching.partner_ids_store import CarriedIds
from matching.people import Identity, People
from service.config import Config
from service.engine.addressability import Addressability, carriers_by_status, people_by_status
from service.engine.reach_facts import CONTACTS, ReachFacts
from service.engine.stores import Stores


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What a person is sent by: a partner's consent and the ids that count there, for so long."""

    key: str
    partner: Partner | None
    id_spaces: tuple[str, ...]
    lives_days: int
    pools: tuple[str, ...]
    """Other id spaces of the same company; their ids are not valid here."""

    @property
    def takes_contacts(self) -> bool:
        """Whether customers are sent by their contacts, beside browsers by their ids."""
        return not CONTACTS.isdisjoint(self.id_spaces)

    @property
    def nothing_known(self) -> Addressability:
        """What is said of a browser of which no id of the target was ever heard."""
        only_contacts = CONTACTS.issuperset(self.id_spaces)
        return Addressability.NO_CONTACT if only_contacts else Addressability.NEVER_OFFERED


class Reachable(msgspec.Struct, frozen=True, kw_only=True):
    """All people by how far they come at one target, and the ids of those who can be sent."""

    by_status: dict[Addressability, BitMap]
    ids: IdCounts

    def people(self, among: BitMap) -> int:
        """Count those of these people who can be sent."""
        return self.by_status[Addressability.ADDRESSABLE].intersection_cardinality(among)


def target_of_partner(partner: Partner, config: Config) -> Target:
    """Take a partner as one who is sent its own ids."""
    spaces = (partner.id_space,)
    return Target(
        key=f"partner {partner.key}",
        partner=partner,
        id_spaces=spaces,
        lives_days=partner.lives_days,
        pools=_other_pools(partner, config.partners, spaces),
    )


def target_of_seat(seat: Seat, config: Config) -> Target:
    """Take a seat; without its partner it is sent nobody."""
    partner = config.partner(seat.partner)
    pools = _other_pools(partner, config.partners, seat.id_spaces) if partner else ()
    return Target(
        key=f"seat {seat.key}",
        partner=partner,
        id_spaces=seat.id_spaces,
        lives_days=seat.lives_days,
        pools=pools,
    )


class SeatReaches:
    """Answers reach for every partner and seat; forgets when the data changes."""

    def __init__(
        self,
        *,
        config: Config,
        stores: Stores,
        decide: Decide,
        suppressed: Callable[[], BitMap],
        now_ms: Callable[[], int],
        bots: Callable[[], BitMap] | None = None,
    ) -> None:
        self._config = config
        self._facts = lambda: ReachFacts(
            config=config,
            stores=stores,
            decide=decide,
            suppressed=suppressed(),
            bots=bots or stores.asked_events.visitors_of_bots,
            now_ms=now_ms(),
        )
        self.forget()

    def forget(self) -> None:
        """Drop what was gathered; the next question gathers anew."""
        # Why a whole one: who gathers just now must not leave what is old among what is new.
        self._moment = _Moment(self._facts)

    def reach(self, people: People, persons: BitMap) -> Reach:
        """Give people per partner, and people and ids per seat."""
        moment, config = self._moment, self._config
        partners = {
            each.key: moment.reachable(target_of_partner(each, config), people)
            for each in config.partners
        }
        seats = [
            (each, moment.reachable(target_of_seat(each, config), people)) for each in config.seats
        ]
        return Reach(
            partners={key: each.people(persons) for key, each in partners.items()},
            seats={
                seat.key: SeatCount(
                    people=each.people(persons),
                    ids=each.ids.count(persons),
                    min_size=seat.min_size,
                )
                for seat, each in seats
            },
        )

    def of_partner(self, partner: Partner, people: People) -> Reachable:
        """Give all people by how far they come at a partner."""
        return self._moment.reachable(target_of_partner(partner, self._config), people)

    def of_seat(self, seat: Seat, people: People) -> Reachable:
        """Give all people by how far they come at a seat."""
        return self._moment.reachable(target_of_seat(seat, self._config), people)

    def carried(self, seat: Seat) -> list[CarriedIds]:
        """Give the live ids of a seat's id spaces, in the seat's order; what they are called not.

        Contacts of customers who did not opt in are among them: they deny an id to all.
        """
        return self._moment.carried(seat)

    def allowed(self, seat: Seat) -> BitMap:
        """Give the browsers that this seat's partner may have, and customers by their contacts."""
        return self._moment.allowed(target_of_seat(seat, self._config))

    @property
    def bots(self) -> BitMap:
        """The browsers that were judged to be bots, as this moment has them."""
        return self._moment.bots


class _Carried(msgspec.Struct, frozen=True, kw_only=True):
    """Who carries what at one target, and how far everybody who might comes there."""

    carriers: Carriers
    by_status: dict[Addressability, BitMap]


class _Moment:
    """All that is known of one data version; one thread gathers, the others wait for it."""

    def __init__(self, facts: Callable[[], ReachFacts]) -> None:
        self._make_facts = facts
        self._made: ReachFacts | None = None
        self._lock = threading.RLock()
        self._carried: dict[tuple[str, Identity | None], _Carried] = {}
        self._reachable: dict[tuple[str, Identity, int], Reachable] = {}

    def reachable(self, target: Target, people: People) -> Reachable:
        """Give all people of one identity by how far they come."""
        key = (target.key, people.identity, people.version)
        with self._lock:
            if key not in self._reachable:
                self._reachable[key] = self._find(target, people)
            return self._reachable[key]

    def carried(self, seat: Seat) -> list[CarriedIds]:
        """Give who carries which live id."""
        with self._lock:
            return [self._facts.space(space, seat.lives_days).live for space in seat.id_spaces]

    def allowed(self, target: Target) -> BitMap:
        """Give whom consent lets this target have."""
        with self._lock:
            return _allowed(target, self._facts)

    @property
    def bots(self) -> BitMap:
        """The browsers that were judged to be bots."""
        with self._lock:
            return self._facts.bots

    @property
    def _facts(self) -> ReachFacts:
        if self._made is None:
            self._made = self._make_facts()
        return self._made

    def _find(self, target: Target, people: People) -> Reachable:
        facts = self._facts
        # Why not always: whose a browser is matters only for the contacts of its customer.
        key = (target.key, people.identity if target.takes_contacts else None)
        if key not in self._carried:
            self._carried[key] = _carried(target, people, facts)
        carried = self._carried[key]
        customers = facts.suppressed.copy()
        customers.remove_range(VISITOR_FIRST, ORDINAL_LAST + 2)
        by_status = people_by_status(
            carried.by_status,
            people=people,
            everyone=people.base(customers=facts.customers, visitors=facts.visitors),
            suppressed=facts.suppressed | people.persons_of_customers(customers),
        )
        return Reachable(by_status=by_status, ids=id_counts(carried.carriers, people))


def _carried(target: Target, people: People, facts: ReachFacts) -> _Carried:
    """Find who carries what, and where everybody stops."""
    found = carriers(
        people=people,
        live=[facts.space(each, target.lives_days).live for each in target.id_spaces],
        allowed=_allowed(target, facts),
        suppressed=facts.suppressed,
    )
    everybody, gpc = facts.visitors, facts.gpc
    no_consent = facts.visitors - found.allowed
    ids = _ids_came_to(target, facts)
    if target.takes_contacts:
        unasked = facts.unasked(target.partner)
        ids[Addressability.NO_CONTACT] = facts.customers - unasked
        if people.identity is Identity.BROWSER:
            ids[Addressability.NO_CONSENT] = unasked
            ids = {status: _browsers_of(which, people) for status, which in ids.items()}
        else:
            everybody = everybody | facts.customers
            gpc = gpc | facts.customers_with_gpc
            no_consent = no_consent | unasked
    ids[Addressability.DENIED_ELSEWHERE] = found.with_live_id & found.allowed
    ids[Addressability.ADDRESSABLE] = found.sendable
    barred = {
        Addressability.SUPPRESSED: found.suppressed,
        Addressability.BOT: facts.bots,
        Addressability.GPC: gpc,
        Addressability.NO_CONSENT: no_consent,
    }
    by_status = carriers_by_status(everybody, barred=barred, ids=ids, rest=target.nothing_known)
    return _Carried(carriers=found, by_status=by_status)


def _allowed(target: Target, facts: ReachFacts) -> BitMap:
    """Give the browsers that may be sent there, and customers where contacts are ids."""
    browsers = facts.allowed(target.partner)
    return browsers | facts.allowed_contacts(target.partner) if target.takes_contacts else browsers


def _browsers_of(carriers_: BitMap, people: People) -> BitMap:
    """Give the browsers among some carriers, and those of the customers among them."""
    customers = carriers_.copy()
    customers.remove_range(VISITOR_FIRST, ORDINAL_LAST + 2)
    return (carriers_ - customers) | people.persons_of_customers(customers)


def _ids_came_to(target: Target, facts: ReachFacts) -> dict[Addressability, BitMap]:
    """Give who came to each gate with any id of the target."""
    found: dict[Addressability, BitMap] = {}
    for space in target.id_spaces:
        for status, browsers in facts.space(space, target.lives_days).came_to.items():
            found[status] = found.get(status, BitMap()) | browsers
    others = (facts.space(pool, target.lives_days).has_live for pool in target.pools)
    found[Addressability.OTHER_ID_SPACE] = BitMap.union(BitMap(), *others)
    return found


def _other_pools(
    partner: Partner, partners: Iterable[Partner], id_spaces: tuple[str, ...]
) -> tuple[str, ...]:
    """Name the id spaces of the partners that are one company with this one, by its vendor id."""
    spaces = {
        each.id_space
        for each in partners
        if each.key == partner.key or (partner.gvl_id and each.gvl_id == partner.gvl_id)
    }
    return tuple(sorted(spaces - set(id_spaces)))
