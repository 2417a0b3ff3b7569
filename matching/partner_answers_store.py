"""How partners answer, counted in the table of correspondence.

Nothing is written here. Offers, answers and refusals come out by partner, and by day and family of
browsers; what they mean is judged elsewhere.
"""

import datetime as dt
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from clickhouse_connect.driver.client import Client

from matching.ids import VISITOR_FIRST
from matching.partner_facts import VISITORS_PER_ID_MAX
from matching.sql import sql

LAST_MS: Final = 4_102_444_800_000
"""2100: later than everything."""
VISITORS_MAX: Final = {"visitors_max": VISITORS_PER_ID_MAX, "first": VISITOR_FIRST}


class PartnerHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How well a partner answers: `returned` counts offers answered with an id that was stored.

    `refused` counts by reason; `fan_out` among them is the visitors whose id too many others carry
    too. `unanswered` counts the offers since the last answer.
    """

    partner: str
    offered: int
    returned: int
    refusals: dict[str, int]
    unanswered: int
    last_returned_ms: int

    @property
    def refused(self) -> int:
        """Count everything that was refused."""
        return sum(self.refusals.values())

    @property
    def match_rate(self) -> float:
        """Give the share of offers that were answered with an id."""
        return min(self.returned / self.offered, 1.0) if self.offered else 0.0


class PartnerDay(msgspec.Struct, frozen=True, kw_only=True):
    """One day of one partner with one family of browsers: offers, and those that were answered."""

    partner: str
    day: dt.date
    browser: str
    offered: int
    returned: int


class PartnerAnswersStore:
    """Questions to the table `partner_ids` about partners."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def health(self, *, since_ms: int, settled_ms: int | None = None) -> list[PartnerHealth]:
        """Give each partner's offers, answers and refusals since then.

        Offers after `settled_ms` may still be answered: they do not count as unanswered.
        """
        since = {"since_ms": since_ms}
        refusals: dict[str, dict[str, int]] = {}
        for query, more in (("partner_refusals", {}), ("fan_out_visitors", VISITORS_MAX)):
            for partner, reason, count in self._rows(query, **since, **more):
                refusals.setdefault(partner, {})[reason] = count
        settled = {"settled_ms": LAST_MS if settled_ms is None else settled_ms}
        unanswered = dict(self._rows("unanswered_offers", **since, **settled))
        return [
            PartnerHealth(
                partner=partner,
                offered=offered,
                returned=returned,
                refusals=refusals.get(partner, {}),
                unanswered=unanswered.get(partner, 0),
                last_returned_ms=last_ms,
            )
            for partner, offered, returned, last_ms in self._rows("partner_health", **since)
        ]

    def days(self, *, since_ms: int, time_zone: str = "UTC") -> list[PartnerDay]:
        """Give offers and answers since then by partner, calendar day and family of browsers."""
        rows = self._rows("partner_days", since_ms=since_ms, time_zone=time_zone)
        names = PartnerDay.__struct_fields__
        return [PartnerDay(**dict(zip(names, row, strict=True))) for row in rows]

    def _rows(self, query: str, **parameters: Any) -> Sequence[Any]:
        return self._client.query(sql(query), parameters=parameters).result_rows
