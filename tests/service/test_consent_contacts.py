"""Hashed contacts leave the house only where the customer opted in, whatever browsers agreed to."""

from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from pyroaring import BitMap

from audiences.calendar_days import CalendarDays
from matching.consent.decide import Decision, PartnerConsent, Reason, Signal, Signals, Use
from matching.customer_store import CustomerName
from matching.identification import IdentificationColumns
from matching.partner_ids_store import PartnerIdColumns
from matching.people import Limits
from service.config import load_config
from service.engine.seat_reach import SeatReaches
from service.engine.stores import Stores

pytestmark = pytest.mark.clickhouse

EXAMPLE: Final = Path(__file__).parents[2] / "service" / "example_config"
NOW_MS: Final = 1_795_000_000_000
SPACE: Final = "email_sha256"
OPT_INS: Final[dict[str, list[tuple[str, int]]]] = {
    "yes": [("1", 0)],
    "no": [("0", 0)],
    "never asked": [],
    "yes, then no": [("1", 0), ("0", 1)],
    "no, then yes": [("0", 0), ("1", 1)],
    "both at once": [("1", 0), ("0", 0)],
}


def allows(_: Signals, __: Use, ___: PartnerConsent | None, ____: str) -> Decision:
    """Allow everything, as browsers that agreed to all."""
    return Decision(allowed=True, signal=Signal.EXPLICIT, reason=Reason.ALLOWED)


def fill(stores: Stores) -> dict[int, str]:
    """Store a customer, its browser and an address that the browser named, for each answer."""
    names = list(OPT_INS)
    count = len(names)
    customers = stores.customers.customer_ordinals(names, source="crm", at_ms=NOW_MS).tolist()
    browsers = [bytes([number + 1]) * 16 for number in range(count + 1)]
    visitors = stores.customers.visitor_ordinals(browsers, 1).tolist()
    stores.customers.put_names(
        [
            CustomerName(
                customer=customer, kind="opt_in", value=value, source="crm", at_ms=NOW_MS + later
            )
            for customer, answers in zip(customers, OPT_INS.values(), strict=True)
            for value, later in answers
        ]
    )
    stores.people.insert(
        IdentificationColumns(
            chunk=[1] * count,
            row=range(count),
            received_at_ms=[NOW_MS] * count,
            at_ms=[NOW_MS] * count,
            visitor=visitors[:count],
            customer=customers,
            method=["login"] * count,
            claimed=[False] * count,
            site=["shop"] * count,
            proof=[0] * count,
        )
    )
    put_addresses(stores, visitors)
    stores.people.refresh(visitors=stores.customers.visitor_count)
    return dict(zip(visitors, [*names, "nobody's browser"], strict=True))


def put_addresses(stores: Stores, visitors: list[int]) -> None:
    """Let each browser have named an address, and a partner know it."""
    for space in (SPACE, "xandr"):
        texts = [f"{number:096x}" for number in range(len(visitors))]
        count = len(visitors)
        stores.partner_ids.insert(
            PartnerIdColumns(
                chunk=[1] * count,
                row=range(count),
                received_at_ms=[NOW_MS] * count,
                partner=[""] * count,
                id_space=[space] * count,
                action=["stored"] * count,
                reason=[""] * count,
                nonce=[0] * count,
                visitor=visitors,
                id=texts,
                id_ordinal=stores.partner_ids.id_ordinals(space, texts),
                source=["message"] * count,
            )
        )


def test_only_customers_who_opted_in_are_sent_by_address(database: Any) -> None:
    """The newest opt-in decides, of two at one time the refusal; no answer is none."""
    stores = Stores(database, days=CalendarDays("UTC"), limits=Limits())
    config = load_config(EXAMPLE)
    whose = fill(stores)
    reaches = SeatReaches(
        config=config,
        stores=stores,
        decide=allows,
        suppressed=BitMap,
        now_ms=lambda: NOW_MS,
    )
    seat = msgspec.structs.replace(config.seats[0], id_spaces=(SPACE, "xandr"))
    addresses, others = reaches.carried(seat)
    assert [whose[each] for each in addresses.visitors.tolist()] == ["yes", "no, then yes"]
    assert len(addresses.id_ordinals) == 2
    assert sorted(others.visitors.tolist()) == sorted(whose)
