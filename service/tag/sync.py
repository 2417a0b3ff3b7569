"""The cookie sync's routes: who is offered to whom, and what a partner brings back.

Offers and ids are spooled, never stored here; a callback is believed by its encrypted token alone,
so it needs no cookie and parallel callbacks of one browser lose nothing. Shapes as Prebid Server's.
"""

import random
import secrets
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from matching.choose_syncs import FilterSettings, SyncChoice, SyncStatus, choose_syncs
from matching.consent.decide import Decision, Signals, Use, encode_signals
from matching.ids import VisitorId
from matching.partner_facts import Partner, Transport
from matching.partners import IdStatus, check_partner_id
from matching.sync_url import Returned, callback_url, read_callback, sync_url
from service.tag import visitor_cookie
from service.tag.bots import is_crawler
from service.tag.collect import Collector, Outcome, refused
from service.tag.door import OPT_OUT_COOKIE
from service.tag.messages import UNDECODABLE
from service.tag.record import Kind, Meta, write_record
from service.tag.request import TagAnswer, TagRequest, cors_headers, gif, refusal
from service.tag.steps import DropReason, explicit_choices, signal_text
from service.tag.tag_state import Site
from service.tag.tokens import (
    CALLBACK_LIVES_S,
    Callback,
    TokenError,
    make_callback,
    open_callback,
)

SYNC_COOKIE: Final = "jml_sync"
SYNCS_A_PAGE: Final = 8
NO_PUBLIC_URL: Final = "no_public_url"
"""Why nobody is offered where partners could not be told a host of ours to come back to."""
SECTIONS_MAX: Final = 32


class SyncRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `POST /cookie_sync`, as Prebid Server reads it; all fields are optional."""

    bidders: tuple[str, ...] | None = None
    gdpr: int | bool | None = None
    gdpr_consent: str = ""
    us_privacy: str = ""
    gpp: str = ""
    gpp_sid: str = ""
    limit: int = SYNCS_A_PAGE
    account: str = ""
    filter_settings: FilterSettings = msgspec.field(default=FilterSettings(), name="filterSettings")
    debug: bool = False
    explicit: dict[str, bool] | None = None


_decoder: Final = msgspec.json.Decoder(SyncRequest)


def cookie_sync(collector: Collector, request: TagRequest) -> Outcome:
    """`POST /cookie_sync`: say which partners the page may call, and spool each offer."""
    try:
        asked = _decoder.decode(request.body or b"{}")
    except UNDECODABLE as problem:
        why = f"the body of /cookie_sync: {problem}"
        return refused(request, 400, DropReason.MALFORMED, why, collector.site_meant(request))
    account = request.fields.get("account") or asked.account
    site = collector.state.site_of_write_key.get(account)
    if site is None:
        return refused(request, 401, DropReason.UNKNOWN_KEY, "no site has this write key")
    if not request.from_allowed_origin(site):
        why = f"pages of {request.header('origin')} may not sync for site {site.key}"
        return refused(request, 403, DropReason.ORIGIN_NOT_ALLOWED, why)
    if collector.is_opted_out(request):
        return refused(request, 401, DropReason.OPTED_OUT, "this browser opted out", site)
    found = collector.cookie_of(request, site)
    if found is None:
        return Outcome(answer=_sync_answer(request, site, [], status="no_cookie"))
    if collector.is_suppressed("visitor", found.visitor):
        answer = _sync_answer(request, site, [], status="ok")
        return Outcome(answer=answer, dropped=(DropReason.SUPPRESSED,))
    if not _callback_base(collector, request, site):
        problems = [(each.key, NO_PUBLIC_URL) for each in collector.state.partners]
        debug = problems if asked.debug else None
        return Outcome(answer=_sync_answer(request, site, [], status="ok", debug=debug))
    return _offer(collector, request, site, found.visitor, asked)


def _offer(
    collector: Collector, request: TagRequest, site: Site, visitor: VisitorId, asked: SyncRequest
) -> Outcome:
    signals = _signals_of(request, asked)
    attempts = _attempts_of(request)
    choices = choose_syncs(
        collector.state.partners,
        attempts=attempts,
        now_s=request.now_s,
        limit=asked.limit if 0 < asked.limit < SYNCS_A_PAGE else SYNCS_A_PAGE,
        allowed=_allowed(collector, signals, site),
        types=asked.filter_settings,
        requested=None if asked.bidders is None else frozenset(asked.bidders),
        rng=random.Random(visitor + request.now_s.to_bytes(8, "little")),
        signals=signals,
        country=_country_of(request, site),
        bot=is_crawler(request.header("user-agent")),
    )
    records: list[bytes] = []
    shown: list[dict[str, object]] = []
    for choice in choices:
        partner = choice.partner
        if choice.status is not SyncStatus.OFFERED or partner is None:
            continue
        url, record = _make_offer(collector, request, site, visitor, partner, signals)
        shown.append(_bidder_status(choice, url, hide_referrer=partner.sync.hide_referrer))
        records.append(record)
        attempts[partner.key] = request.now_s
    answer = _sync_answer(
        request,
        site,
        shown,
        status="ok",
        debug=[(each.key, str(each.status)) for each in choices] if asked.debug else None,
        cookie=_sync_cookie(request, site, attempts),
    )
    return Outcome(answer=answer, records=tuple(records))


def _make_offer(
    collector: Collector,
    request: TagRequest,
    site: Site,
    visitor: VisitorId,
    partner: Partner,
    signals: Signals,
    *,
    told_by_visitor: bool = True,
) -> tuple[str, bytes]:
    nonce = secrets.randbits(63)
    expires_s = request.now_s + CALLBACK_LIVES_S
    callback = Callback(visitor=visitor, nonce=nonce, expires_s=expires_s)
    token = make_callback(collector.keys, partner.key, callback)
    base = _callback_base(collector, request, site)
    url = sync_url(
        partner,
        callback=callback_url(partner, base=base, token=token),
        token=token,
        our_id=our_id(collector, partner, visitor),
        signals=signals,
    )
    # Why not always: what a partner says of consent decides its own sync, but is no visitor's word.
    told = encode_signals(signals) if told_by_visitor else ""
    meta = Meta(site=site.key, partner=partner.key, nonce=nonce, signals=told)
    return url, write_record(Kind.OFFER, request.received_us, visitor, meta, b"")


def _callback_base(collector: Collector, request: TagRequest, site: Site) -> str:
    """Give where partners send browsers back to; empty when nobody vouches for a host."""
    return collector.state.callback_base or request.own_origin_of(site)


def our_id(collector: Collector, partner: Partner, visitor: VisitorId) -> str:
    """Give the id by which this partner knows the visitor; no two partners see the same."""
    return collector.keys.keyed_hash("our_id", partner.key.encode(), visitor).hex()


def set_uid(collector: Collector, request: TagRequest) -> Outcome:
    """`GET /setuid`: a partner brings its id; only a token of ours says whose it is."""
    if request.fields.get("f", "i") not in {"i", "b"}:
        return _bad_uid("`f` must be i (image) or b (blank page)")
    if collector.is_opted_out(request):
        return Outcome(answer=refusal(401, "this browser opted out"))
    try:
        partner, callback, returned = _returned(collector, request)
    except TokenError as problem:
        return _bad_uid(f"no token of a sync that was offered here: {problem}")
    if collector.is_suppressed("visitor", callback.visitor):
        return Outcome(answer=gif(), dropped=(DropReason.SUPPRESSED,))
    status = "partner_error" if returned.error else check_partner_id(partner, returned.id)
    deletes = status == IdStatus.EMPTY
    meta = Meta(
        site="",
        partner=partner.key,
        nonce=callback.nonce,
        uid=returned.id if status == IdStatus.OK else "",
        reason="" if status == IdStatus.OK or deletes else status,
    )
    record = write_record(Kind.PARTNER_ID, request.received_us, callback.visitor, meta, b"")
    if status == IdStatus.OK or deletes:
        blank = TagAnswer(status=200, headers=(("Content-Type", "text/html"),))
        return Outcome(answer=blank if request.fields.get("f") == "b" else gif(), records=(record,))
    answer = refusal(400, f"this id of {partner.key} was refused: {status}")
    return Outcome(answer=answer, records=(record,))


def _returned(collector: Collector, request: TagRequest) -> tuple[Partner, Callback, Returned]:
    """Find the partner whose token this is; the token is bound to one partner alone."""
    fields = request.fields
    named = fields.get("bidder", "").lower()
    for partner in collector.state.partners:
        if named and partner.key != named:
            continue
        returned = read_callback(partner, fields)
        try:
            callback = open_callback(
                collector.keys, partner.key, returned.token, now_s=request.now_s
            )
        except TokenError:
            if named:
                raise
            continue
        return partner, callback, returned
    raise TokenError(f"bidder {named!r} is not switched on here, or the token is foreign")


def sync_in(collector: Collector, request: TagRequest, partner_key: str) -> Outcome:
    """`GET /sync/in/{partner}`: a partner starts; it never stores, it starts our own sync."""
    partner = collector.state.partner(partner_key)
    if partner is None:
        return Outcome(answer=refusal(404, f"no partner {partner_key!r} is switched on here"))
    if collector.is_opted_out(request):
        return Outcome(answer=gif())
    signals = Signals(
        gpc=request.header("sec-gpc") == "1",
        gdpr=_flag(request.fields.get("gdpr", "")),
        tcf=signal_text(request.fields.get("gdpr_consent", "")),
        us_privacy=signal_text(request.fields.get("us_privacy", "")),
        gpp=signal_text(request.fields.get("gpp", "")),
        gpp_sid=_sids(request.fields.get("gpp_sid", "")),
    )
    for site in collector.state.sites:
        found = collector.cookie_of(request, site)
        if found is None or not _allowed(collector, signals, site)(partner).allowed:
            continue
        if collector.is_suppressed("visitor", found.visitor):
            return Outcome(answer=gif(), dropped=(DropReason.SUPPRESSED,))
        if not _callback_base(collector, request, site):
            continue
        url, record = _make_offer(
            collector, request, site, found.visitor, partner, signals, told_by_visitor=False
        )
        headers = (("Location", url), ("Cache-Control", "no-store"))
        return Outcome(answer=TagAnswer(status=302, headers=headers), records=(record,))
    return Outcome(answer=gif())


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
        for settings in (site.cookie, _named(site, SYNC_COOKIE)):
            gone = visitor_cookie.set_cookie(settings, "", secure=request.secure, lives_s=0)
            lines.append(("Set-Cookie", gone))
        # Why for every site: where its visitor cookie goes, as a third party's too, this one must.
        settings = _named(site, OPT_OUT_COOKIE)
        line = visitor_cookie.set_cookie(settings, value, secure=request.secure)
        lines.append(("Set-Cookie", line))
    fixed = (("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store"))
    body = b"You are opted out: nothing more is kept of this browser."
    answer = TagAnswer(status=200, headers=(*fixed, *dict.fromkeys(lines)), body=body)
    return Outcome(answer=answer, records=tuple(records))


def _country_of(request: TagRequest, site: Site) -> str:
    # Why only a header that the site names: anybody can send a header, only a proxy of its own is
    # trusted to overwrite it.
    return request.header(site.country_header.lower()).upper() if site.country_header else ""


def _bad_uid(why: str) -> Outcome:
    return Outcome(answer=refusal(400, why))


def _signals_of(request: TagRequest, asked: SyncRequest) -> Signals:
    return Signals(
        tcf=signal_text(asked.gdpr_consent),
        gdpr=None if asked.gdpr is None else bool(asked.gdpr),
        gpp=signal_text(asked.gpp),
        gpp_sid=_sids(asked.gpp_sid),
        us_privacy=signal_text(asked.us_privacy),
        gpc=request.header("sec-gpc") == "1",
        explicit=explicit_choices(asked.explicit),
    )


def _allowed(collector: Collector, signals: Signals, site: Site) -> Callable[[Partner], Decision]:
    def decide_for(partner: Partner) -> Decision:
        return collector.state.decide(signals, Use.SYNC, site, partner.consent)

    return decide_for


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


def _attempts_of(request: TagRequest) -> dict[str, int]:
    """Read the sync cookie: `partner.minutes` pairs; it holds attempts, never an id."""
    attempts = {}
    text = visitor_cookie.find_cookie(request.header("cookie"), SYNC_COOKIE)
    for pair in text.split("!")[:100]:
        key, _, minutes = pair.partition(".")
        if key and minutes.isascii() and minutes.isdigit() and len(minutes) < 12:
            attempts[key] = int(minutes) * 60
    return attempts


def _sync_cookie(request: TagRequest, site: Site, attempts: Mapping[str, int]) -> str:
    text = "!".join(f"{key}.{seconds // 60}" for key, seconds in sorted(attempts.items()))
    return visitor_cookie.set_cookie(_named(site, SYNC_COOKIE), text, secure=request.secure)


def _named(site: Site, name: str) -> visitor_cookie.CookieSettings:
    """Give how a site sets another of our cookies: wherever its visitor cookie goes."""
    return msgspec.structs.replace(site.cookie, name=name)


def _flag(text: str) -> bool | None:
    return {"0": False, "1": True}.get(text)


def _sids(text: str) -> tuple[int, ...]:
    given = [each.strip() for each in text.split(",")[:SECTIONS_MAX]]
    return tuple(int(each) for each in given if each.isascii() and each.isdigit() and len(each) < 6)
