"""Offers: the URL that a browser fires at a partner, and the record that waits for its answer.

A page's request or a partner's call comes in with consent decided; URL and record go out. A token
is the whole proof of who is meant, so that the answer needs no cookie.
"""

import os
import re
from collections.abc import Mapping
from typing import Final

from matching.consent.decide import Signals, encode_signals
from matching.ids import VisitorId
from matching.partner_facts import ConsentParams, Partner
from matching.sync_url import NOTHING, callback_url, consent_query, sync_url, write_our_id
from service.tag.browser_family import browser_family
from service.tag.door import Door
from service.tag.record import Kind, Meta, write_record
from service.tag.request import TagRequest
from service.tag.signal_text import signal_text
from service.tag.sync_memory import sync_memory
from service.tag.tag_state import Site
from service.tag.tokens import CALLBACK_LIVES_S, Callback, Keys, make_callback

SECTIONS_MAX: Final = 32
UNKNOWN_SECTION: Final = 65_535
_SECTION: Final = re.compile("-1|[0-9]{1,5}")
NONCE_BITS: Final = 63
OFFER: Final = Kind.OFFER  # a member is looked up for longer than a name


class Offers:
    """Makes the offers of one request; what they share is found once."""

    def __init__(
        self,
        door: Door,
        request: TagRequest,
        site: Site,
        visitor: VisitorId,
        signals: Signals,
        *,
        told_by_visitor: bool = True,
    ) -> None:
        self._keys = door.keys
        self._request = request
        self._expires_s = request.now_s + CALLBACK_LIVES_S
        self._site = site
        self._visitor = visitor
        self._signals = signals
        self._base = callback_base(door, request, site)
        self._memory = sync_memory(door.state)
        self._agent = browser_family(request.header("user-agent"))
        # Why not always: what a partner says of consent decides its own sync, but is no visitor's
        # word.
        self._told = encode_signals(signals) if told_by_visitor else ""
        self._queries: dict[ConsentParams, str] = {}

    def make(self, partner: Partner, passed: Mapping[str, str] = NOTHING) -> tuple[str, bytes]:
        """Give the URL to fire, and the offer's record."""
        plan, request, visitor = (
            self._memory.plan(partner, self._base),
            self._request,
            self._visitor,
        )
        if plan.by_cookie:
            nonce = nonce_of_attempt(self._keys, partner, visitor, request.now_s)
        else:
            nonce = int.from_bytes(os.urandom(8)) >> (64 - NONCE_BITS)
        callback = Callback(visitor=visitor, nonce=nonce, expires_s=self._expires_s)
        token = make_callback(self._keys, partner.key, callback)
        shown = our_id(self._keys, partner, visitor) if plan.shows_ours else ""
        written = write_our_id(partner.sync.our_id_encoding, shown) if shown else ""
        if plan.url is None:
            url = self._url(partner, token, shown, passed)
        else:
            consent = self._consent_of(partner.sync.consent_params)
            url = plan.url.render(token=token, our_id=written, consent=consent)
        meta = Meta(
            site=self._site.key,
            partner=partner.key,
            nonce=nonce,
            agent=self._agent,
            signals=self._told,
            # Why: nothing comes back from a partner that keeps our id, and that id is what it
            # knows.
            uid=written if plan.keeps_ours else "",
        )
        return url, write_record(OFFER, request.received_us, visitor, meta, b"")

    def _url(self, partner: Partner, token: str, shown: str, passed: Mapping[str, str]) -> str:
        """Render the URL of a partner whose own call decides about a part of it."""
        return sync_url(
            partner,
            callback=callback_url(partner, base=self._base, token=token),
            token=token,
            our_id=shown,
            signals=self._signals,
            passed=passed,
        )

    def _consent_of(self, params: ConsentParams) -> str:
        """Write the signals under these names, once for all partners that use the same."""
        written = self._queries.get(params)
        if written is None:
            written = self._queries[params] = consent_query(params, self._signals)
        return written


def nonce_of_attempt(keys: Keys, partner: Partner, visitor: VisitorId, moment_s: int) -> int:
    """Give the nonce of an offer that no token carries: the sync cookie's minute finds it again."""
    minute = (moment_s // 60).to_bytes(8)
    hashed = keys.keyed_hash("cookie offer", partner.key.encode(), visitor, minute, size=8)
    return int.from_bytes(hashed) >> 1


def callback_base(door: Door, request: TagRequest, site: Site) -> str:
    """Give where partners send browsers back to; empty when nobody vouches for a host."""
    return door.state.callback_base or request.own_origin_of(site)


def our_id(keys: Keys, partner: Partner, visitor: VisitorId) -> str:
    """Give the id by which this id space knows the visitor; no two of them see the same."""
    return keys.keyed_hash("our_id", partner.id_space.encode(), visitor).hex()


def country_of(request: TagRequest, site: Site) -> str:
    """Give the visitor's country, where the site names a header that says it."""
    # Why only a header that the site names: anybody can send a header, only a proxy of its own is
    # trusted to overwrite it.
    return request.header(site.country_header.lower()).upper() if site.country_header else ""


def signals_of_query(request: TagRequest) -> Signals:
    """Give the consent signals that a partner's call carries in its query."""
    fields = request.fields
    return Signals(
        gpc=request.has_gpc,
        gdpr={"0": False, "1": True}.get(fields.get("gdpr", "")),
        tcf=signal_text(fields.get("gdpr_consent", "")),
        us_privacy=signal_text(fields.get("us_privacy", "")),
        gpp=signal_text(fields.get("gpp", "")),
        gpp_sid=sections_of(fields.get("gpp_sid", "")),
    )


def sections_of(text: str) -> tuple[int, ...]:
    """Read `gpp_sid` as Prebid writes it, numbers between commas, -1 for none.

    What is no number, and what comes after many of them, stands for a section that nobody knows.
    """
    given = [each.strip() for each in text.split(",") if each.strip()]
    read = [int(each) if _SECTION.fullmatch(each) else UNKNOWN_SECTION for each in given]
    return tuple(read if len(read) <= SECTIONS_MAX else [*read[:SECTIONS_MAX], UNKNOWN_SECTION])
