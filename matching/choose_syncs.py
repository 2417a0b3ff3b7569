"""Choose which partners a page syncs with: one status for every partner considered.

Comes in: partners, the browser's past attempts, what its consent allows and what the page takes.
Goes out: the choices in the order they were asked, those that a request names but nobody knows
last. Renders no URL, reads no clock; the same inputs and `rng` give the same choices.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from matching.consent.decide import Decision, Signals
from matching.partner_facts import Direction, Partner, SkipWhen, Transport

DAY_S: Final = 86_400
NO_SIGNALS: Final = Signals()
NO_WEIGHTS: Final[Mapping[str, float]] = MappingProxyType({})


class SyncStatus(StrEnum):
    """What became of one partner on one page."""

    OFFERED = "offered"
    DISABLED = "disabled"
    NOT_CONFIGURED = "not_configured"
    NOT_REQUESTED = "not_requested"
    INCOMING = "incoming"
    BOT = "bot"
    NO_CONSENT = "no_consent"
    SKIPPED_GDPR = "skipped_gdpr"
    SKIPPED_GPP_SID = "skipped_gpp_sid"
    SKIPPED_GPC = "skipped_gpc"
    COUNTRY = "country"
    TYPE_FILTERED = "type_filtered"
    FRESH = "fresh"
    SAMPLED_OUT = "sampled_out"
    SAME_ID_SPACE = "same_id_space"
    OVER_BUDGET = "over_budget"


class SyncChoice(Struct, frozen=True, kw_only=True):
    """One partner, its status and, when offered, how the page may fire its URL."""

    key: str
    status: SyncStatus
    partner: Partner | None = None
    transport: Transport | None = None
    decision: Decision | None = None
    """What consent said, where it was asked."""


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


class Page(Struct, frozen=True, kw_only=True):
    """Everything about the browser and the request that a partner is judged by."""

    attempts: Mapping[str, int]
    now_s: int
    allowed: Callable[[Partner], Decision]
    types: frozenset[str] | FilterSettings
    requested: frozenset[str] | None
    signals: Signals
    country: str
    bot: bool
    draws: Mapping[str, float]


def choose_syncs(
    partners: Sequence[Partner],
    *,
    attempts: Mapping[str, int],
    now_s: int,
    limit: int,
    allowed: Callable[[Partner], Decision],
    types: frozenset[str] | FilterSettings,
    requested: frozenset[str] | None,
    rng: random.Random,
    coop: bool = False,
    signals: Signals = NO_SIGNALS,
    country: str = "",
    bot: bool = False,
    weights: Mapping[str, float] = NO_WEIGHTS,
) -> list[SyncChoice]:
    """Judge every partner, offer at most `limit` of them (none for 0 or less).

    Partners that were requested are the only ones; under `coop` they only come first.
    """
    named = requested or frozenset()
    in_order = sorted(partners, key=lambda partner: partner.key)
    page = Page(
        attempts=attempts,
        now_s=now_s,
        allowed=allowed,
        types=types,
        requested=None if coop else requested,
        signals=signals,
        country=country,
        bot=bot,
        draws={partner.key: rng.random() for partner in in_order},
    )
    # Why a shuffle before a stable sort: partners of equal rank take turns at the front.
    rng.shuffle(in_order)
    in_order.sort(
        key=lambda each: (
            coop and each.key not in named,
            each.priority,
            -weights.get(each.key, each.weight),
        )
    )
    choices = _spend([_judge(partner, page) for partner in in_order], limit)
    unknown = sorted(named - {partner.key for partner in partners})
    return choices + [SyncChoice(key=key, status=SyncStatus.NOT_CONFIGURED) for key in unknown]


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


def _spend(judged: Sequence[SyncChoice], limit: int) -> list[SyncChoice]:
    """Give the pixels to the first in order, and no two to one id space."""
    known_spaces = {_space(each) for each in judged if each.status is SyncStatus.FRESH}
    choices = []
    for choice in judged:
        spent = choice
        if choice.status is SyncStatus.OFFERED:
            if _space(choice) in known_spaces:
                spent = replace(choice, status=SyncStatus.SAME_ID_SPACE, transport=None)
            elif limit <= 0:
                spent = replace(choice, status=SyncStatus.OVER_BUDGET, transport=None)
            else:
                limit -= 1
                known_spaces.add(_space(choice))
        choices.append(spent)
    return choices


def _space(choice: SyncChoice) -> str:
    return choice.partner.id_space if choice.partner else ""


def _judge(partner: Partner, page: Page) -> SyncChoice:
    """Judge one partner by itself, before the budget."""
    barred = _bar(partner, page)
    if barred is not None:
        return SyncChoice(key=partner.key, partner=partner, status=barred)
    decision = page.allowed(partner)
    transport = _transport(partner, page.types)
    if not decision.allowed:
        status = SyncStatus.NO_CONSENT
    elif transport is None:
        status = SyncStatus.TYPE_FILTERED
    elif _is_fresh(partner, page):
        status = SyncStatus.FRESH
    elif page.draws[partner.key] >= partner.sample:
        status = SyncStatus.SAMPLED_OUT
    else:
        status = SyncStatus.OFFERED
    return SyncChoice(
        key=partner.key,
        partner=partner,
        status=status,
        transport=transport if status is SyncStatus.OFFERED else None,
        decision=decision,
    )


def _bar(partner: Partner, page: Page) -> SyncStatus | None:
    """Say what bars a partner before anybody asks for consent."""
    if not partner.enabled:
        return SyncStatus.DISABLED
    if page.requested is not None and partner.key not in page.requested:
        return SyncStatus.NOT_REQUESTED
    if partner.sync.direction is Direction.IN:
        return SyncStatus.INCOMING
    return _bar_of_browser(partner, page.signals, country=page.country, bot=page.bot)


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


def _is_fresh(partner: Partner, page: Page) -> bool:
    attempted_s = page.attempts.get(partner.key)
    if attempted_s is None:
        return False
    # Why the lower bound: clocks of two tag nodes differ by moments, a future of days is nonsense.
    return -DAY_S < page.now_s - attempted_s < partner.refresh_days * DAY_S
