"""The one table of the tag's routes: a request comes in, what becomes of it goes out.

Everything that is called here is pure; who reads sockets and writes the spool calls `handle`.
"""

from typing import Final

from service.tag import messages, sync
from service.tag.click import click
from service.tag.collect import Collector, Outcome
from service.tag.request import TagRequest, preflight, refusal, through_proxies
from service.tag.tag_script import VERSION, tag_script

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
PREFIXES: Final = (*(path.partition("{")[0] for path in PATHS if "{" in path), f"/{VERSION}")
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
        case [name], "GET" if name == "tag.js" or name.startswith(VERSION):
            return Outcome(answer=tag_script(collector.state, request, name))
    return Outcome(answer=refusal(404, f"there is no {request.method} {request.path} here"))


def is_tag_path(path: str) -> bool:
    """Tell whether a path is the tag's; all others are for the engine."""
    if path in PLAIN_PATHS:
        return True
    return path.startswith(PREFIXES) and not path.startswith(ENGINE_PREFIX)


def _type_of(name: str) -> str:
    known = messages.LETTERS.get(name, name)
    return known if known in messages.TYPES else ""
