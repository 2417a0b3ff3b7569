"""Choose which partners a page syncs with: one status for every partner considered.

Partners, consent and what the page takes come in first: what they make of each partner holds for
all pages of that kind. Then a browser's attempts; choices go out in the order they were asked, the
barred and the unknown last. No URL, no clock; equal inputs and `rng` give equal choices.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Final, Literal

from msgspec import Struct

from matching.consent.decide import Decision, Signals
from matching.lineup import DAY_S, Judged, Standing, SyncChoice, SyncStatus, standing_of
from matching.partner_facts import Direction, Partner, SkipWhen, Transport

__all__ = [
    "FilterSettings",
    "Judged",
    "PageKind",
    "SyncChoice",
    "SyncStatus",
    "TypeFilter",
    "choose_syncs",
    "judge_incoming",
    "judge_partners",
]

NO_SIGNALS: Final = Signals()
NOBODY: Final[frozenset[str]] = frozenset()


class TypeFilter(Struct, frozen=True, kw_only=True):
    """Which partners may use one transport, as Prebid's `filterSettings` says it."""

    bidders: tuple[str, ...] | Literal["*"] = "*"
    filter: Literal["include", "exclude"] = "include"

    def lets(self, key: str) -> bool:
        """Tell whether this partner may use the transport."""
        named = self.bidders == "*" or key in self.bidders
        return named is (self.filter == "include")


class FilterSettings(Struct, frozen=True, kw_only=True):
    """The page's filter for each transport; none means every partner may."""

    image: TypeFilter | None = None
    iframe: TypeFilter | None = None

    def types_for(self, key: str) -> frozenset[str]:
        """Give the transports that one partner may use."""
        filters = {Transport.IMAGE: self.image, Transport.IFRAME: self.iframe}
        return frozenset(name for name, each in filters.items() if each is None or each.lets(key))


class PageKind(Struct, frozen=True, kw_only=True):
    """What a partner is judged by that many browsers have in common."""

    allowed: Callable[[Partner], Decision]
    types: frozenset[str] | FilterSettings
    requested: frozenset[str] | None
    coop: bool = False
    signals: Signals = NO_SIGNALS
    country: str = ""
    bot: bool = False


def choose_syncs(
    judged: Judged, *, attempts: Mapping[str, int], now_s: int, limit: int, rng: random.Random
) -> list[SyncChoice]:
    """Give every partner its status on one page; offer at most `limit` (none for 0 or less)."""
    fresh = _fresh_keys(judged, attempts, now_s) if attempts else NOBODY
    spaces = {each.partner.id_space for each in judged.open if each.partner.key in fresh}
    choices: list[SyncChoice] = []
    for rank in judged.ranks:
        waiting = [each for each in rank if each.partner.key not in fresh]
        if len(waiting) < len(rank):
            choices += [each.fresh for each in rank if each.partner.key in fresh]
        if len(waiting) > 1:
            rng.shuffle(waiting)  # partners of equal rank take turns at the front
        for standing in waiting:
            partner = standing.partner
            if partner.sample < 1 and rng.random() >= partner.sample:
                choices.append(standing.sampled_out)
            elif partner.id_space in spaces:
                choices.append(standing.same_id_space)
            elif limit <= 0:
                choices.append(standing.over_budget)
            else:
                limit -= 1
                spaces.add(partner.id_space)
                choices.append(standing.offered)
    choices += judged.barred
    return choices


def judge_partners(partners: Sequence[Partner], kind: PageKind) -> Judged:
    """Judge every partner for pages of one kind, before freshness and budget.

    Partners that were requested are the only ones; under `coop` they only come first.
    """
    named = kind.requested or frozenset()
    choices = [(_judge(each, kind), each) for each in sorted(partners, key=_key)]
    standings = [
        standing_of(partner, choice)
        for choice, partner in choices
        if choice.status is SyncStatus.OFFERED
    ]

    def rank(standing: Standing) -> tuple[bool, int, float]:
        partner = standing.partner
        return kind.coop and partner.key not in named, partner.priority, -partner.weight

    standings.sort(key=rank)
    barred = [choice for choice, _ in choices if choice.status is not SyncStatus.OFFERED]
    unknown = sorted(named - {each.key for each in partners})
    barred += [SyncChoice(key=key, status=SyncStatus.NOT_CONFIGURED) for key in unknown]
    ranks = tuple(tuple(group) for _, group in groupby(standings, rank))
    return Judged(open=tuple(standings), ranks=ranks, barred=tuple(barred))


def judge_incoming(
    partner: Partner,
    *,
    allowed: Callable[[Partner], Decision],
    signals: Signals = NO_SIGNALS,
    country: str = "",
    bot: bool = False,
) -> SyncStatus:
    """Judge a partner that starts the sync itself: no budget, no freshness, no page's filter."""
    barred = _bar_of_browser(partner, signals, country=country, bot=bot)
    if not partner.enabled:
        return SyncStatus.DISABLED
    if barred is not None:
        return barred
    return SyncStatus.OFFERED if allowed(partner).allowed else SyncStatus.NO_CONSENT


def _key(partner: Partner) -> str:
    return partner.key


def _fresh_keys(judged: Judged, attempts: Mapping[str, int], now_s: int) -> frozenset[str]:
    """Give the open partners that this browser was sent to a short while ago."""
    found = []
    for standing in judged.open:
        moment_s = attempts.get(standing.partner.key)
        # Why the lower bound: clocks of two tag nodes differ by moments, a future of days is
        # nonsense.
        if moment_s is not None and -DAY_S < now_s - moment_s < standing.refresh_s:
            found.append(standing.partner.key)
    return frozenset(found)


def _judge(partner: Partner, kind: PageKind) -> SyncChoice:
    barred = _bar(partner, kind)
    if barred is not None:
        return SyncChoice(key=partner.key, partner=partner, status=barred)
    decision = kind.allowed(partner)
    transport = _transport(partner, kind.types)
    if not decision.allowed:
        status, transport = SyncStatus.NO_CONSENT, None
    elif transport is None:
        status = SyncStatus.TYPE_FILTERED
    else:
        status = SyncStatus.OFFERED
    return SyncChoice(
        key=partner.key, partner=partner, status=status, transport=transport, decision=decision
    )


def _bar(partner: Partner, kind: PageKind) -> SyncStatus | None:
    """Say what bars a partner before anybody asks for consent."""
    if not partner.enabled:
        return SyncStatus.DISABLED
    if not kind.coop and kind.requested is not None and partner.key not in kind.requested:
        return SyncStatus.NOT_REQUESTED
    if partner.sync.direction is Direction.IN:
        return SyncStatus.INCOMING
    return _bar_of_browser(partner, kind.signals, country=kind.country, bot=kind.bot)


def _bar_of_browser(
    partner: Partner, signals: Signals, *, country: str, bot: bool
) -> SyncStatus | None:
    if bot:
        return SyncStatus.BOT
    if _is_elsewhere(partner, country):
        return SyncStatus.COUNTRY
    return _skip(partner.sync.skip_when, signals)


def _is_elsewhere(partner: Partner, country: str) -> bool:
    if partner.countries and country not in partner.countries:
        return True
    return country in partner.countries_not


def _skip(when: SkipWhen, signals: Signals) -> SyncStatus | None:
    if when.gdpr and (signals.gdpr or (signals.gdpr is None and signals.tcf)):
        return SyncStatus.SKIPPED_GDPR
    if not set(when.gpp_sid).isdisjoint(signals.gpp_sid):
        return SyncStatus.SKIPPED_GPP_SID
    if when.gpc and signals.gpc:
        return SyncStatus.SKIPPED_GPC
    return None


def _transport(partner: Partner, types: frozenset[str] | FilterSettings) -> Transport | None:
    usable = types.types_for(partner.key) if isinstance(types, FilterSettings) else types
    return next((each for each in partner.sync.transports if each in usable), None)
