"""Find what does not fit together in one partner's facts, before any browser meets it.

Comes in: a `Partner` whose single facts have the right types. Goes out: every fault with the field
it stands in. The URL is rendered as a trial, the partner's answer is played and read back; nothing
is fired.
"""

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import parse_qs, urlsplit

from msgspec import Struct

from matching.consent.decide import Signals
from matching.partner_facts import Direction, Partner, RedirectPosition, Sync, TokenPlace, Transport
from matching.partner_id_rules import IdStatus, check_partner_id
from matching.play_partner import hear, reply
from matching.sync_url import (
    BUILT_IN_MACROS,
    MACRO,
    callback_url,
    read_callback,
    sync_url,
    write_our_id,
)

TRIAL_BASE: Final = "https://jumelle.example"
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1"})
TRIAL_TOKEN: Final = "T" * 64
TRIAL_OUR_ID: Final = "0123456789abcdef0123456789abcdef"
TRIAL_PASSED: Final = "passed-on"
TRIAL_SIGNALS: Final = Signals(tcf="CPXX", gdpr=True, gpp="DBAA", gpp_sid=(2, 7), us_privacy="1YNN")

HOLDS_REDIRECT: Final = {
    RedirectPosition.PARAM: re.compile(r"[\w.-]+=\{redirect\}"),
    RedirectPosition.QUERY: re.compile(r"^[^?]*\?\{redirect\}"),
    RedirectPosition.PATH: re.compile(r"^[^?]*/\{redirect\}"),
}


class Fault(Struct, frozen=True):
    """One thing that is wrong, and where."""

    field: str
    message: str


def find_faults(partner: Partner) -> list[Fault]:
    """Give every fault of one partner's facts; none when it may go to browsers."""
    faults = [
        *_macro_faults(partner),
        *_redirect_faults(partner.sync),
        *_token_faults(partner),
        *_consent_faults(partner.sync),
        *_passing_faults(partner.sync),
        *_rule_faults(partner),
    ]
    if faults or _asked_macros(partner):
        return faults
    return list(_url_faults(partner)) or list(_trial_faults(partner))


def _macro_faults(partner: Partner) -> Iterator[Fault]:
    for name in _missing_macros(partner):
        if name in partner.asks:
            # Why only then: a file that is switched off may wait for the partner's answers.
            if partner.enabled:
                why = f"missing; ask {partner.name} for {partner.asks[name]}"
                yield Fault(f"account.{name}", why)
        else:
            yield Fault(
                "sync.url_template",
                f"{{{name}}} is no macro; use {', '.join(sorted(BUILT_IN_MACROS))} "
                f"or give `account.{name}`",
            )


def _missing_macros(partner: Partner) -> list[str]:
    used = dict.fromkeys(MACRO.findall(partner.sync.url_template))
    known = {*BUILT_IN_MACROS, *partner.sync.passes}
    given = {name for name, value in partner.account.items() if value.strip()}
    return [name for name in used if name not in known | given]


def _asked_macros(partner: Partner) -> bool:
    """Tell whether the URL cannot be rendered yet, because the partner was not asked."""
    waits_for_place = partner.sync.token_place is None and "token_place" in partner.questions
    return waits_for_place or any(name in partner.asks for name in _missing_macros(partner))


def _redirect_faults(sync: Sync) -> Iterator[Fault]:
    position = sync.redirect_position
    holds = "{redirect}" in sync.url_template
    if position in HOLDS_REDIRECT:
        if not HOLDS_REDIRECT[position].search(sync.url_template):
            yield Fault(
                "sync.redirect_position", f"`{position}`, but url_template has no such {{redirect}}"
            )
    elif holds:
        yield Fault("sync.redirect_position", "url_template holds {redirect}; say where")
    if position is RedirectPosition.REGISTERED:
        yield from _registered_faults(sync)
    if sync.direction is Direction.BACK and position is None:
        yield Fault("sync.redirect_position", "missing; an id that comes back needs a callback")


def _registered_faults(sync: Sync) -> Iterator[Fault]:
    where = "sync.registered_callback"
    if not sync.registered_callback.startswith("{base}/setuid?"):
        yield Fault(where, "must begin with {base}/setuid? ; it is what the partner registers")
    for macro in (sync.user_macro, sync.our_id_macro):
        if macro and macro not in sync.registered_callback:
            yield Fault(where, f"does not hold {macro}")


def _token_faults(partner: Partner) -> Iterator[Fault]:
    sync, where = partner.sync, "sync.token_place"
    registered = sync.redirect_position is RedirectPosition.REGISTERED
    match sync.token_place:
        case None if sync.direction is Direction.BACK:
            question = partner.questions.get("token_place")
            if question is None:
                yield Fault(where, "missing; say where our token comes back")
            elif partner.enabled:
                yield Fault(where, f"missing; ask {partner.name} for {question}")
        case TokenPlace.REDIRECT if registered:
            yield Fault(where, "`redirect`, but a registered callback carries no token of ours")
        case TokenPlace.OUR_ID_PARAM if not sync.our_id_param:
            yield Fault("sync.our_id_param", "missing; the token is to travel in it")
        case TokenPlace.ECHOED_PARAM if "{token}" not in sync.url_template:
            yield Fault(where, "`echoed_param`, but url_template has no {token}")
        case TokenPlace.COOKIE if Transport.FETCH_JSON in sync.transports:
            yield Fault("sync.transports", "`fetch_json` may not carry a callback proven by cookie")
        case _:
            pass
    if sync.our_id_param and f"{sync.our_id_param}={{our_id}}" not in sync.url_template:
        yield Fault("sync.our_id_param", "url_template has no such parameter with {our_id}")


def _consent_faults(sync: Sync) -> Iterator[Fault]:
    where = "sync.consent_params"
    placed = "{consent_params}" in sync.url_template
    if sync.consent_params.any() and not placed:
        yield Fault(where, "url_template does not say where: put {consent_params} in it")
    if placed and not sync.consent_params.any():
        yield Fault(where, "url_template holds {consent_params}, but no name is given")


def _passing_faults(sync: Sync) -> Iterator[Fault]:
    where = "sync.passes"
    if sync.passes and sync.direction is not Direction.IN:
        yield Fault(where, "only a partner that starts the sync sends us something to hand on")
    for name in sync.passes:
        if f"{{{name}}}" not in sync.url_template:
            yield Fault(where, f"url_template has no {{{name}}}")


def _rule_faults(partner: Partner) -> Iterator[Fault]:
    try:
        re.compile(partner.ids.pattern)
    except re.error as wrong:
        yield Fault("ids.pattern", f"not a regular expression: {wrong}")
    if partner.ids.length_min > partner.ids.length_max:
        yield Fault("ids.length_min", "is more than length_max")
    if partner.refresh_days > partner.lives_days:
        yield Fault("refresh_days", "is more than lives_days: ids would die before their refresh")


def _url_faults(partner: Partner) -> Iterator[Fault]:
    where = "sync.url_template"
    url = sync_url(
        partner,
        callback=callback_url(partner, base=TRIAL_BASE, token=TRIAL_TOKEN),
        our_id=TRIAL_OUR_ID,
        token=TRIAL_TOKEN,
        signals=TRIAL_SIGNALS,
        passed=dict.fromkeys(partner.sync.passes, TRIAL_PASSED),
    )
    where_to = url.partition("?")[0]
    try:
        parts = urlsplit(url)
        # Why: a partner on this very machine is a test's or a developer's, and needs no TLS.
        is_local = parts.hostname in LOOPBACK
        usable = bool(parts.hostname) and "@" not in parts.netloc
        usable = usable and (parts.port in {None, 443} or is_local)
    except ValueError:
        parts, usable, is_local = urlsplit("https://"), False, False
    if parts.scheme != "https" and not (is_local and parts.scheme == "http"):
        yield Fault(where, f"must be https, it renders as {where_to}")
    elif not usable:
        yield Fault(where, f"has no usable host, it renders as {where_to}")
    if not url.isascii() or not url.isprintable() or " " in url:
        yield Fault(where, "renders with characters that no URL may hold")


def _trial_faults(partner: Partner) -> Iterator[Fault]:
    """Play the partner: it must hear our id, and bring its own with our token."""
    sync = partner.sync
    url = sync_url(
        partner,
        callback=callback_url(partner, base=TRIAL_BASE, token=TRIAL_TOKEN),
        our_id=TRIAL_OUR_ID,
        token=TRIAL_TOKEN,
        signals=TRIAL_SIGNALS,
        passed=dict.fromkeys(sync.passes, TRIAL_PASSED),
    )
    heard = hear(sync, url)
    sent = write_our_id(sync.our_id_encoding, TRIAL_OUR_ID)
    in_place = sync.token_place is TokenPlace.OUR_ID_PARAM
    if sync.our_id_param and heard.our_id != (TRIAL_TOKEN if in_place else sent):
        yield Fault("sync.our_id_param", f"a trial brought {heard.our_id!r} instead of our id")
    status = check_partner_id(partner, partner.ids.example)
    if status is not IdStatus.OK:
        yield Fault("ids.example", f"is no id by these rules: {status}")
    if sync.direction is Direction.BACK:
        location = reply(sync, heard, its_id=partner.ids.example, base=TRIAL_BASE)
        yield from _callback_faults(partner, location)


def _callback_faults(partner: Partner, location: str) -> Iterator[Fault]:
    where = "sync.redirect_position"
    if not location.startswith(f"{TRIAL_BASE}/setuid?"):
        yield Fault(where, f"a trial came back to {location.partition('?')[0]!r}")
        return
    asked = parse_qs(urlsplit(location).query, keep_blank_values=True)
    query = {name: values[0] for name, values in asked.items()}
    came = read_callback(partner, query)
    if came.id != partner.ids.example:
        yield Fault("sync.arrives", f"a trial brought the id {came.id!r}, not the partner's")
    if partner.sync.token_place is not TokenPlace.COOKIE and came.token != TRIAL_TOKEN:
        yield Fault("sync.token_place", "a trial did not bring our token back")
