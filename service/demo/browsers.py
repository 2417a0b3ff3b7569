"""Takes households and their orders, gives each one to three browsers and says what they will do.

Every choice is a hash of the household, the browser and the question, so two runs play the same.
Nothing is sent from here.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from hashlib import blake2b
from typing import Any, Final, TypeVar

import msgspec

from service.demo.households import Household, Order

DAY_MS: Final = 86_400_000
VISITED_DAYS_MAX: Final = 27
ORDERED_DAYS_MAX: Final = 30
ORDER_LINES_MAX: Final = 60
VIEWS_MAX: Final = 3

WINDOWS: Final = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
ANDROID: Final = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko)"
MAC: Final = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)"
IPHONE: Final = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X)"
AGENTS: Final = (
    f"{WINDOWS} Chrome/150.0.0.0 Safari/537.36",
    f"{IPHONE} AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 Mobile/15E148 Safari/604.1",
    f"{ANDROID} Chrome/150.0.0.0 Mobile Safari/537.36",
    f"{MAC} AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 Safari/605.1.15",
    f"{WINDOWS} Chrome/150.0.0.0 Safari/537.36 Edg/150.0.0.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:152.0) Gecko/20100101 Firefox/152.0",
    f"{ANDROID} SamsungBrowser/29.0 Chrome/136.0.0.0 Mobile Safari/537.36",
    f"{MAC} AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36",
)


T = TypeVar("T")


class Consent(StrEnum):
    """What a browser's owner chose."""

    GIVEN = "given"
    REFUSED = "refused"
    SALE_OPTED_OUT = "sale_opted_out"


class Link(StrEnum):
    """How a browser becomes known as its household's."""

    LOGIN = "login"
    PURCHASE = "purchase"
    CLICK = "click"
    NONE = "none"


CONSENT_SHARES: Final = ((Consent.REFUSED, 0.09), (Consent.SALE_OPTED_OUT, 0.04))
LINK_SHARES: Final = ((Link.LOGIN, 0.34), (Link.PURCHASE, 0.18), (Link.CLICK, 0.18))
LEAVES_SHARE: Final = 0.10
NUMBER_SHARES: Final = ((2, 0.38), (3, 0.22))


class Browser(msgspec.Struct, frozen=True, kw_only=True):
    """One browser and its part in the play; `order` is bought in it when `link` is a purchase."""

    crm_id: str
    number: int
    agent: str
    consent: Consent
    link: Link
    leaves: bool
    visited_at_ms: int
    viewed: list[dict[str, Any]]
    order: Order | None = None

    @property
    def name(self) -> str:
        """Name the browser for message ids."""
        return f"{self.crm_id}-{self.number}"


def browsers_of(
    households: Iterable[Household], orders: Sequence[Order], *, now_ms: int
) -> list[Browser]:
    """Give every household its browsers; each looks at things its household buys."""
    last_orders = {order.crm_id: order for order in orders}
    bought_online = {
        order.crm_id: order
        for order in orders
        if order.at_ms >= now_ms - ORDERED_DAYS_MAX * DAY_MS and order.lines <= ORDER_LINES_MAX
    }
    return [
        _browser(household.crm_id, number, last_orders, bought_online, now_ms)
        for household in households
        for number in range(1, _choose(f"{household.crm_id}/browsers", NUMBER_SHARES, 1) + 1)
    ]


def chance(question: str) -> float:
    """Answer a question with a number from 0 to 1 that never changes."""
    return int.from_bytes(blake2b(question.encode(), digest_size=8).digest(), "big") / 2**64


def _browser(
    crm_id: str,
    number: int,
    last_orders: Mapping[str, Order],
    bought_online: Mapping[str, Order],
    now_ms: int,
) -> Browser:
    name = f"{crm_id}/{number}"
    link = _choose(f"{name}/link", LINK_SHARES, Link.NONE)
    order = bought_online.get(crm_id) if number == 1 else None
    if link is Link.PURCHASE and order is None:
        link = Link.LOGIN
    return Browser(
        crm_id=crm_id,
        number=number,
        agent=AGENTS[int(chance(f"{name}/agent") * len(AGENTS))],
        consent=_choose(f"{name}/consent", CONSENT_SHARES, Consent.GIVEN),
        link=link,
        leaves=chance(f"{name}/leaves") < LEAVES_SHARE,
        visited_at_ms=now_ms - int(chance(f"{name}/visited") * VISITED_DAYS_MAX * DAY_MS),
        viewed=_viewed(name, last_orders.get(crm_id)),
        order=order if link is Link.PURCHASE else None,
    )


def _choose(question: str, shares: Sequence[tuple[T, float]], otherwise: T) -> T:
    left = chance(question)
    for choice, share in shares:
        if left < share:
            return choice
        left -= share
    return otherwise


def _viewed(name: str, order: Order | None) -> list[dict[str, Any]]:
    if order is None:
        return []
    products: list[dict[str, Any]] = msgspec.json.decode(order.products)
    products.sort(key=lambda product: chance(f"{name}/{product['product_id']}"))
    views = products[: 1 + int(chance(f"{name}/views") * VIEWS_MAX)]
    return [
        {key: value for key, value in view.items() if key != "quantity"} | {"currency": "USD"}
        for view in views
    ]
