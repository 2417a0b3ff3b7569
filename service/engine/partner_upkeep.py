"""What the engine does for partners at each tick: it watches their answers and weighs their syncs.

Tables and the members of active audiences are read; the partners as the tag's state carries them
and what an operator has to look at come out. Nothing is stored here.
"""

from collections.abc import Callable

from pyroaring import BitMap

from audiences.build import Builder, NotBuiltError
from audiences.criteria import Criteria
from matching.partner_facts import Partner
from matching.people import People
from service.config import Config
from service.engine.partner_health import PartnerWatch
from service.engine.seat_reach import SeatReaches
from service.engine.stores import Stores
from service.engine.sync_weights import SyncWeights


class PartnerUpkeep:
    """Watches and weighs all partners that are switched on."""

    def __init__(
        self,
        *,
        config: Config,
        stores: Stores,
        builder: Builder,
        criteria: Callable[[], Criteria],
        reaches: SeatReaches,
        now_ms: Callable[[], int],
        time_zone: str,
    ) -> None:
        self._stores = stores
        self._builder = builder
        self._criteria = criteria
        self._watch = PartnerWatch(
            partners=config.partners,
            answers=stores.partner_ids.answers,
            now_ms=now_ms,
            time_zone=time_zone,
        )
        self._weights = SyncWeights(
            partners=config.partners,
            seats=config.seats,
            answers=stores.partner_ids.answers,
            activated=self._activated,
            members=self._people_and_members,
            live=reaches.carried,
            allowed=reaches.allowed,
            browsers=lambda: stores.customers.visitor_count,
            now_ms=now_ms,
        )

    def look(self) -> None:
        """Look at the partners' answers, unless that was done a moment ago."""
        self._watch.reports()

    def problems(self) -> list[str]:
        """Say which partners somebody has to look at."""
        return self._watch.problems()

    def weighted(self) -> tuple[Partner, ...]:
        """Give all partners with the weight of their next sync."""
        return self._weights.partners()

    def _activated(self, seat: str) -> list[str]:
        return [each.audience for each in self._stores.exports.activations(seat)]

    def _people_and_members(self, key: str) -> tuple[People, BitMap] | None:
        report = self._builder.report(key)
        if report is None:
            return None
        try:
            return self._criteria().people(report.identity), self._builder.members(key)
        except NotBuiltError:
            return None
