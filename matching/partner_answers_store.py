"""How partners answer, counted in the table of correspondence.

Nothing is written here. Offers, answers and refusals come out by partner, and by day and family of
browsers; what they mean is judged elsewhere.
"""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec
from clickhouse_connect.driver.client import Client

from matching.ids import VISITOR_FIRST
from matching.partner_facts import VISITORS_PER_ID_MAX
from matching.sql import sql

LAST_MS: Final = 4_102_444_800_000
"""2100: later than everything."""
FAN_OUT: Final = "fan_out"
SUSPECTS_PER_QUERY_MAX: Final = 10_000  # a server takes 128 KiB for one parameter


class PartnerHealth(msgspec.Struct, frozen=True, kw_only=True):
    """How well a partner answers: `returned` counts offers answered with an id that was stored.

    `refused` counts by reason; `fan_out` among them is the visitors whose id too many others carry
    too. `unanswered` counts the offers since the last answer, to five minutes and never too many.
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
    """One day of one partner with one family of browsers: offers, and answers that came then."""

    partner: str
    day: dt.date
    browser: str
    offered: int
    returned: int


class PartnerAnswers(msgspec.Struct, frozen=True, kw_only=True):
    """What all partners did since a time, by partner, and by partner, day and browser."""

    health: list[PartnerHealth]
    days: list[PartnerDay]


class _Counted(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of one action and reason of one partner on one day with one family of browsers."""

    partner: str
    day: dt.date
    browser: str
    action: str
    reason: str
    counted: int
    last_ms: int


class PartnerAnswersStore:
    """Questions to the table `partner_ids` about partners."""

    def __init__(self, client: Client, suspects: Callable[[], Sequence[int]]) -> None:
        self._client = client
        self._suspects = suspects

    def read(
        self, *, since_ms: int, settled_ms: int | None = None, time_zone: str = "UTC"
    ) -> PartnerAnswers:
        """Count what partners did since then.

        Offers after `settled_ms` may still be answered: they do not count as unanswered.
        """
        names = _Counted.__struct_fields__
        rows = self._rows("partner_answers", since_ms=since_ms, time_zone=time_zone)
        counted = [_Counted(**dict(zip(names, row, strict=True))) for row in rows]
        settled = LAST_MS if settled_ms is None else settled_ms
        unanswered = dict(self._rows("unanswered_offers", since_ms=since_ms, settled_ms=settled))
        fan_out = self._fan_out(since_ms)
        partners = sorted({each.partner for each in counted})
        return PartnerAnswers(
            health=[
                _health(
                    partner,
                    [each for each in counted if each.partner == partner],
                    unanswered=unanswered.get(partner, 0),
                    fan_out=fan_out[partner],
                )
                for partner in partners
            ],
            days=_days(counted),
        )

    def _fan_out(self, since_ms: int) -> Counter[str]:
        """Count the visitors whose id too many others carry too, by partner."""
        suspects, found = self._suspects(), Counter[str]()
        for begin in range(0, len(suspects), SUSPECTS_PER_QUERY_MAX):
            rows = self._rows(
                "fan_out_visitors",
                since_ms=since_ms,
                ordinals=list(suspects[begin : begin + SUSPECTS_PER_QUERY_MAX]),
                visitors_max=VISITORS_PER_ID_MAX,
                first=VISITOR_FIRST,
            )
            found.update(dict(rows))
        return found

    def _rows(self, query: str, **parameters: Any) -> Sequence[Any]:
        return self._client.query(sql(query), parameters=parameters).result_rows


def _health(
    partner: str, counted: Sequence[_Counted], *, unanswered: int, fan_out: int
) -> PartnerHealth:
    answers = [each for each in counted if each.action == "stored"]
    refusals: Counter[str] = Counter({FAN_OUT: fan_out} if fan_out else {})
    for each in counted:
        if each.action == "refused":
            refusals[each.reason] += each.counted
    return PartnerHealth(
        partner=partner,
        offered=sum(each.counted for each in counted if each.action == "offered"),
        returned=sum(each.counted for each in answers),
        refusals=dict(refusals),
        unanswered=unanswered,
        last_returned_ms=max((each.last_ms for each in answers), default=0),
    )


def _days(counted: Iterable[_Counted]) -> list[PartnerDay]:
    found: dict[tuple[str, dt.date, str], Counter[str]] = {}
    for each in counted:
        if each.action != "refused":
            name = (each.partner, each.day, each.browser)
            found.setdefault(name, Counter())[each.action] += each.counted
    return [
        PartnerDay(
            partner=partner,
            day=day,
            browser=browser,
            offered=counts["offered"],
            returned=counts["stored"],
        )
        for (partner, day, browser), counts in sorted(found.items())
    ]
