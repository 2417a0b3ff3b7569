"""Which people and ids each partner and seat would be sent: one answer for preview and export.

What decides is gathered once per data version; then people are counted by bitmaps alone. Hashed
contacts are sent only of customers who opted in, whatever their browsers agreed to.
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
from matching.partner_ids_store import LiveIds
from matching.people import Identity, People
from service.config import Config
from service.engine.addressability import Addressability, browsers_by_status, people_by_status
from service.engine.reach_facts import ReachFacts
from service.engine.stores import Stores


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What a person is sent by: a partner's consent and the ids that count there, for so long."""

    key: str
    partner: Partner | None
    id_spaces: tuple[str, ...]
    lives_days: int
    pools: tuple[str, ...]
    """Other id spaces of the same company; their ids are not valid here."""


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
        moment = self._moment
        partners = {
            each.key: moment.reachable(target_of_partner(each, self._config), people)
            for each in self._config.partners
        }
        seats = [
            (each, moment.reachable(target_of_seat(each, self._config), people))
            for each in self._config.seats
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

    def live(self, seat: Seat) -> list[LiveIds]:
        """Give the live ids of a seat's id spaces with their texts, in the seat's order."""
        return self._moment.live(seat)

    def allowed(self, seat: Seat) -> BitMap:
        """Give the visitors whose consent lets this seat's partner have them."""
        return self._moment.allowed(self._config.partner(seat.partner))

    @property
    def bots(self) -> BitMap:
        """The browsers that were judged to be bots, as this moment has them."""
        return self._moment.bots


class _Moment:
    """All that is known of one data version; one thread gathers, the others wait for it."""

    def __init__(self, facts: Callable[[], ReachFacts]) -> None:
        self._make_facts = facts
        self._made: ReachFacts | None = None
        self._lock = threading.RLock()
        self._carriers: dict[str, Carriers] = {}
        self._browsers: dict[str, dict[Addressability, BitMap]] = {}
        self._reachable: dict[tuple[str, Identity, int], Reachable] = {}

    def reachable(self, target: Target, people: People) -> Reachable:
        """Give all people of one identity by how far they come."""
        key = (target.key, people.identity, people.version)
        with self._lock:
            if key not in self._reachable:
                self._reachable[key] = self._find(target, people)
            return self._reachable[key]

    def live(self, seat: Seat) -> list[LiveIds]:
        """Give the live ids with texts."""
        with self._lock:
            return [self._facts.live(space, seat.lives_days) for space in seat.id_spaces]

    def allowed(self, partner: Partner | None) -> BitMap:
        """Give whom consent lets this partner have."""
        with self._lock:
            return self._facts.allowed(partner)

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
        if target.key not in self._carriers:
            found = self._carriers[target.key] = self._carried(target, people)
            self._browsers[target.key] = browsers_by_status(
                facts.visitors,
                bots=facts.bots,
                gpc=facts.gpc,
                carriers=found,
                ids=_ids_came_to(target, facts),
            )
        carried = self._carriers[target.key]
        customers = facts.suppressed.copy()
        customers.remove_range(VISITOR_FIRST, ORDINAL_LAST + 2)
        by_status = people_by_status(
            self._browsers[target.key],
            people=people,
            everyone=people.base(customers=facts.customers, visitors=facts.visitors),
            suppressed=facts.suppressed | people.persons_of_customers(customers),
        )
        return Reachable(by_status=by_status, ids=id_counts(carried, people))

    def _carried(self, target: Target, people: People) -> Carriers:
        facts = self._facts
        return carriers(
            people=people,
            live=[facts.space(each, target.lives_days).live for each in target.id_spaces],
            allowed=facts.allowed(target.partner),
            suppressed=facts.suppressed,
        )


def _ids_came_to(target: Target, facts: ReachFacts) -> dict[Addressability, BitMap]:
    """Give the browsers that came to each gate with any id of the target."""
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
