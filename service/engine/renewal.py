"""Makes new what follows from the tables: people, the world, criteria, computed traits.

In go the criteria as they stand and what is known of the changes, out come criteria over the newer
world. When only some people were touched only they are looked at; after an unknown change all are.
Nothing is built here.
"""

from collections.abc import Callable
from typing import Final

import msgspec
from pyroaring import BitMap

from audiences.calendar_days import CalendarDays
from audiences.computed_traits import Rfm
from audiences.criteria import Criteria
from audiences.freshness import refreshed
from audiences.rule import Audience
from audiences.touched_events_store import TouchedEventsStore
from audiences.world import World
from matching.consent_store import Decide
from matching.people import Identity
from service.config import Config
from service.engine.clickhouse import ClickHouse
from service.engine.stores import Stores

FIRST_VERSION: Final = 1


class Renewal:
    """The one who knows which data version stands, and what has been touched since."""

    def __init__(
        self,
        *,
        stores: Stores,
        clickhouse: ClickHouse,
        days: CalendarDays,
        config: Config,
        decide: Decide,
        built: Callable[[str], BitMap],
        now_ms: Callable[[], int],
        loaded_until_ms: Callable[[], int],
    ) -> None:
        self._stores = stores
        self._touched_events = TouchedEventsStore(clickhouse.client(), days)
        self._days = days
        self._config = config
        self._rfm = Rfm(config.rfm)
        self._decide = decide
        self._built = built
        self._now_ms = now_ms
        self._loaded_until_ms = loaded_until_ms
        self._version = FIRST_VERSION
        self.bots = BitMap()
        self._is_whole = False
        """Whether all changes since the criteria were made are known here."""

    def open(self) -> Criteria:
        """Give the first criteria; everything was loaded by somebody else."""
        self.bots = self._stores.asked_events.visitors_of_bots()
        self._refresh_people()
        return Criteria(
            events=self._stores.asked_events,
            traits=self._stores.traits,
            days=self._days,
            world=self._world(),
            synced=self._synced,
            built=self._built,
            loaded_until_ms=self._loaded_until_ms,
            insertions=self._stores.events.insertions,
        )

    def renew(self, old: Criteria, *, everything: bool, traits: bool) -> Criteria:
        """Give criteria over what the tables hold now.

        `traits` says that customers or their traits were imported; with `everything` nothing that
        was known counts.
        """
        as_of_ms = self._now_ms()
        touched = self._stores.events.take_touched()
        is_known = self._is_whole and not everything
        self._is_whole = False  # until this has come to its end
        self._version += 1
        self.bots = (
            self.bots | touched.bots if is_known else self._stores.asked_events.visitors_of_bots()
        )
        self._refresh_people()
        world = self._world()
        found = None
        if is_known:
            found = refreshed(
                old,
                world,
                touched,
                store=self._touched_events,
                rfm=self._rfm,
                as_of_ms=as_of_ms,
                traits_changed=traits,
            )
        criteria = old.renewed(world) if found is None else found.criteria
        computed = self._rfm.of_all(criteria, as_of_ms) if found is None else found.computed
        self._stores.traits.set_computed(computed)
        self._is_whole = True
        return criteria

    def define(self, old: Criteria) -> Criteria:
        """Take over changed definitions; people and data stay as they were at the last renewal."""
        return old.over(msgspec.structs.replace(old.world, audiences=self._audiences()))

    def _refresh_people(self) -> None:
        self._stores.people.refresh(visitors=self._stores.customers.visitor_count)

    def _world(self) -> World:
        denied = self._stores.consents.denied_audiences(self._decide)
        return World(
            people={each: self._stores.people.people(each) for each in Identity},
            customers=self._stores.customers.customers(),
            visitors=self._stores.customers.visitors(),
            excluded=denied | self.bots,
            audiences=self._audiences(),
            currencies={site.key: site.currency for site in self._config.sites},
            data_version=self._version,
        )

    def _audiences(self) -> dict[str, Audience]:
        saved = self._stores.audiences.audiences()
        return {key: each.audience for key, each in saved.items()}

    def _synced(self, key: str) -> BitMap:
        partner = self._config.partner(key)
        if partner is None:
            return BitMap()
        return self._stores.partner_ids.visitors_with(
            partner.id_space, as_of_ms=self._now_ms(), lives_days=partner.lives_days
        )
