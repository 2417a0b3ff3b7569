"""`GET /setuid`: a partner brings its id; a token of ours, or our own cookies, say whose it is.

The id is spooled, never stored here; parallel calls of one browser lose nothing. The loader joins
it with its offer and keeps the first id of each. Statuses as Prebid Server's: 200 taken or taken
away, 400 unusable, 401 opted out, 451 forbidden by the consent that the partner passes on.
"""

from typing import Final, NamedTuple

import msgspec

from matching.consent.bits import Unreadable
from matching.consent.decide import Decision, Reason, Signals, Use
from matching.consent.gpp import TCF_EU, decode_gpp
from matching.partner_facts import Partner, TokenPlace, Transport
from matching.partner_id_rules import IdStatus, check_partner_id
from matching.sync_url import Returned, read_callback
from service.tag.collect import Collector, Outcome
from service.tag.record import Kind, Meta, write_record
from service.tag.request import TagAnswer, TagRequest, gif, refusal
from service.tag.steps import DropReason
from service.tag.sync_cookie import CookieMarks, read_attempts
from service.tag.sync_metrics import count_return
from service.tag.sync_offer import nonce_of_attempt, signals_of_query
from service.tag.tokens import CALLBACK_LIVES_S, Callback, TokenError, open_callback

NO_CONSENT: Final = "no_consent"
PARTNER_ERROR: Final = "partner_error"
NO_SIGNALS: Final = Signals()
UNREADABLE: Final = frozenset(
    {Reason.GPP_UNREADABLE, Reason.USP_UNREADABLE, Reason.TCF_UNREADABLE, Reason.TCF_INVALID}
)
IMAGES: Final = frozenset({"image", "empty"})
"""What a browser calls the purpose of an image, and of nothing in particular."""


class _Came(NamedTuple):
    """A call whose partner and visitor are proven."""

    partner: Partner
    callback: Callback
    returned: Returned


def set_uid(collector: Collector, request: TagRequest) -> Outcome:
    """Judge one call; what a proven partner brings is kept, refusals with their reason."""
    if collector.is_opted_out(request):
        return Outcome(answer=refusal(401, "this browser opted out"))
    try:
        came = _proven(collector, request)
    except TokenError as problem:
        return _bad(f"no token of a sync that was offered here: {problem}")
    if request.fields.get("f", "").lower() not in {"", "i", "b"}:
        return _bad("`f` must be i (image) or b (blank page)")
    fault = _signals_fault(request)
    if fault:
        return _bad(fault)
    if collector.is_suppressed("visitor", came.callback.visitor):
        return Outcome(answer=gif(), dropped=(DropReason.SUPPRESSED,))
    return _keep(collector, request, came)


def _keep(collector: Collector, request: TagRequest, came: _Came) -> Outcome:
    partner, callback, returned = came
    decision = _decide(collector, request, partner)
    if decision is not None and decision.reason in UNREADABLE:
        return _bad(f"the consent that came with this id cannot be read: {decision.reason}")
    status = _status(came, decision)
    meta = Meta(
        site="",
        partner=partner.key,
        nonce=callback.nonce,
        uid=returned.id if status == IdStatus.OK else "",
        reason="" if status in {IdStatus.OK, IdStatus.EMPTY} else status,
    )
    record = write_record(Kind.PARTNER_ID, request.received_us, callback.visitor, meta, b"")
    count_return(partner.key, status)
    if status in {IdStatus.OK, IdStatus.EMPTY}:
        return Outcome(answer=_thanks(request, partner), records=(record,))
    if status == NO_CONSENT:
        answer = refusal(451, f"consent forbids the id of {partner.key}")
    else:
        answer = refusal(400, f"this id of {partner.key} was refused: {status}")
    return Outcome(answer=answer, records=(record,))


def _status(came: _Came, decision: Decision | None) -> str:
    if decision is not None and not decision.allowed:
        return NO_CONSENT
    if came.returned.error:
        return PARTNER_ERROR
    return check_partner_id(came.partner, came.returned.id)


def _thanks(request: TagRequest, partner: Partner) -> TagAnswer:
    given = request.fields.get("f", "").lower()
    blank = partner.sync.transports[0] is Transport.IFRAME if not given else given == "b"
    if not blank:
        return gif()
    headers = (("Content-Type", "text/html"), ("Cache-Control", "no-store"))
    return TagAnswer(status=200, headers=headers)


def _bad(why: str) -> Outcome:
    return Outcome(answer=refusal(400, why))


def _signals_fault(request: TagRequest) -> str:
    """Say what makes the call's consent signals unusable, or nothing; the words are Prebid's."""
    fields = request.fields
    gdpr, consent = fields.get("gdpr", ""), fields.get("gdpr_consent", "")
    if gdpr not in {"", "0", "1"}:
        return f"the gdpr query param must be either 0 or 1. You gave {gdpr[:20]}"
    sections = [each.strip() for each in fields.get("gpp_sid", "").split(",")]
    numbers = [each.removeprefix("-") if each == "-1" else each for each in sections]
    if sections != [""] and not all(each.isascii() and each.isdigit() for each in numbers):
        return "gpp_sid must be numbers between commas"
    if (gdpr == "1" or str(int(TCF_EU)) in sections) and not consent and not _has_tcf(request):
        return "gdpr_consent is required when gdpr=1"
    return ""


def _has_tcf(request: TagRequest) -> bool:
    gpp = decode_gpp(request.fields.get("gpp", ""))
    return not isinstance(gpp, Unreadable) and TCF_EU in gpp.sections


def _decide(collector: Collector, request: TagRequest, partner: Partner) -> Decision | None:
    """Decide by what the partner passes on; None where it says nothing: the offer's consent stands.

    The US privacy string alone decides too, unlike Prebid Server's.
    """
    signals = signals_of_query(request)
    if signals == NO_SIGNALS or not collector.state.sites:
        return None
    # Why: signals may only take away here; what was not said stays as it was when it was offered.
    site = msgspec.structs.replace(collector.state.sites[0], consent_default="allow")
    return collector.state.decide(signals, Use.SYNC, site, partner.consent)


def _proven(collector: Collector, request: TagRequest) -> _Came:
    """Find the partner whose token this is; the token is bound to one partner alone."""
    fields = request.fields
    named = fields.get("bidder", "").lower()
    for partner in collector.state.partners:
        if named and partner.key != named:
            continue
        returned = read_callback(partner, fields)
        try:
            return _Came(partner, _callback(collector, request, partner, returned), returned)
        except TokenError:
            if named:
                raise
    raise TokenError(f"bidder {named[:40]!r} is not switched on here, or the token is foreign")


def _callback(
    collector: Collector, request: TagRequest, partner: Partner, returned: Returned
) -> Callback:
    if partner.sync.token_place is TokenPlace.COOKIE:
        return _callback_by_cookie(collector, request, partner)
    return open_callback(collector.keys, partner.key, returned.token, now_s=request.now_s)


def _callback_by_cookie(collector: Collector, request: TagRequest, partner: Partner) -> Callback:
    """Take the browser's own cookies for the proof, where a partner can carry no token.

    The call must be an image's, made by the browser for another site: no page can read or make it
    by script. The loader counts such an id once two offers brought the same.
    """
    if request.fields.get("bidder", "").lower() != partner.key:
        raise TokenError(f"a call of {partner.key} must name it as `bidder`")
    if not _is_image(request):
        raise TokenError(f"a call of {partner.key} must be an image's (Sec-Fetch headers)")
    attempted_s = read_attempts(request, CookieMarks([partner])).get(partner.key)
    if attempted_s is None or not -60 <= request.now_s - attempted_s <= CALLBACK_LIVES_S:
        raise TokenError(f"this browser was not sent to {partner.key} within the last hour")
    for site in collector.state.sites:
        found = collector.cookie_of(request, site)
        if found is not None:
            nonce = nonce_of_attempt(collector.keys, partner, found.visitor, attempted_s)
            expires_s = attempted_s + CALLBACK_LIVES_S
            return Callback(visitor=found.visitor, nonce=nonce, expires_s=expires_s)
    raise TokenError("this browser has no cookie of ours")


def _is_image(request: TagRequest) -> bool:
    said = tuple(request.header(f"sec-fetch-{name}") for name in ("mode", "dest", "site"))
    return said[0] == "no-cors" and said[1] in IMAGES and said[2] in {"cross-site", "same-site"}
