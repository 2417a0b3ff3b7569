"""Which people and ids each partner and seat would be sent: the same answer for preview and export.

Live ids, consent and suppression are gathered once per data version and identity. Hashed contacts
are sent only of customers who opted in, whatever their browsers agreed to.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
from pyroaring import BitMap

from audiences.exports.reach import Carriers, SeatReach, carriers, reach_of
from audiences.exports.seats import Seat
from audiences.preview import Reach, SeatCount
from matching.bitmaps import bitmap_of, ordinals_of
from matching.consent.decide import Use
from matching.consent_store import ConsentClass, Decide, allowed_visitors, visitors_with_gpc
from matching.other_ids import CONTACT_SPACES
from matching.partner_facts import Partner
from matching.partner_ids_store import LiveIds
from matching.people import Identity, People
from service.config import Config
from service.engine.stores import Stores

CONTACTS: Final = frozenset(CONTACT_SPACES.values())


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
    ) -> None:
        self._config = config
        self._stores = stores
        self._decide = decide
        self._suppressed = suppressed
        self._now_ms = now_ms
        self.forget()

    def forget(self) -> None:
        """Drop what was gathered; the next question gathers anew."""
        self._classes: list[ConsentClass] | None = None
        self._allowed: dict[str, BitMap] = {}
        self._live: dict[str, LiveIds] = {}
        self._carriers: dict[tuple[str, Identity], Carriers] = {}

    def reach(self, people: People, persons: BitMap) -> Reach:
        """Give people per partner, and people and ids per seat."""
        partners = {
            partner.key: len(persons & people.persons_of_visitors(self.sendable(partner)))
            for partner in self._config.partners
        }
        found = {seat.key: self.of_seat(seat, people, persons) for seat in self._config.seats}
        seats = {
            key: SeatCount(people=each.people, ids=len(each.ids)) for key, each in found.items()
        }
        return Reach(partners=partners, seats=seats)

    def of_seat(self, seat: Seat, people: People, persons: BitMap) -> SeatReach:
        """Walk one audience through one seat's steps."""
        key = (seat.key, people.identity)
        if key not in self._carriers:
            self._carriers[key] = carriers(
                people=people,
                live=self.live(seat),
                allowed=self.allowed(seat),
                suppressed=self._suppressed(),
            )
        return reach_of(persons, self._carriers[key])

    def live(self, seat: Seat) -> list[LiveIds]:
        """Give the live ids of a seat's id spaces, in the seat's order."""
        return [self._live_ids(space, seat.lives_days) for space in seat.id_spaces]

    def allowed(self, seat: Seat) -> BitMap:
        """Give the visitors whose consent lets this seat's partner have them."""
        partner = self._config.partner(seat.partner)
        return self._allowed_for(partner) if partner else BitMap()

    def sendable(self, partner: Partner) -> BitMap:
        """Give the visitors with a live id of the partner and consent for it."""
        live = self._live_ids(partner.id_space, partner.lives_days)
        return (bitmap_of(live.visitors) & self._allowed_for(partner)) - self._suppressed()

    def _live_ids(self, space: str, lives_days: int) -> LiveIds:
        key = f"{space} {lives_days}"
        if key not in self._live:
            live = self._stores.partner_ids.live(
                space, as_of_ms=self._now_ms(), lives_days=lives_days
            )
            self._live[key] = self._of_opted_in(live) if space in CONTACTS else live
        return self._live[key]

    def _of_opted_in(self, live: LiveIds) -> LiveIds:
        """Leave out the contacts of customers who did not opt in, and of browsers of nobody."""
        people = self._stores.people.people(Identity.LAST_AUTHENTICATED)
        whose = people.fold(live.visitors, np.zeros_like(live.visitors))
        kept = np.isin(whose, ordinals_of(self._stores.customers.opted_in()))
        return LiveIds(
            visitors=live.visitors[kept],
            id_ordinals=live.id_ordinals[kept],
            ids=[live.ids[row] for row in np.flatnonzero(kept).tolist()],
        )

    def _allowed_for(self, partner: Partner) -> BitMap:
        if partner.key not in self._allowed:
            if self._classes is None:
                self._classes = self._stores.consents.classes()
            allowed = allowed_visitors(
                self._classes,
                partner.consent,
                Use.EXPORT,
                self._decide,
                visitors=self._stores.customers.visitors(),
                default_site=self._config.default_site.key,
            )
            self._allowed[partner.key] = allowed - self._denied_with_gpc(self._classes)
        return self._allowed[partner.key]

    def _denied_with_gpc(self, classes: list[ConsentClass]) -> BitMap:
        """Give all browsers of everybody who sends GPC from one: it denies for the customer too."""
        people = self._stores.people.people(Identity.LAST_AUTHENTICATED)
        with_gpc = visitors_with_gpc(classes, self._decide)
        return people.visitors_of(people.persons_of_visitors(with_gpc))
