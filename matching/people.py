"""Who is whose: folds rows, visitors and customers onto the people of one identity, and back.

The customer of every visitor comes in (`deciding.py` makes it of the log of identifications), sets
of people come out. Nothing here reads or stores.
"""

from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from matching.bitmaps import bitmap_of, bitmap_of_mask, marked, mask_of, ordinals_of
from matching.ids import NOBODY, ORDINAL_LAST, VISITOR_FIRST
from matching.linking.deciding import link, status_of_each
from matching.linking.links import STATUSES, Changes, Limits, Links, LinkStatus

__all__ = [
    "STATUSES",
    "Identity",
    "Limits",
    "LinkStatus",
    "Links",
    "People",
    "link",
    "status_of_each",
]


CHANGES_DEARER_BY: Final = 50
"""Taking over one change costs as much as asking so many visitors whether they are linked."""


class Identity(StrEnum):
    """What a person is: a customer with its visitors, or each browser for itself."""

    LAST_AUTHENTICATED = "last_authenticated"
    BROWSER = "browser"


class People:
    """One identity's unchanging answer to "whose is it"; customer_of may be shared."""

    __slots__ = ("_linked", "customer_of", "identity", "version")

    def __init__(
        self,
        *,
        identity: Identity,
        version: int,
        customer_of: NDArray[np.uint32],
        linked: BitMap | None = None,
    ) -> None:
        self.identity = identity
        self.version = version
        self.customer_of = customer_of
        if linked is None:
            linked = bitmap_of_mask(customer_of != NOBODY, first=VISITOR_FIRST)
        self._linked = linked

    def renewed(self, customer_of: NDArray[np.uint32], changes: Changes) -> "People":
        """Give the next version, of other customers."""
        linked = None
        if changes.visitors.size * CHANGES_DEARER_BY < customer_of.size:
            gone, come = changes.now == NOBODY, changes.now != NOBODY
            linked = self._linked - bitmap_of(changes.visitors[gone])
            linked |= bitmap_of(changes.visitors[come])
        return People(
            identity=self.identity,
            version=self.version + 1,
            customer_of=customer_of,
            linked=linked,
        )

    def fold(
        self, visitors: NDArray[np.uint32], customers: NDArray[np.uint32]
    ) -> NDArray[np.uint32]:
        """Give the person of each row: its named customer, else its visitor's; 0 = nobody."""
        if self.identity is Identity.BROWSER:
            return visitors
        linked = self._customer_of_each(visitors)
        persons = np.where(linked != NOBODY, linked, visitors)
        return np.where(customers != NOBODY, customers, persons)

    def persons_of_visitors(self, visitors: BitMap) -> BitMap:
        """Give the persons whom these visitors belong to."""
        if self.identity is Identity.BROWSER:
            return visitors.copy()
        return (visitors - self._linked) | self._linked_customers(visitors)

    def persons_of_customers(self, customers: BitMap) -> BitMap:
        """Give the persons who have the traits of these customers."""
        if self.identity is Identity.LAST_AUTHENTICATED:
            return customers.copy()
        return self._linked_visitors(customers)

    def visitors_of(self, persons: BitMap) -> BitMap:
        """Give all visitors of these persons."""
        if self.identity is Identity.BROWSER:
            return persons.copy()
        unlinked = persons - self._linked
        unlinked.remove_range(NOBODY, VISITOR_FIRST)
        return unlinked | self._linked_visitors(persons)

    def customers_of(self, persons: BitMap) -> BitMap:
        """Give the customers among, or linked to, these persons."""
        if self.identity is Identity.BROWSER:
            return self._linked_customers(persons)
        customers = persons.copy()
        customers.remove_range(VISITOR_FIRST, ORDINAL_LAST + 2)
        return customers

    def base(self, *, customers: BitMap, visitors: BitMap) -> BitMap:
        """Give everyone: customers and unlinked visitors, or each visitor under `browser`."""
        if self.identity is Identity.BROWSER:
            return visitors.copy()
        return customers | (visitors - self._linked)

    def _customer_of_each(self, visitors: NDArray[np.uint32]) -> NDArray[np.uint32]:
        if self.customer_of.size == 0:
            return np.zeros(visitors.size, dtype=np.uint32)
        index = visitors - np.uint32(VISITOR_FIRST)  # visitor 0 wraps far beyond the end
        linked: NDArray[np.uint32] = self.customer_of.take(index, mode="clip")
        linked[index >= self.customer_of.size] = NOBODY
        return linked

    def _linked_customers(self, visitors: BitMap) -> BitMap:
        return bitmap_of_dense(self._customer_of_each(ordinals_of(visitors & self._linked)))

    def _linked_visitors(self, customers: BitMap) -> BitMap:
        asked = mask_of(customers, first=0, size=int(self.customer_of.max(initial=0)) + 1)
        asked[NOBODY] = False
        return bitmap_of_mask(marked(asked, self.customer_of, first=0), first=VISITOR_FIRST)


def bitmap_of_dense(customers: NDArray[np.uint32]) -> BitMap:
    """Make the set of customers' ordinals through a mask, for they are dense from 1."""
    if customers.size < 1000:
        return bitmap_of(customers)
    mask = np.zeros(int(customers.max()) + 1, dtype=np.bool_)
    mask[customers] = True
    return bitmap_of_mask(mask)
