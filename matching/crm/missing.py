"""What becomes of customers who are no longer in a CRM's file: asked for, they lose what it said.

Their traits, contacts, aliases and answers of this source go. They stay customers, with their
events and browsers: to be forgotten is another request. A file that lacks too many is not believed.
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec
import numpy as np
from pyroaring import BitMap

from matching.bitmaps import ordinals_of
from matching.contact_profiles import FORM_OF
from matching.crm.columns import ADDRESS_TEXTS
from matching.crm.rows_store import CrmRowsStore
from matching.crm.stored import NameRows
from matching.customer_names_store import SLOT_OF_ANSWER
from matching.customer_store import CustomerStore

SHARE_MAX: Final = 0.1
_AT_ONCE: Final = 10_000


class Missing(msgspec.Struct, frozen=True, kw_only=True):
    """How many of a source's customers the file lacks, and whether they lost what it had said."""

    customers: int
    of: int
    taken_away: bool
    refused: str = ""


def take_missing(
    customers: CustomerStore,
    source: str,
    *,
    seen: BitMap,
    unnamed: int,
    at_ms: int,
    force: bool,
    dry_run: bool,
) -> Missing:
    """Take away what this source said of everybody whom its file no longer names.

    `unnamed` rows could not be read so far as to tell whose they are.
    """
    known = customers.crm.customers_of(source) & customers.customers()
    gone = known - seen
    if len(gone) > SHARE_MAX * len(known) and not force:
        refused = (
            f"{len(gone):,} of {len(known):,} customers are missing, more than {SHARE_MAX:.0%}: "
            "nothing was taken away; check the file, or force it"
        )
        return Missing(customers=len(gone), of=len(known), taken_away=False, refused=refused)
    if gone and unnamed and not force:
        refused = (
            f"{len(gone):,} customers are missing, but {unnamed:,} rows do not say whose they are: "
            "nothing was taken away; correct those rows, or force it"
        )
        return Missing(customers=len(gone), of=len(known), taken_away=False, refused=refused)
    if gone and not dry_run:
        _take_away(customers.crm, source, gone, at_ms)
    return Missing(customers=len(gone), of=len(known), taken_away=bool(gone) and not dry_run)


def _take_away(crm: CrmRowsStore, source: str, gone: BitMap, at_ms: int) -> None:
    ordinals = ordinals_of(gone)
    for begin in range(0, ordinals.size, _AT_ONCE):
        some = ordinals[begin : begin + _AT_ONCE]
        now = crm.now_of(source, some, [])
        names = [
            (kind, slot, customer)
            for customer, stands in now.items()
            for (kind, slot), value in stands.names.items()
            if value
        ]
        answers = [
            (kind, SLOT_OF_ANSWER[""], customer)
            for customer, stands in now.items()
            for kind, value in stands.answers.items()
            if value
        ]
        forms = [each for each in names if _is_form(each[0])]
        others = [each for each in names if not _is_form(each[0])]
        where: dict[str, Any] = {"source": source, "at_ms": at_ms}
        crm.put_names("customers", list(_emptied([*others, *answers])), **where)
        crm.put_names("contact_forms", list(_emptied(forms)), **where)
        crm.put_traits(list(crm.traits_gone(source, some)), **where)
    crm.forget_rows(source, ordinals, at_ms)


def _emptied(names: list[tuple[str, int, int]]) -> Iterator[NameRows]:
    groups: dict[tuple[str, int], list[int]] = {}
    for kind, slot, customer in names:
        groups.setdefault((kind, slot), []).append(customer)
    for (kind, slot), some in groups.items():
        yield NameRows(
            kind=kind,
            slot=slot,
            customers=np.array(some, np.uint32),
            values=[""] * len(some),
        )


def _is_form(kind: str) -> bool:
    return kind in FORM_OF or kind in ADDRESS_TEXTS
