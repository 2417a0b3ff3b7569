"""The one table of the tag's routes: a request comes in, what becomes of it goes out.

Everything that is called here is pure; who reads sockets and writes the spool calls `handle`.
"""

from hashlib import sha256
from importlib.resources import files
from typing import Final

import msgspec

from matching.consent.site_default import allows_silent
from service.tag import messages, sync
from service.tag.click import click
from service.tag.collect import Collector, Outcome
from service.tag.request import (
    TagAnswer,
    TagRequest,
    preflight,
    refusal,
    through_proxies,
    trusted_country,
)

PATHS: Final = (
    "/t",
    "/tag.js",
    "/p.gif",
    "/v1/{type}",
    "/cookie_sync",
    "/setuid",
    "/optout",
    "/sync/in/{partner}",
    "/c/{token}",
)
PLAIN_PATHS: Final = frozenset(path for path in PATHS if "{" not in path)
PREFIXES: Final = tuple(path.partition("{")[0] for path in PATHS if "{" in path)
ENGINE_PREFIX: Final = "/v1/me/"
"""The one path under `/v1` that a tag process does not answer."""


def handle(  # noqa: C901 - one table
    collector: Collector, request: TagRequest
) -> Outcome:
    """Answer one request of the tag port; every path of DESIGN's table stands here."""
    if request.path == "/t" and request.method == "POST":  # nearly all requests
        return collector.collect_tag(request)
    request = through_proxies(request, collector.state.proxy_networks)
    if request.method == "OPTIONS":
        return Outcome(answer=preflight(request, collector.sites_meant(request)))
    match request.path.strip("/").split("/"), request.method:
        case ["t"], "POST":
            return collector.collect_tag(request)
        case ["v1", "batch" | "b"], "POST":
            return collector.collect_segment(request, "")
        case ["v1", name], "POST" if type_ := _type_of(name):
            return collector.collect_segment(request, type_)
        case ["p.gif"], "GET":
            return collector.collect_pixel(request)
        case ["cookie_sync"], "POST":
            return sync.cookie_sync(collector, request)
        case ["setuid"], "GET":
            return sync.set_uid(collector, request)
        case ["optout"], "GET" | "POST":
            return sync.opt_out(collector, request)
        case ["sync", "in", partner], "GET":
            return sync.sync_in(collector, request, partner)
        case ["c", token], "GET":
            return click(collector, request, token)
        case ["tag.js"], "GET":
            return _tag_script(collector, request)
    return Outcome(answer=refusal(404, f"there is no {request.method} {request.path} here"))


def is_tag_path(path: str) -> bool:
    """Tell whether a path is the tag's; all others are for the engine."""
    if path in PLAIN_PATHS:
        return True
    return path.startswith(PREFIXES) and not path.startswith(ENGINE_PREFIX)


def _type_of(name: str) -> str:
    known = messages.LETTERS.get(name, name)
    return known if known in messages.TYPES else ""


def _tag_script(collector: Collector, request: TagRequest) -> Outcome:
    key = request.fields.get("key", "")
    site = collector.state.site_of_write_key.get(key)
    if site is None:
        return Outcome(answer=refusal(404, "no site has this write key; see config/sites"))
    country = trusted_country(request, site)
    settings = {
        "key": key,
        "host": "",
        "autoPage": True,
        "cookieSync": bool(collector.state.partners),
        "consent": "optional" if allows_silent(site.consent_default, country) else "required",
    }
    prelude = b"window.__jumelle_settings=" + msgspec.json.encode(settings) + b";\n"
    script = prelude + (files("tag_sdk") / "dist" / "jumelle.js").read_bytes()
    for_all = isinstance(site.consent_default, str)
    etag = f'"{sha256(script).hexdigest()[:20]}"'
    headers = (
        ("Content-Type", "text/javascript; charset=utf-8"),
        ("Cache-Control", f"{'public' if for_all else 'private'}, max-age=300"),
        ("ETag", etag),
        ("X-Content-Type-Options", "nosniff"),
    )
    if request.header("if-none-match") == etag:
        return Outcome(answer=TagAnswer(status=304, headers=headers))
    return Outcome(answer=TagAnswer(status=200, headers=headers, body=script))
