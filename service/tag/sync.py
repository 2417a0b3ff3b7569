"""The cookie sync's routes as a page and its visitor call them; shapes as Prebid Server's.

Offers are spooled, never stored here. What a partner calls stands in `set_uid.py` and `sync_in.py`.
"""

from typing import Final

import msgspec

from matching.choose_syncs import (
    FilterSettings,
    Judged,
    PageKind,
    SyncChoice,
    SyncStatus,
    TypeFilter,
    choose_syncs,
)
from matching.consent.bits import Unreadable
from matching.consent.decide import Signals, Use, encode_signals
from matching.consent.gpp import TCF_EU, Gpp, decode_gpp
from matching.ids import VisitorId
from matching.partner_facts import Transport
from service.tag import visitor_cookie
from service.tag.bots import is_crawler
from service.tag.collect import Collector, Outcome, refused
from service.tag.door import OPT_OUT_COOKIE
from service.tag.message_bodies import UNDECODABLE
from service.tag.record import Kind, Meta, write_record
from service.tag.request import TagAnswer, TagRequest, cors_headers, trusted_country
from service.tag.set_uid import set_uid
from service.tag.signal_text import explicit_choices, signal_text
from service.tag.steps import DropReason
from service.tag.sync_cookie import SYNC_COOKIE, of_site, read_attempts, write_attempts
from service.tag.sync_in import sync_in
from service.tag.sync_memory import sync_memory
from service.tag.sync_metrics import count_choices
from service.tag.sync_offer import Offers, callback_base, country_of, sections_of
from service.tag.tag_state import Site

__all__ = ["cookie_sync", "opt_out", "set_uid", "sync_in"]

OFFERED: Final = SyncStatus.OFFERED
NO_FRAMES: Final = TypeFilter(filter="exclude")
BOTH_TYPES: Final = frozenset({"image", "iframe"})
NO_PUBLIC_URL: Final = "no_public_url"
"""Why nobody is offered where partners could not be told a host of ours to come back to."""


class SyncRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /cookie_sync`, as Prebid Server reads it; all fields are optional."""

    bidders: tuple[str, ...] | None = None
    gdpr: int | bool | None = None
    gdpr_consent: str | None = ""
    us_privacy: str | None = ""
    gpp: str | None = ""
    gpp_sid: str | None = ""
    limit: int | None = None
    coop_sync: bool | None = msgspec.field(default=None, name="coopSync")
    account: str | None = ""
    filter_settings: FilterSettings | None = msgspec.field(default=None, name="filterSettings")
    debug: bool | None = False
    explicit: dict[str, bool] | None = None

    def __post_init__(self) -> None:
        """Refuse a flag that is neither 0 nor 1."""
        if self.gdpr not in {None, 0, 1}:
            raise ValueError(f"gdpr is {self.gdpr}; it must be 0 or 1")

    def budget(self, site: Site) -> int:
        """Give how many partners the page may call: what it asks for, within the site's limit."""
        limit = site.sync.page_limit
        return self.limit if self.limit and 0 < self.limit < limit else limit


_decoder: Final = msgspec.json.Decoder(SyncRequest)


def cookie_sync(collector: Collector, request: TagRequest) -> Outcome:
    """`POST /cookie_sync`: say which partners the page may call, and spool each offer."""
    try:
        asked = _decoder.decode(request.body or b"{}")
    except UNDECODABLE as problem:
        why = f"the body of /cookie_sync: {problem}"
        return refused(request, 400, DropReason.MALFORMED, why, collector.site_meant(request))
    account = request.fields.get("account") or asked.account or ""
    site = collector.state.site_of_write_key.get(account)
    if site is None:
        return refused(request, 401, DropReason.UNKNOWN_KEY, "no site has this write key")
    if not request.from_allowed_origin(site):
        why = f"pages of {request.header('origin')} may not sync for site {site.key}"
        return refused(request, 403, DropReason.ORIGIN_NOT_ALLOWED, why)
    if collector.is_opted_out(request):
        return refused(request, 401, DropReason.OPTED_OUT, "this browser opted out", site)
    signals = _signals_of(request, site, asked)
    fault = _fault_of(signals)
    if fault:
        return refused(request, 400, DropReason.MALFORMED, fault, site)
    return _offer_all(collector, request, site, asked, signals)


def _offer_all(
    collector: Collector, request: TagRequest, site: Site, asked: SyncRequest, signals: Signals
) -> Outcome:
    found = collector.cookie_of(request, site)
    if found is None or request.header("sp-anonymous"):
        return Outcome(answer=_sync_answer(request, site, [], status="no_cookie"))
    if collector.is_suppressed("visitor", found.visitor):
        answer = _sync_answer(request, site, [], status="ok")
        return Outcome(answer=answer, dropped=(DropReason.SUPPRESSED,))
    if not callback_base(collector, request, site):
        problems = [(each.key, NO_PUBLIC_URL) for each in collector.state.partners]
        debug = problems if asked.debug else None
        return Outcome(answer=_sync_answer(request, site, [], status="ok", debug=debug))
    return _offer(collector, request, site, found.visitor, asked, signals)


def _offer(
    collector: Collector,
    request: TagRequest,
    site: Site,
    visitor: VisitorId,
    asked: SyncRequest,
    signals: Signals,
) -> Outcome:
    memory = sync_memory(collector.state)
    attempts = read_attempts(request, memory.marks)
    choices = choose_syncs(
        _judged(collector, request, site, asked, signals),
        attempts=attempts,
        now_s=request.now_s,
        limit=asked.budget(site),
        rng=memory.rng,
    )
    count_choices(choices)
    offers: Offers | None = None
    records: list[bytes] = []
    shown: list[dict[str, object]] = []
    for choice in choices:
        partner = choice.partner
        if choice.status is not OFFERED or partner is None:
            continue
        offers = offers or Offers(collector, request, site, visitor, signals)
        url, record = offers.make(partner)
        shown.append(_bidder_status(choice, url, hide_referrer=partner.sync.hide_referrer))
        records.append(record)
        attempts[partner.key] = request.now_s
    # Why only then: without a new attempt the browser's own cookie says the same.
    cookie = write_attempts(request, site, attempts, memory.marks) if records else ""
    answer = _sync_answer(
        request,
        site,
        shown,
        status="ok",
        debug=[(each.key, str(each.status)) for each in choices] if asked.debug else None,
        cookie=cookie,
    )
    return Outcome(answer=answer, records=tuple(records))


def opt_out(collector: Collector, request: TagRequest) -> Outcome:
    """`GET,POST /optout`: forget this browser's cookies and remember only that it wants no more."""
    records: list[bytes] = []
    lines: list[tuple[str, str]] = []
    value = visitor_cookie.write_opt_out(collector.keys, now_s=request.now_s)
    for site in collector.state.sites:
        found = collector.cookie_of(request, site)
        if found is not None:
            meta = Meta(site=site.key, signals=encode_signals(Signals(opted_out=True)))
            records.append(
                write_record(Kind.CONSENT, request.received_us, found.visitor, meta, b"")
            )
        for settings in (site.cookie, of_site(site, SYNC_COOKIE)):
            gone = visitor_cookie.set_cookie(settings, "", secure=request.secure, lives_s=0)
            lines.append(("Set-Cookie", gone))
        # Why for every site: where its visitor cookie goes, as a third party's too, this one must.
        settings = of_site(site, OPT_OUT_COOKIE)
        line = visitor_cookie.set_cookie(settings, value, secure=request.secure)
        lines.append(("Set-Cookie", line))
    fixed = (("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store"))
    body = b"You are opted out: nothing more is kept of this browser."
    answer = TagAnswer(status=200, headers=(*fixed, *dict.fromkeys(lines)), body=body)
    return Outcome(answer=answer, records=tuple(records))


def _signals_of(request: TagRequest, site: Site, asked: SyncRequest) -> Signals:
    return Signals(
        tcf=signal_text(asked.gdpr_consent or ""),
        gdpr=None if asked.gdpr is None else bool(asked.gdpr),
        gpp=signal_text(asked.gpp or ""),
        gpp_sid=sections_of(asked.gpp_sid or ""),
        us_privacy=signal_text(asked.us_privacy or ""),
        gpc=request.has_gpc,
        explicit=explicit_choices(asked.explicit),
        country=trusted_country(request, site),
    )


def _fault_of(signals: Signals) -> str:
    """Say what makes the consent signals no request at all, as Prebid Server does, or nothing."""
    gpp = decode_gpp(signals.gpp) if signals.gpp else Gpp(sections={})
    if isinstance(gpp, Unreadable):
        return f"gpp cannot be read: {gpp.why}"
    applies = signals.gdpr is True or TCF_EU in signals.gpp_sid
    if applies and not signals.tcf and TCF_EU not in gpp.sections:
        return "gdpr_consent is required if gdpr=1"
    return ""


def _judged(
    collector: Collector, request: TagRequest, site: Site, asked: SyncRequest, signals: Signals
) -> Judged:
    """Judge the partners by what this page has in common with others, once for all of them."""
    country, bot = country_of(request, site), is_crawler(request.header("user-agent"))
    types = asked.filter_settings or BOTH_TYPES
    if not site.sync.iframes:
        image = asked.filter_settings.image if asked.filter_settings else None
        types = FilterSettings(image=image, iframe=NO_FRAMES)
    requested = frozenset(asked.bidders) if asked.bidders else None
    coop, told = bool(asked.coop_sync), encode_signals(signals)

    def kind() -> PageKind:
        return PageKind(
            allowed=lambda each: collector.state.decide(signals, Use.SYNC, site, each.consent),
            types=types,
            requested=requested,
            coop=coop,
            signals=signals,
            country=country,
            bot=bot,
        )

    name = (site.key, told, country, bot, types, requested, coop)
    return sync_memory(collector.state).judged(name, kind)


def _bidder_status(choice: SyncChoice, url: str, *, hide_referrer: bool) -> dict[str, object]:
    # Trap of the protocol: the request says `image`, the answer `redirect`.
    type_ = "redirect" if choice.transport is Transport.IMAGE else choice.transport
    sync = {"url": url, "type": type_, "hideReferrer": hide_referrer}
    return {"bidder": choice.key, "no_cookie": True, "usersync": sync}


def _sync_answer(
    request: TagRequest,
    site: Site,
    shown: list[dict[str, object]],
    *,
    status: str,
    debug: list[tuple[str, str]] | None = None,
    cookie: str = "",
) -> TagAnswer:
    body: dict[str, object] = {"status": status, "bidder_status": shown}
    if debug is not None:
        body["debug"] = [{"bidder": key, "error": error} for key, error in debug]
    headers = (("Content-Type", "application/json"), *cors_headers(request, site))
    if cookie:
        headers += (("Set-Cookie", cookie),)
    return TagAnswer(status=200, headers=headers, body=msgspec.json.encode(body))
