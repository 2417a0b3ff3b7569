"""Puts what third parties say of people beside what the CRM says: people come in, people go out.

The CRM's word, and a computed trait, go before: of whom they say anything of a trait, no third
party is heard on it. Pure set algebra, nothing is asked here.
"""

from pyroaring import BitMap

from matching.ids import NOBODY, ORDINAL_LAST, VISITOR_FIRST
from matching.people import People


def with_third_parties(
    own: BitMap, said: BitMap, *, having: BitMap, people: People, base: BitMap
) -> BitMap:
    """Give who passes by its own trait, or by what is said of it.

    `own` are the persons whose own trait passes and `having` those who have one at all; `said` are
    the customers and visitors of whom something is said that passes.
    """
    if not said:
        return own
    return own | ((persons_said(said, people) - having) & base)


def persons_said(said: BitMap, people: People) -> BitMap:
    """Give the persons of these customers and visitors, who may be linked by now."""
    customers, visitors = said.copy(), said.copy()
    customers.remove_range(VISITOR_FIRST, ORDINAL_LAST + 2)
    visitors.remove_range(NOBODY, VISITOR_FIRST)
    return people.persons_of_customers(customers) | people.persons_of_visitors(visitors)
