"""Which partner is broken, found from what came back: a verdict for each, with what to do about it.

Counts come in, a report for each partner goes out. Partners of one house answer differently, so
each is measured against its own past; nothing is stored here.
"""

import datetime as dt
import time
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from matching.partner_answers_store import PartnerAnswersStore, PartnerDay, PartnerHealth
from matching.partner_facts import Direction, Partner

DAY_MS: Final = 86_400_000
HEALTH_DAYS: Final = 30
SETTLES_MS: Final = 120_000
"""Younger offers may still be answered."""
KEPT_MS: Final = 30_000
"""So long a report stands at least; one that took long stands a hundred times as long."""
WORTH_MS_PER_S: Final = 100_000
CHANCE_MAX: Final = 1e-6
"""A silence that chance would explain more often than this is none."""
UNANSWERED_MIN: Final = 20
NEVER_MIN: Final = 100
MACROS_MIN: Final = 5
MACROS_SHARE_MIN: Final = 0.05
REFUSED_MIN: Final = 20
RECENT_DAYS: Final = 2
RECENT_MIN: Final = 50
PAST_MIN: Final = 200
SIGMAS_MIN: Final = 5.0


class Standing(StrEnum):
    """What is to be thought of a partner's answers."""

    OK = "ok"
    NEW = "new"
    """Too few offers to say."""
    KEEPS_OURS = "keeps_ours"
    """It learns our id; nothing comes back that could be missed."""
    SILENT = "silent"
    NEVER_ANSWERED = "never_answered"
    LITERAL_MACROS = "literal_macros"
    MOSTLY_REFUSED = "mostly_refused"
    FALLING = "falling"

    @property
    def is_broken(self) -> bool:
        """Tell whether somebody has to look."""
        return self not in {Standing.OK, Standing.NEW, Standing.KEEPS_OURS}


ADVICE: Final = {
    Standing.SILENT: "it stopped answering: play a sync with `jumelle partner test KEY`, then ask "
    "whether its endpoint, your account or your callback's host changed",
    Standing.NEVER_ANSWERED: "it never answered: check its account numbers, and whether your "
    "callback is registered or allowed there; `jumelle partner test KEY` shows where it ends",
    Standing.LITERAL_MACROS: "it sends its macro instead of an id: compare `sync.user_macro` and "
    "its encoding with its documentation",
    Standing.MOSTLY_REFUSED: "most of its ids are refused: see the reasons, and compare `[ids]` "
    "with what it sends",
    Standing.FALLING: "it answers less than half as often as it used to: ask what changed, and see "
    "the match rate by browser",
}


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """Offers and answers of one day, or of one family of browsers.

    An answer counts for the day on which it comes, at most an hour after its offer.
    """

    of: str
    offered: int
    returned: int
    match_rate: float


class PartnerReport(msgspec.Struct, frozen=True, kw_only=True):
    """How one partner does."""

    key: str
    standing: Standing
    advice: str
    silent_since: int | None
    """When it last answered, if it is silent; in milliseconds."""
    offered: int
    returned: int
    refused: int
    refusals: dict[str, int]
    literal_macros: int
    last_returned: int | None
    match_rate: float
    days: list[Share]
    browsers: list[Share]


class PartnerWatch:
    """Reports on every partner; what was found stands for half a minute, or longer."""

    def __init__(
        self,
        *,
        partners: Iterable[Partner],
        answers: PartnerAnswersStore,
        now_ms: Callable[[], int],
        time_zone: str,
    ) -> None:
        self._partners = tuple(partners)
        self._answers = answers
        self._now_ms = now_ms
        self._time_zone = time_zone
        self._found: list[PartnerReport] = []
        self._stands_until_ms = 0

    def reports(self, *, fresh: bool = False) -> list[PartnerReport]:
        """Give a report for each partner that is switched on."""
        now_ms = self._now_ms()
        if fresh or now_ms >= self._stands_until_ms:
            started = time.monotonic()
            self._found = self._look(now_ms)
            took_ms = int((time.monotonic() - started) * WORTH_MS_PER_S)
            self._stands_until_ms = now_ms + max(KEPT_MS, took_ms)
        return self._found

    def problems(self) -> list[str]:
        """Say which partners somebody has to look at, as the last report found them."""
        return [
            f"partner {each.key}: {each.advice}" for each in self._found if each.standing.is_broken
        ]

    def _look(self, now_ms: int) -> list[PartnerReport]:
        since_ms = now_ms - HEALTH_DAYS * DAY_MS
        found = self._answers.read(
            since_ms=since_ms, settled_ms=now_ms - SETTLES_MS, time_zone=self._time_zone
        )
        health = {each.partner: each for each in found.health}
        days: dict[str, list[PartnerDay]] = {}
        for day in found.days:
            days.setdefault(day.partner, []).append(day)
        today = dt.datetime.fromtimestamp(now_ms / 1000, ZoneInfo(self._time_zone)).date()
        return [
            report_of(partner, health.get(partner.key), days.get(partner.key, []), today)
            for partner in self._partners
        ]


def report_of(
    partner: Partner, health: PartnerHealth | None, days: Sequence[PartnerDay], today: dt.date
) -> PartnerReport:
    """Put one partner's report together."""
    counted = health or _nothing(partner.key)
    standing = judge(partner, counted, days, today)
    last_ms = counted.last_returned_ms or None
    return PartnerReport(
        key=partner.key,
        standing=standing,
        advice=ADVICE.get(standing, "").replace("KEY", partner.key),
        silent_since=last_ms if standing is Standing.SILENT else None,
        offered=counted.offered,
        returned=counted.returned,
        refused=counted.refused,
        refusals=counted.refusals,
        literal_macros=counted.refusals.get("literal_macro", 0),
        last_returned=last_ms,
        match_rate=counted.match_rate,
        days=_shares((each.day.isoformat(), each) for each in days),
        browsers=_shares((each.browser or "unknown", each) for each in days),
    )


def judge(
    partner: Partner, health: PartnerHealth, days: Sequence[PartnerDay], today: dt.date
) -> Standing:
    """Judge a partner by its own past."""
    if partner.sync.direction is not Direction.BACK:
        return Standing.KEEPS_OURS
    if health.returned == 0 and health.refused == 0 and health.unanswered >= NEVER_MIN:
        return Standing.NEVER_ANSWERED
    if _is_silent(health):
        return Standing.SILENT
    answers = health.returned + health.refused
    macros = health.refusals.get("literal_macro", 0)
    if macros >= MACROS_MIN and macros >= MACROS_SHARE_MIN * answers:
        return Standing.LITERAL_MACROS
    if health.refused >= REFUSED_MIN and health.refused > health.returned:
        return Standing.MOSTLY_REFUSED
    if _is_falling(days, today):
        return Standing.FALLING
    return Standing.NEW if health.offered < UNANSWERED_MIN else Standing.OK


def _is_silent(health: PartnerHealth) -> bool:
    """Tell whether so many offers in a row without an answer cannot be chance."""
    answered_then = health.offered - health.unanswered
    if health.unanswered < UNANSWERED_MIN or health.returned == 0 or answered_then <= 0:
        return False
    rate = min(health.returned / answered_then, 1.0)
    return (1.0 - rate) ** health.unanswered < CHANCE_MAX


def _is_falling(days: Sequence[PartnerDay], today: dt.date) -> bool:
    since = today - dt.timedelta(days=RECENT_DAYS - 1)
    now, before = (
        (sum(each.offered for each in some), sum(each.returned for each in some))
        for some in (
            [each for each in days if each.day >= since],
            [each for each in days if each.day < since],
        )
    )
    if now[0] < RECENT_MIN or before[0] < PAST_MIN or before[1] == 0:
        return False
    rate, past = now[1] / now[0], before[1] / before[0]
    spread = (past * (1.0 - past) / now[0]) ** 0.5
    return rate < past / 2 and past - rate > SIGMAS_MIN * spread


def _nothing(key: str) -> PartnerHealth:
    return PartnerHealth(
        partner=key, offered=0, returned=0, refusals={}, unanswered=0, last_returned_ms=0
    )


def _shares(named: Iterable[tuple[str, PartnerDay]]) -> list[Share]:
    sums: dict[str, tuple[int, int]] = {}
    for name, day in named:
        offered, returned = sums.get(name, (0, 0))
        sums[name] = offered + day.offered, returned + day.returned
    return [
        Share(
            of=name,
            offered=offered,
            returned=returned,
            match_rate=min(returned / offered, 1.0) if offered else 0.0,
        )
        for name, (offered, returned) in sorted(sums.items())
    ]
