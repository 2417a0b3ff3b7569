"""Computes the traits that events yield, over the criteria's world, for the trait store to hold.

In go criteria and settings, out come computed traits of customers and unlinked visitors. Of a tick
that touched some people, only their purchases are put together anew; the scores are of all.
"""

from collections.abc import Mapping

import numpy as np
from pyroaring import BitMap

from audiences.criteria import Criteria
from audiences.event_selection import Selection
from audiences.event_source import EventSource
from audiences.rfm import Purchases, RfmSettings, purchases_of, replaced, score_purchases
from audiences.trait_store import ComputedTrait
from matching.bitmaps import bitmap_of, ordinals_of
from matching.people import Identity


class Rfm:
    """The purchases of all buyers of the window, and the traits that follow from them."""

    def __init__(self, settings: RfmSettings) -> None:
        self._settings = settings
        self._purchases: Purchases | None = None
        self._day = -1

    def selection(self, day: int) -> Selection:
        """Give the events that count, seen from a day."""
        return Selection(
            event=self._settings.event,
            first_day=day - self._settings.window_days,
            last_day=day,
            field=self._settings.field,
        )

    def of_all(self, criteria: Criteria, as_of_ms: int) -> dict[str, ComputedTrait]:
        """Score everyone of the base who bought within the window."""
        self._day = criteria.days.day(as_of_ms)
        base = criteria.base(Identity.LAST_AUTHENTICATED)
        self._purchases = self._purchases_of(base, criteria, criteria.events)
        return score_purchases(self._purchases, self._settings)

    def of_touched(
        self, persons: BitMap, events: EventSource, *, criteria: Criteria, as_of_ms: int
    ) -> Mapping[str, ComputedTrait]:
        """Score everyone again when only these persons' events or places in the base changed."""
        if self._purchases is None or self._day != criteria.days.day(as_of_ms):
            return self.of_all(criteria, as_of_ms)
        present = persons & criteria.base(Identity.LAST_AUTHENTICATED)
        changed = self._purchases_of(present, criteria, events)
        self._purchases = replaced(self._purchases, ordinals_of(persons), changed)
        return score_purchases(self._purchases, self._settings)

    def _purchases_of(self, persons: BitMap, criteria: Criteria, events: EventSource) -> Purchases:
        rows = events.rows(self.selection(self._day), criteria.world.currencies)
        whose = criteria.people(Identity.LAST_AUTHENTICATED).fold(
            np.ascontiguousarray(rows["visitor"]), np.ascontiguousarray(rows["customer"])
        )
        known = np.isin(whose, ordinals_of(bitmap_of(whose) & persons))
        return purchases_of(
            whose[known], rows["day"][known], rows["amount"][known], rows["is_refund"][known]
        )


def compute_rfm(
    criteria: Criteria, settings: RfmSettings, as_of_ms: int
) -> dict[str, ComputedTrait]:
    """Score everyone of the base who bought within the window."""
    return Rfm(settings).of_all(criteria, as_of_ms)
