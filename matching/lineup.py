"""What a page's partners are judged into: a status for each, and the order in which they are asked.

Plain values: `choose_syncs.py` makes them and takes its choices from them.
"""

from enum import StrEnum
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from matching.consent.decide import Decision
from matching.partner_facts import Partner, Transport

DAY_S: Final = 86_400


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

    # Why: a page counts forty of them, and an enumeration's own hash costs four times as much.
    __hash__ = str.__hash__


class SyncChoice(Struct, frozen=True, kw_only=True):
    """One partner, its status and, when offered, how the page may fire its URL."""

    key: str
    status: SyncStatus
    partner: Partner | None = None
    transport: Transport | None = None
    decision: Decision | None = None
    """What consent said, where it was asked."""


class Standing(Struct, frozen=True, kw_only=True):
    """A partner that pages of one kind may sync with: what it is offered, and what else it may be.

    Made once for many pages: browsers differ only in which of these choices they get.
    """

    partner: Partner
    refresh_s: int
    offered: SyncChoice
    fresh: SyncChoice
    sampled_out: SyncChoice
    same_id_space: SyncChoice
    over_budget: SyncChoice


class Judged(Struct, frozen=True, kw_only=True):
    """All partners, judged for pages of one kind."""

    open: tuple[Standing, ...]
    ranks: tuple[tuple[Standing, ...], ...]
    """The same, those of equal rank together, the first to be asked first."""
    barred: tuple[SyncChoice, ...]
    """All others; those that a request names and nobody knows come last."""


def standing_of(partner: Partner, offered: SyncChoice) -> Standing:
    """Give the standing of a partner that nothing bars."""

    def instead(status: SyncStatus) -> SyncChoice:
        return replace(offered, status=status, transport=None)

    return Standing(
        partner=partner,
        refresh_s=partner.refresh_days * DAY_S,
        offered=offered,
        fresh=instead(SyncStatus.FRESH),
        sampled_out=instead(SyncStatus.SAMPLED_OUT),
        same_id_space=instead(SyncStatus.SAME_ID_SPACE),
        over_budget=instead(SyncStatus.OVER_BUDGET),
    )
