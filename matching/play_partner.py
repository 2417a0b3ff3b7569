"""What a partner does with the URL that a browser fires at it: the same facts from its side.

Comes in: the facts and the fired URL. Goes out: what the partner hears in it, and where it sends
the browser with its id. Used for trials before any browser meets a partner, and by stand-ins.
"""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, quote, unquote

from msgspec import Struct

from matching.partner_facts import RedirectPosition, Sync, TokenPlace
from matching.sync_url import MACRO, encode

HTTP_ENCODED: Final = ("http%3a", "https%3a")
CONSENT_NAMES: Final = ("gdpr", "consent", "us_privacy", "gpp", "gpp_sid")


class Heard(Struct, frozen=True, kw_only=True):
    """What a partner reads in a fired URL; empty where it holds nothing."""

    our_id: str
    redirect: str
    """Our callback, the partner's macro still in it."""
    echoed: Mapping[str, str]
    """What the partner does not know and repeats."""
    passed: Mapping[str, str]
    """What came from the partner itself, where it started the sync."""
    consent: Mapping[str, str]
    """The signals, by our names of them."""


def hear(sync: Sync, url: str) -> Heard:
    """Read a fired URL, scheme and host included, as the partner's facts say."""
    head, _, query = url.partition("?")
    # Why: some partners have no query at all, their parameters stand in the last part of the path.
    text = query if "?" in sync.url_template else head.rpartition("/")[2]
    pairs = dict(parse_qsl(text, keep_blank_values=True))
    names = {each: getattr(sync.consent_params, each) for each in CONSENT_NAMES}
    token_name = _parameter(sync, "token")
    return Heard(
        our_id=pairs.get(sync.our_id_param, ""),
        redirect=_redirect(sync, url, text, pairs),
        echoed={token_name: pairs[token_name]} if token_name in pairs else {},
        passed={each: pairs.get(_parameter(sync, each), "") for each in sync.passes},
        consent={each: pairs[name] for each, name in names.items() if name in pairs},
    )


def reply(sync: Sync, heard: Heard, *, its_id: str, base: str) -> str:
    """Give where the partner sends the browser; `base` is our address as it was registered."""
    target = heard.redirect
    if sync.redirect_position is RedirectPosition.REGISTERED:
        target = sync.registered_callback.replace("{base}", base)
        if sync.our_id_macro:
            target = target.replace(sync.our_id_macro, quote(heard.our_id, safe=""))
    said = quote(its_id, safe="")
    if sync.user_macro:
        return target.replace(_macro_left(sync), said)
    if sync.token_place is TokenPlace.ECHOED_PARAM:
        return with_parameters(target, {sync.arrives.id: its_id, **heard.echoed})
    return target + said


def with_parameters(url: str, more: Mapping[str, str]) -> str:
    """Add parameters to a URL that has a query."""
    return url + "".join(f"&{name}={quote(value, safe='')}" for name, value in more.items())


def path_pattern(sync: Sync) -> re.Pattern[str]:
    """Give what every path of the partner's URL matches."""
    head = sync.url_template.partition("://")[2].partition("?")[0]
    path = "/" + head.partition("/")[2]
    parts = re.split(MACRO, path)
    # Why: parts alternate between text and the names of macros.
    made = (
        re.escape(each) if number % 2 == 0 else _macro_pattern(each)
        for number, each in enumerate(parts)
    )
    return re.compile("".join(made))


def _macro_pattern(name: str) -> str:
    return "[^?]*" if name in {"consent_params", "redirect"} else "[^/?]+"


def _redirect(sync: Sync, url: str, text: str, pairs: Mapping[str, str]) -> str:
    depth = sync.redirect_encoding_depth
    match sync.redirect_position:
        case RedirectPosition.QUERY:
            # Why twice: such partners take a whole query that is encoded once more, too.
            found = _decode(url.partition("?")[2], depth)
            return unquote(found) if found[:12].lower().startswith(HTTP_ENCODED) else found
        case RedirectPosition.PATH:
            before = sync.url_template.partition("{redirect}")[0].rpartition("/")[0]
            behind = before.count("/")
            return _decode(url.split("/", behind + 1)[-1], depth)
        case RedirectPosition.PARAM if depth == 0:
            return text.partition(f"{_parameter(sync, 'redirect')}=")[2]
        case RedirectPosition.PARAM:
            return _decode(pairs.get(_parameter(sync, "redirect"), ""), depth - 1)
        case _:
            return ""


def _parameter(sync: Sync, macro: str) -> str:
    found = re.search(rf"([\w.-]+)=\{{{macro}\}}", sync.url_template)
    return found[1] if found else ""


def _decode(text: str, depth: int) -> str:
    for _ in range(depth):
        text = unquote(text)
    return text


def _macro_left(sync: Sync) -> str:
    """Give the macro as it stands in a redirect that was decoded."""
    macro_depth = sync.user_macro_encoding_depth
    if macro_depth is None or sync.redirect_position is RedirectPosition.REGISTERED:
        return sync.user_macro
    return encode(sync.user_macro, max(0, macro_depth - sync.redirect_encoding_depth))
