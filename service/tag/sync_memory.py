"""What all pages of one published state share when partners are chosen and offered.

Partners come in; their standing for each kind of page, their planned URLs and their marks in the
sync cookie go out, each made once. It is thrown away with the state.
"""

import random
from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct

from matching.choose_syncs import Judged, PageKind, judge_partners
from matching.partner_facts import Direction, Partner, TokenPlace
from matching.sync_url import UrlPlan, plan_url
from service.tag.sync_cookie import CookieMarks
from service.tag.tag_state import TagState

KINDS_MAX: Final = 512
PLANS_MAX: Final = 4096
NAME: Final = "syncs"


class OfferPlan(Struct, frozen=True, kw_only=True):
    """What every offer of one partner has in common, as long as our public address stays."""

    url: UrlPlan | None
    """None where the partner's own call decides about a part of it."""
    shows_ours: bool
    keeps_ours: bool
    by_cookie: bool


class SyncMemory:
    """Remembers for one state; what callers can vary is bounded."""

    def __init__(self, partners: tuple[Partner, ...]) -> None:
        self.partners = partners
        self.rng = random.Random()
        self.marks = CookieMarks(partners)
        self._plans: dict[tuple[str, str], OfferPlan] = {}
        self._judged: dict[Any, Judged] = {}

    def judged(self, name: Any, kind: Callable[[], PageKind]) -> Judged:
        """Give what the partners are on pages of this kind; `name` tells kinds apart."""
        known = self._judged.get(name)
        if known is None:
            known = judge_partners(self.partners, kind())
            if len(self._judged) >= KINDS_MAX:
                self._judged.clear()
            self._judged[name] = known
        return known

    def plan(self, partner: Partner, base: str) -> OfferPlan:
        """Give what a partner's offers for our public address have in common."""
        known = self._plans.get((partner.key, base))
        if known is None:
            known = _plan(partner, base)
            if len(self._plans) >= PLANS_MAX:
                self._plans.clear()
            self._plans[partner.key, base] = known
        return known


def sync_memory(state: TagState) -> SyncMemory:
    """Give the memory of this state."""
    known: SyncMemory | None = state.heard.get(NAME)
    if known is None:
        known = state.heard[NAME] = SyncMemory(state.partners)
    return known


def _plan(partner: Partner, base: str) -> OfferPlan:
    sync = partner.sync
    keeps_ours = sync.direction is not Direction.BACK
    return OfferPlan(
        url=None if sync.passes else plan_url(partner, base=base),
        shows_ours=keeps_ours or "{our_id}" in sync.url_template,
        keeps_ours=keeps_ours,
        by_cookie=sync.token_place is TokenPlace.COOKIE,
    )
