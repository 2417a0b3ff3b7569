"""The tag's routes over ASGI: a request becomes a value, its records are kept, the answer leaves.

`handle` is the one table of routes; everything it calls is pure. Acknowledged means kept: nothing
is sent before `Spool.append` returned.
"""

import time
from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from importlib.resources import files
from typing import Any, Final

import msgspec
from litestar.types import Receive, Scope, Send

from service.metrics import Balance
from service.tag import messages, sync
from service.tag.click import click
from service.tag.collect import Collector, Outcome, refused
from service.tag.request import TagAnswer, TagRequest, preflight, refusal, through_proxies
from service.tag.spool import Spool, SpoolFull
from service.tag.steps import DropReason

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
BODY_BYTES_MAX: Final = messages.BATCH_BYTES_MAX + 4096
RETRY_AFTER_S: Final = 5


def handle(collector: Collector, request: TagRequest) -> Outcome:  # noqa: C901 - one table
    """Answer one request of the tag port; every path of DESIGN's table stands here."""
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
    settings = {
        "key": key,
        "host": "",
        "autoPage": True,
        "cookieSync": bool(collector.state.partners),
        "consent": "optional" if site.consent_default == "allow" else "required",
    }
    prelude = b"window.__jumelle_settings=" + msgspec.json.encode(settings) + b";\n"
    script = prelude + files("tag_sdk").joinpath("dist/jumelle.js").read_bytes()
    etag = f'"{sha256(script).hexdigest()[:20]}"'
    headers = (
        ("Content-Type", "text/javascript; charset=utf-8"),
        ("Cache-Control", "public, max-age=300"),
        ("ETag", etag),
        ("X-Content-Type-Options", "nosniff"),
    )
    if request.header("if-none-match") == etag:
        return Outcome(answer=TagAnswer(status=304, headers=headers))
    return Outcome(answer=TagAnswer(status=200, headers=headers, body=script))


class TagEndpoint:
    """The ASGI application of the tag port."""

    def __init__(
        self,
        *,
        collector: Collector,
        spool: Spool,
        balance: Balance,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._collector = collector
        self._spool = spool
        self._balance = balance
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        body = await _body_of(receive)
        request = _request_of(scope, body or b"", received_us=int(self._clock() * 1_000_000))
        if body is None:
            why = f"a body of more than {BODY_BYTES_MAX} bytes"
            outcome = refused(
                request, 413, DropReason.TOO_LARGE, why, self._collector.site_meant(request)
            )
        else:
            outcome = handle(self._collector, request)
        await _send(send, await self._keep(outcome))

    async def _keep(self, outcome: Outcome) -> TagAnswer:
        dropped = Counter(str(reason) for reason in outcome.dropped)
        if outcome.records:
            try:
                self._spool.append(outcome.records)
            except SpoolFull as problem:
                dropped[DropReason.SPOOL_FULL] += len(outcome.records)
                self._balance.received(kept=0, dropped=dropped)
                return _try_again(outcome.answer, problem)
        self._balance.received(kept=len(outcome.records), dropped=dropped)
        if outcome.records:
            try:
                await self._spool.kept()
            except SpoolFull as problem:
                # Why counted as kept: the file is there and is loaded; a retry is its duplicate.
                return _try_again(outcome.answer, problem)
        return outcome.answer


def _try_again(answer: TagAnswer, problem: SpoolFull) -> TagAnswer:
    retry = ("Retry-After", str(RETRY_AFTER_S))
    return refusal(503, f"nothing was kept, try again: {problem}", retry, *cors_of(answer))


def cors_of(answer: TagAnswer) -> list[tuple[str, str]]:
    """Give the headers by which the calling page may read another answer in this one's place."""
    return [header for header in answer.headers if header[0].startswith(("Access-Control", "Vary"))]


async def _body_of(receive: Receive) -> bytes | None:
    body = b""
    while True:
        event: Any = await receive()
        part: bytes = event.get("body", b"")
        body += part
        if len(body) > BODY_BYTES_MAX:
            return None
        if not event.get("more_body"):
            return body


def _request_of(scope: Scope, body: bytes, *, received_us: int) -> TagRequest:
    raw: Any = scope
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in raw["headers"]}
    return TagRequest(
        method=raw["method"],
        path=raw["path"],
        query=raw["query_string"].decode("latin-1"),
        headers=headers,
        body=body,
        address=(raw.get("client") or ("",))[0],
        scheme=raw["scheme"],
        received_us=received_us,
    )


async def _send(send: Send, answer: TagAnswer) -> None:
    headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in answer.headers]
    headers.append((b"content-length", str(len(answer.body)).encode()))
    start: Any = {"type": "http.response.start", "status": answer.status, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": answer.body, "more_body": False})
