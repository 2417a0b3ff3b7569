"""A newsletter click: an encrypted link comes in, the clean target goes out.

The click alone proves little (mail scanners click too): it counts once a page event of that visitor
follows, which `matching/people.py` judges.
"""

from typing import Final
from urllib.parse import quote

from matching.consent.decide import Use, encode_signals
from matching.contact_hashes import crm_id_of
from service.tag import visitor_cookie
from service.tag.click_record import click_record
from service.tag.collect import Collector, Outcome
from service.tag.request import TagAnswer, TagRequest, header_signals, refusal
from service.tag.steps import DropReason
from service.tag.tokens import TokenError, read_click

URL_SIGNS: Final = "%/:?#[]@!$&'()*+,;=~"
"""What stays as it is in a target; anything else is encoded, for headers hold Latin-1 alone."""


def click(collector: Collector, request: TagRequest, token: str) -> Outcome:
    """`GET /c/{token}`: spool the click and send the browser to the target inside the token."""
    try:
        found = read_click(collector.keys, token, now_s=request.now_s)
    except TokenError as problem:
        return Outcome(answer=refusal(410, f"this link no longer works: {problem}"))
    headers: tuple[tuple[str, str], ...] = (
        ("Location", quote(found.target, safe=URL_SIGNS)),
        ("Cache-Control", "no-store"),
        ("Referrer-Policy", "no-referrer"),
    )
    plain = TagAnswer(status=302, headers=headers)
    site = next((each for each in collector.state.sites if each.key == found.site), None)
    if site is None:
        return Outcome(answer=plain, dropped=(DropReason.UNKNOWN_KEY,))
    if collector.is_opted_out(request):
        return Outcome(answer=plain, dropped=(DropReason.OPTED_OUT,))
    signals = header_signals(request, site)
    if not collector.state.decide(signals, Use.STORE, site).allowed:
        return Outcome(answer=plain, dropped=(DropReason.NO_CONSENT,))
    crm_id = crm_id_of(found.crm_id, collector.seal)
    if collector.is_suppressed("crm_id", crm_id.encode()):
        return Outcome(answer=plain, dropped=(DropReason.SUPPRESSED,))
    known = collector.cookie_of(request, site)
    if known is not None and collector.is_suppressed("visitor", known.visitor):
        return Outcome(answer=plain, dropped=(DropReason.SUPPRESSED,))
    visitor = known.visitor if known else visitor_cookie.mint_visitor()
    if known is None:
        value = visitor_cookie.write_cookie(collector.keys, visitor, now_s=request.now_s)
        line = visitor_cookie.set_cookie(site.cookie, value, secure=request.secure)
        headers += (("Set-Cookie", line),)
    record = click_record(collector, request, found, visitor, encode_signals(signals))
    return Outcome(answer=TagAnswer(status=302, headers=headers), records=(record,))
