"""The tag's routes over ASGI: the plain way, which every server can run.

A scope becomes a request, its records are kept, the answer leaves.
"""

import time
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Final

from litestar.types import Receive, Scope, Send

from service.tag.collect import Collector, Outcome, refused
from service.tag.keeper import Keeper, try_again
from service.tag.message_bodies import BATCH_BYTES_MAX
from service.tag.request import Caller, TagAnswer, TagRequest
from service.tag.routes import handle
from service.tag.steps import DropReason

WITHOUT_BODY: Final = frozenset({204, 304})
"""Statuses that must not speak of a length (RFC 9110, section 8.6)."""
BODY_BYTES_MAX: Final = BATCH_BYTES_MAX + 4096


class TagEndpoint:
    """The ASGI application of the tag port."""

    def __init__(
        self,
        *,
        collector: Collector,
        keeper: Keeper,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.collector = collector
        self.keeper = keeper
        self.clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        body = await _body_of(receive)
        request = _request_of(scope, body or b"", received_us=int(self.clock() * 1_000_000))
        outcome = _too_large(self.collector, request) if body is None else None
        outcome = outcome or handle(self.collector, request)
        answer = outcome.answer
        problem = self.keeper.keep(outcome.records, outcome.dropped)
        if problem is None and self.keeper.waits_for_disk:
            problem = await self.keeper.kept()
        if problem is not None and outcome.records:
            answer = try_again(answer, problem)
        await _send(send, answer)


def _too_large(collector: Collector, request: TagRequest) -> Outcome:
    why = f"a body of more than {BODY_BYTES_MAX} bytes"
    return refused(request, 413, DropReason.TOO_LARGE, why, collector.site_meant(request))


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
    return TagRequest(
        method=raw["method"],
        path=raw["path"],
        query=raw["query_string"].decode("latin-1"),
        caller=caller_of(raw["headers"], (raw.get("client") or ("",))[0], raw["scheme"]),
        body=body,
        received_us=received_us,
    )


def caller_of(headers: Iterable[tuple[bytes, bytes]], address: str, scheme: str) -> Caller:
    """Give the caller of a request with these headers; of one that came twice the last counts."""
    named = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
    return Caller(headers=named, address=address, scheme=scheme)


def wire_headers(answer: TagAnswer) -> list[tuple[bytes, bytes]]:
    """Give an answer's headers as they are sent."""
    headers = [(_wire_name(name), value.encode("latin-1")) for name, value in answer.headers]
    if answer.status not in WITHOUT_BODY:
        headers.append((b"content-length", str(len(answer.body)).encode()))
    return headers


@lru_cache(maxsize=256)
def _wire_name(name: str) -> bytes:
    return name.lower().encode()


async def _send(send: Send, answer: TagAnswer) -> None:
    headers = wire_headers(answer)
    start: Any = {"type": "http.response.start", "status": answer.status, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": answer.body, "more_body": False})
