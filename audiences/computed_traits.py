"""Computes the traits that events yield, over the criteria's world, for the trait store to hold.

In go criteria and settings, out come computed traits of customers and unlinked visitors.
"""

import numpy as np

from audiences.criteria import Criteria
from audiences.event_selection import Selection
from audiences.rfm import RfmSettings, purchases_of, score_purchases
from audiences.trait_store import ComputedTrait
from matching.bitmaps import bitmap_of, ordinals_of
from matching.people import Identity


def compute_rfm(
    criteria: Criteria, settings: RfmSettings, as_of_ms: int
) -> dict[str, ComputedTrait]:
    """Score everyone of the base who bought within the window."""
    day = criteria.days.day(as_of_ms)
    selection = Selection(
        event=settings.event,
        first_day=day - settings.window_days,
        last_day=day,
        field=settings.field,
    )
    rows = criteria.events.rows(selection, criteria.world.currencies)
    people = criteria.people(Identity.LAST_AUTHENTICATED)
    persons = people.fold(
        np.ascontiguousarray(rows["visitor"]), np.ascontiguousarray(rows["customer"])
    )
    base = criteria.base(Identity.LAST_AUTHENTICATED)
    known = np.isin(persons, ordinals_of(bitmap_of(persons) & base))
    purchases = purchases_of(
        persons[known], rows["day"][known], rows["amount"][known], rows["is_refund"][known]
    )
    return score_purchases(purchases, settings)
