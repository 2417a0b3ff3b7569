"""`GET /sync/in/{partner}`: a partner starts the sync; it never stores, it starts our own.

The browser is sent to the partner's URL alone: nothing that the call carries can choose where.
"""

from collections.abc import Mapping

import msgspec

from matching.choose_syncs import SyncStatus, judge_incoming
from matching.consent.decide import Decision, Signals, Use
from matching.partner_facts import Partner, TokenPlace
from service.tag.bots import is_crawler
from service.tag.collect import Collector, Outcome
from service.tag.request import TagAnswer, TagRequest, gif, refusal, trusted_country
from service.tag.steps import DropReason
from service.tag.sync_offer import Offers, callback_base, country_of, signals_of_query
from service.tag.tag_state import Site

PASSED_LENGTH_MAX = 512


def sync_in(collector: Collector, request: TagRequest, partner_key: str) -> Outcome:
    """Offer the partner's own sync to the browser that it sent, or answer with nothing."""
    partner = collector.state.partner(partner_key)
    if partner is None:
        return Outcome(answer=refusal(404, f"no partner {partner_key[:40]!r} is switched on here"))
    # Why by cookie not: `/cookie_sync` alone notes attempts, and such an answer needs one.
    if collector.is_opted_out(request) or partner.sync.token_place is TokenPlace.COOKIE:
        return Outcome(answer=gif())
    passed = _passed(partner, request)
    if passed is None:
        return Outcome(answer=refusal(400, f"{partner.key} must send {_named(partner)}"))
    signals = signals_of_query(request)
    for site in collector.state.sites:
        found = collector.cookie_of(request, site)
        if found is None or not callback_base(collector, request, site):
            continue
        signals = msgspec.structs.replace(signals, country=trusted_country(request, site))
        if _judge(collector, request, site, partner, signals) is not SyncStatus.OFFERED:
            continue
        if collector.is_suppressed("visitor", found.visitor):
            return Outcome(answer=gif(), dropped=(DropReason.SUPPRESSED,))
        offers = Offers(collector, request, site, found.visitor, signals, told_by_visitor=False)
        url, record = offers.make(partner, passed)
        headers = (("Location", url), ("Cache-Control", "no-store"))
        return Outcome(answer=TagAnswer(status=302, headers=headers), records=(record,))
    return Outcome(answer=gif())


def _judge(
    collector: Collector, request: TagRequest, site: Site, partner: Partner, signals: Signals
) -> SyncStatus:
    def allowed(each: Partner) -> Decision:
        return collector.state.decide(signals, Use.SYNC, site, each.consent)

    return judge_incoming(
        partner,
        allowed=allowed,
        signals=signals,
        country=country_of(request, site),
        bot=is_crawler(request.header("user-agent")),
    )


def _passed(partner: Partner, request: TagRequest) -> Mapping[str, str] | None:
    """Give what the partner wants to find in our answer; None when it did not send it."""
    passed = {name: request.fields.get(name, "") for name in partner.sync.passes}
    fits = all(0 < len(value) <= PASSED_LENGTH_MAX for value in passed.values())
    return passed if fits else None


def _named(partner: Partner) -> str:
    return ", ".join(partner.sync.passes)
