"""Render the URL that a browser fires at a partner, and read what the partner sends back.

Comes in: a partner's facts, our callback, token, id and the consent signals. Goes out: text.
Makes no token and decides no consent.
"""

import base64
import re
import secrets
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final
from urllib.parse import quote

from msgspec import Struct

from matching.consent.decide import Signals
from matching.partner_facts import (
    ConsentParams,
    OurIdEncoding,
    Partner,
    RedirectPosition,
    Sync,
    TokenPlace,
)

MACRO: Final = re.compile(r"\{([a-z][a-z0-9_]*)\}")
BUILT_IN_MACROS: Final = frozenset({"redirect", "our_id", "token", "consent_params"})
UNRESERVED: Final = re.compile(r"[A-Za-z0-9_.~-]*")
"""What stays the same however often it is percent-encoded."""
TOKEN: Final = "\0token"  # noqa: S105 - a part's name
OUR_ID: Final = "\0our_id"
CONSENT: Final = "\0consent"
"""Parts of a planned URL that differ between browsers; no URL holds a zero byte."""
NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


class Returned(Struct, frozen=True, kw_only=True):
    """What a partner's call of our callback carried; empty where it carried nothing."""

    id: str
    token: str
    error: str


class UrlPlan(Struct, frozen=True, kw_only=True):
    """A partner's URL but for what differs between browsers: as `sync_url` renders it, sooner."""

    parts: tuple[str, ...]
    """Text, and the names of what stands between."""

    def render(self, *, token: str, our_id: str, consent: str) -> str:
        """Give the URL; `our_id` as `write_our_id` wrote it, `consent` as `consent_query` did."""
        values = {TOKEN: token, OUR_ID: our_id, CONSENT: consent}
        return "".join([values.get(part, part) for part in self.parts])


def plan_url(partner: Partner, *, base: str) -> UrlPlan:
    """Render all that is the same for every browser; the partner must pass nothing on."""
    marks = {name: secrets.token_hex(16) for name in (TOKEN, OUR_ID, CONSENT)}
    callback = callback_url(partner, base=base, token=marks[TOKEN])
    text = _rendered(
        partner,
        callback=callback,
        token=marks[TOKEN],
        our_id=marks[TOKEN] if _carries_token(partner.sync) else marks[OUR_ID],
        consent=marks[CONSENT],
    )
    names = {mark: name for name, mark in marks.items()}
    found = re.split(f"({'|'.join(names)})", text)
    return UrlPlan(parts=tuple(names.get(part, part) for part in found if part))


def sync_url(
    partner: Partner,
    *,
    callback: str,
    our_id: str,
    token: str,
    signals: Signals,
    passed: Mapping[str, str] = NOTHING,
) -> str:
    """Render the URL to fire; `callback` is what `callback_url` gave, ending where the id goes.

    `passed` is what the partner's own call carried, where the partner starts the sync.
    """
    sync = partner.sync
    return _rendered(
        partner,
        callback=callback,
        token=token,
        our_id=token if _carries_token(sync) else write_our_id(sync.our_id_encoding, our_id),
        consent=consent_query(sync.consent_params, signals),
        passed=passed,
    )


def callback_url(partner: Partner, *, base: str, token: str) -> str:
    """Give our callback for this partner; `base` is our public address without a final slash."""
    if partner.sync.redirect_position is RedirectPosition.REGISTERED:
        return partner.sync.registered_callback.replace("{base}", base)
    named = f"{base}/setuid?bidder={partner.key}"
    proof = "" if partner.sync.token_place is TokenPlace.COOKIE else f"&t={quote(token, safe='')}"
    # Why last: a partner without a macro appends its id to whatever we wrote.
    return f"{named}{proof}&uid="


def read_callback(partner: Partner | None, query: Mapping[str, str]) -> Returned:
    """Read id, token and error under the names this partner uses; our own names for None."""
    if partner is None:
        return Returned(id=query.get("uid", ""), token=query.get("t", ""), error="")
    names = partner.sync.arrives
    return Returned(
        id=query.get(names.id, ""),
        token=query.get(names.token, ""),
        error=query.get(names.error, "") if names.error else "",
    )


def consent_query(params: ConsentParams, signals: Signals) -> str:
    """Write the signals under the partner's names, each with its leading `&`."""
    gdpr = "" if signals.gdpr is None else params.gdpr_values[signals.gdpr]
    tcf = signals.tcf
    if params.together and not (gdpr and tcf):
        gdpr = tcf = ""
    pairs = (
        (params.gdpr, gdpr),
        (params.consent, tcf),
        (params.us_privacy, signals.us_privacy),
        (params.gpp, signals.gpp),
        (params.gpp_sid, ",".join(map(str, signals.gpp_sid))),
    )
    return "".join(f"&{name}={quoted(value)}" for name, value in pairs if name and value)


def _carries_token(sync: Sync) -> bool:
    """Tell whether the token travels in our id's place."""
    return sync.token_place is TokenPlace.OUR_ID_PARAM


def _rendered(
    partner: Partner,
    *,
    callback: str,
    token: str,
    our_id: str,
    consent: str,
    passed: Mapping[str, str] = NOTHING,
) -> str:
    sync = partner.sync
    values = {name: quoted(value, "/:") for name, value in partner.account.items()}
    values |= {name: quote(passed.get(name, ""), safe="") for name in sync.passes}
    values["redirect"] = _redirect(sync, callback, token)
    values["our_id"] = _quoted_token(our_id)
    values["token"] = _quoted_token(token)
    values["consent_params"] = consent
    return MACRO.sub(lambda match: values[match[1]], sync.url_template)


def _redirect(sync: Sync, callback: str, token: str) -> str:
    depth = sync.redirect_encoding_depth
    macro_depth = sync.user_macro_encoding_depth
    before, found, behind = callback.partition(token) if token else (callback, "", "")
    if found and not UNRESERVED.fullmatch(found):
        before, found, behind = callback, "", ""
    # Why in parts: all but the token is the same for every browser, and is encoded once.
    return "".join(
        (
            encode(before, depth),
            found,
            encode(behind, depth),
            encode(sync.user_macro, depth if macro_depth is None else macro_depth),
        )
    )


@lru_cache(maxsize=4096)
def quoted(text: str, safe: str = "") -> str:
    """Percent-encode a text that comes again and again."""
    return quote(text, safe=safe)


def _quoted_token(text: str) -> str:
    return text if UNRESERVED.fullmatch(text) else quote(text, safe="")


@lru_cache(maxsize=4096)
def encode(text: str, depth: int) -> str:
    """Percent-encode a text so many times."""
    for _ in range(depth):
        text = quote(text, safe="")
    return text


def write_our_id(encoding: OurIdEncoding, our_id: str) -> str:
    """Write our id, which is hexadecimal, as a partner wants it."""
    match encoding:
        case OurIdEncoding.PLAIN:
            return our_id
        case OurIdEncoding.B64URL:
            raw = our_id.encode()
        case OurIdEncoding.HEXBYTES_B64:
            raw = bytes.fromhex(our_id)
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
