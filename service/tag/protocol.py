"""The fast path: the tag's small requests are answered in the HTTP protocol, all others by ASGI.

Bytes of one connection come in, bytes of answers go out, equal to those of the routes: both call
`handle` and keep before they answer. A browser repeats its head byte for byte, so a head that the
parser has read once is only compared afterwards. Limits and slow clients are `connections.py`'s.
"""

from typing import Any, ClassVar, Final

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.tag.connections import HEAD_BYTES_MAX, Connections
from service.tag.endpoint import caller_of
from service.tag.known_heads import (
    COOKIE_SYNC,
    FAST_BODY_BYTES_MAX,
    PIXEL,
    SETUID,
    Head,
    KnownHead,
    cut_known,
    known_head,
)
from service.tag.messages import LETTERS, TYPES
from service.tag.request import refusal
from service.tag.wire import wire_of

POSTED: Final = frozenset(
    {"/t", COOKIE_SYNC, *(f"/v1/{name}" for name in (*TYPES, *LETTERS))} - {"/v1/b"}
)
ASKED: Final = frozenset({PIXEL, SETUID})
TRY_AGAIN: Final = 503
FIT_VERSION: Final = "0.54."
_USED: Final = (
    "_start_asgi_task",
    "_unset_keepalive_if_required",
    "connection_lost",
    "connection_made",
    "data_received",
    "on_body",
    "on_header",
    "on_headers_complete",
    "on_message_begin",
    "on_message_complete",
    "on_response_complete",
    "pause_writing",
    "resume_writing",
    "send_400_response",
    "shutdown",
)
"""What of uvicorn's protocol is called or overridden here."""


class TagProtocol(HttpToolsProtocol):
    """One connection; a subclass made by `protocol_of` names what all connections share."""

    shared: ClassVar[Connections]

    def connection_made(self, transport: Any) -> None:
        """Begin; refuse at once what is above the limit of connections."""
        super().connection_made(transport)
        self.shared.opened(self)
        self.known: KnownHead | None = None
        self.fast: Head | None = None
        self.parts: list[bytes] = []
        self.between = True
        """Whether the parser stands between two messages."""
        self.head_complete = False
        self.head_bytes = 0
        self.messages = 0
        self.unsent = 0
        """Requests answered by `handle` whose answers have not left yet."""
        self.leaving = False
        self.begun_s = self.heard_s = self.shared.now_s
        if not self.shared.has_room():
            self.refuse(TRY_AGAIN, "too many connections, try again")

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self.shared.closed(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Answer requests with the known head at once; let the parser read all others."""
        shared = self.shared
        self.heard_s = shared.now_s
        known = self.known
        if known is not None and self.between and not self._is_busy():
            if self.timeout_keep_alive_task is not None:
                self._unset_keepalive_if_required()
            if len(data) == known.bytes and data.startswith(known.whole) and not self.leaving:
                self.unsent += 1
                body = data[known.begin :]
                if not shared.answer_at_a_glance(self, known, body):
                    shared.answer(self, known.head, body, keep_alive=True)
                return
            data = self._take_known(known, data)
            if not data:
                return
        self._parse(data)

    def _parse(self, data: bytes) -> None:
        was_between, before = self.between, self.messages
        if was_between:
            self.begun_s = self.heard_s
        super().data_received(data)
        if self.between:
            if was_between and self.messages == before + 1 and self.fast is not None:
                self.known = known_head(self.fast, data)
        elif not self.head_complete:
            self.head_bytes += len(data)
            if self.head_bytes > HEAD_BYTES_MAX:
                self.refuse(431, f"a request's head may have {HEAD_BYTES_MAX} bytes at most")

    def _is_busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _take_known(self, known: KnownHead, data: bytes) -> bytes:
        """Answer all whole requests at the beginning; give what is left."""
        shared = self.shared
        while data and not self.leaving:
            found = cut_known(known, data)
            if found is None:
                break
            head, body, data = found
            self.unsent += 1
            if head.path == PIXEL:
                is_answered = shared.answer_pixel_at_a_glance(self, known, head.query)
            else:
                is_answered = shared.answer_at_a_glance(self, known, body)
            if not is_answered:
                shared.answer(self, head, body, keep_alive=True)
        return data

    def on_message_begin(self) -> None:
        """Begin a message; what only the application needs is made when it is to answer."""
        self.between = self.head_complete = False
        self.fast = None
        self.url = b""
        self.expect_100_continue = False
        self.headers = []

    def on_headers_complete(self) -> None:
        """Decide by the head who answers."""
        self.head_complete, self.head_bytes = True, 0
        self.fast = None if self._is_busy() else self._fast_head()
        if self.fast is not None:
            self.parts.clear()
            return
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.headers, self.expect_100_continue = url, headers, expects
        self.scope["headers"] = headers
        super().on_headers_complete()
        if self.leaving:
            self.cycle.keep_alive = False

    def _fast_head(self) -> Head | None:
        method = self.parser.get_method()
        if method not in {b"POST", b"GET"} or self.expect_100_continue:
            return None
        target = httptools.parse_url(self.url)
        path = target.path.decode("ascii")
        if not (path in POSTED if method == b"POST" else path in ASKED):
            return None
        named = dict(self.headers)
        length = named.get(b"content-length", b"0" if method == b"GET" else b"")
        if b"transfer-encoding" in named or not length.isdigit():
            return None
        if int(length) > (FAST_BODY_BYTES_MAX if method == b"POST" else 0):
            return None
        if self.parser.should_upgrade():
            return None
        client = self.client[0] if self.client else ""
        caller = caller_of(self.headers, client, self.scheme or "http")
        query = (target.query or b"").decode("latin-1")
        return Head(method.decode(), path, query, caller)

    def on_body(self, body: bytes) -> None:
        """Gather the body of a request that is answered here."""
        if self.fast is None:
            super().on_body(body)
        else:
            self.parts.append(body)

    def on_message_complete(self) -> None:
        """Answer, or let the application answer."""
        self.between = True
        self.messages += 1
        if self.fast is None:
            super().on_message_complete()
            return
        version, keep = self.parser.get_http_version(), self.parser.should_keep_alive()
        keep = keep and version != "1.0" and not self.leaving
        self.unsent += 1
        self.shared.answer(self, self.fast, b"".join(self.parts), keep_alive=keep)

    def send(self, wire: bytes, *, keep_alive: bool = True) -> None:
        """Send the bytes of an answer."""
        self.unsent -= 1
        transport = self.transport
        if transport.is_closing():
            return
        transport.write(wire)
        if not keep_alive:
            transport.close()
        elif self.pipeline and not self.unsent:
            self._start_asgi_task(*self.pipeline.pop())

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        # Why wait: answers leave in the order of their requests.
        if self.unsent:
            self.flow.pause_reading()
            self.pipeline.append((cycle, app))
        else:
            super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        """Go on after an answer of the application."""
        self.heard_s = self.shared.now_s
        super().on_response_complete()

    def refuse(self, status: int, why: str) -> None:
        """Answer with one sentence and close."""
        if self.transport.is_closing():
            return
        self.shared.flush()
        retry = [("Retry-After", "5")] if status == TRY_AGAIN else []
        self.transport.write(wire_of(refusal(status, why, *retry), [], keep_alive=False))
        self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, after the answers to what was."""
        self.shared.flush()
        if not self.transport.is_closing():
            super().send_400_response(msg)

    def shutdown(self) -> None:
        """Close after the next answer, or soon when no request is on its way."""
        self.leaving = True
        if self._is_busy():
            super().shutdown()
        else:
            self.loop.call_later(self.shared.LEAVES_AFTER_S, self.close_if_idle)

    def close_if_idle(self) -> None:
        """Close unless something is being answered."""
        if not self.unsent and not self._is_busy() and not self.transport.is_closing():
            self.transport.close()

    @property
    def is_fast(self) -> bool:
        """Whether the request that is arriving is answered here."""
        return self.fast is not None

    @property
    def is_paused(self) -> bool:
        """Whether nothing is read because the application has not read what came."""
        return self.flow.read_paused

    def pause_writing(self) -> None:
        """Read nothing more from a client that does not read its answers."""
        super().pause_writing()
        self.flow.pause_reading()

    def resume_writing(self) -> None:
        """Go on reading."""
        super().resume_writing()
        self.flow.resume_reading()


def unfit_because(version: str, protocol: type) -> str:
    """Say why this server's protocol cannot carry the fast path; nothing when it can."""
    if not version.startswith(FIT_VERSION):
        return f"uvicorn {version} is installed, the fast path is made for {FIT_VERSION}*"
    gone = [name for name in _USED if not hasattr(protocol, name)]
    return f"uvicorn's protocol has no {', '.join(gone)}" if gone else ""


def protocol_of(connections: Connections) -> type[TagProtocol]:
    """Make the class of one server's connections."""
    return type("SharedTagProtocol", (TagProtocol,), {"shared": connections})
