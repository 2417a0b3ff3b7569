"""Whose alias is whose when a CRM gives one to several customers: claims come in, one holder stays.

An alias belongs to one customer. A file takes it over for the customer whom it names, unless the
present holder stands in the same file too: then he keeps it. Nothing merges people.
"""

from collections.abc import Sequence

import msgspec
import numpy as np
from pyroaring import BitMap

from matching.crm.stored import Claim, NameRows
from matching.customer_store import CustomerStore


class AliasConflict(msgspec.Struct, frozen=True, kw_only=True):
    """An alias that two customers claimed: `kept_by` has it now, `lost_by` no longer."""

    kind: str
    kept_by: str
    lost_by: str


def settle_aliases(
    customers: CustomerStore, kinds: Sequence[str], *, seen: BitMap, since_ms: int
) -> tuple[list[AliasConflict], list[AliasConflict]]:
    """Leave each alias that was just claimed to one customer; give those moved and those refused.

    `seen` are the customers whose rows are in the file, `since_ms` is when it began.
    """
    contested = customers.crm.contested(kinds, since_ms=since_ms)
    names = customers.crm_ids(
        sorted({claim.customer for each in contested for claim in each.claims})
    )
    moved: list[AliasConflict] = []
    refused: list[AliasConflict] = []
    for each in contested:
        holder = holder_of(each.claims, seen=seen, since_ms=since_ms)
        for claim in each.claims:
            if claim.customer == holder.customer:
                continue
            _take_away(customers, each.kind, claim, at_ms=max(since_ms, claim.at_ms + 1))
            told = AliasConflict(
                kind=each.kind,
                kept_by=names.get(holder.customer, ""),
                lost_by=names.get(claim.customer, ""),
            )
            if claim.at_ms < since_ms:
                moved.append(told)
                # Why: a later file may claim it back by the very row that was imported before.
                customers.crm.look_again([claim.customer])
            else:
                refused.append(told)
    return moved, refused


def holder_of(claims: Sequence[Claim], *, seen: BitMap, since_ms: int) -> Claim:
    """Choose who keeps an alias: the present holder if the file names him too, else the newest.

    Of two who claim it for the first time in one file it is the one who was known first.
    """
    before = [each for each in claims if each.at_ms < since_ms]
    present = max(before, key=lambda each: (each.at_ms, -each.customer), default=None)
    if present is not None and present.customer in seen:
        return present
    return max(claims, key=lambda each: (each.at_ms, -each.customer))


def _take_away(customers: CustomerStore, kind: str, claim: Claim, *, at_ms: int) -> None:
    gone = NameRows(
        kind=kind, slot=claim.slot, customers=np.array([claim.customer], np.uint32), values=[""]
    )
    customers.crm.put_names("customers", [gone], source=claim.source, at_ms=at_ms)
