"""What all connections of a tag process share: the answers not yet kept, limits, the clock.

Requests come in from the protocol; their answers go back once one write has kept the records of
all that came in the same pass of the loop. A sweep closes connections that are idle or too slow.
"""

import asyncio
import logging
from typing import Final, Protocol

from uvicorn.server import ServerState

from service.tag.endpoint import TagEndpoint
from service.tag.glance import keep_at_a_glance, keep_pixel_at_a_glance
from service.tag.keeper import try_again
from service.tag.known_heads import Head, KnownHead
from service.tag.known_senders import pixel_sender_at, sender_at
from service.tag.pixel import PLAIN_PIXEL
from service.tag.record import Kind, stamp_of
from service.tag.request import TagAnswer, TagRequest, fields_of
from service.tag.routes import handle
from service.tag.spool import SpoolFull
from service.tag.steps import DropReason
from service.tag.tag_state import TagState
from service.tag.wire import FAULT, wire_of

HEAD_BYTES_MAX: Final = 64 * 1024
KEEP_ALIVE_S: Final = 65
PAUSE_S_MAX: Final = 15
"""How long nothing may come of a request that has begun."""
HEAD_S_MAX: Final = 15
BODY_S_MAX: Final = 60
UPLOAD_S_MAX: Final = 600
"""How long the body of a batch or an import may take."""
SWEEP_S: Final = 1.0
PENDING_MAX: Final = 512

log: Final = logging.getLogger("jumelle.tag")


class Connection(Protocol):
    """What is needed of one connection."""

    between: bool
    head_complete: bool
    begun_s: float
    heard_s: float
    unsent: int

    @property
    def is_fast(self) -> bool:
        """Whether the request that is arriving is answered here."""

    @property
    def is_paused(self) -> bool:
        """Whether nothing is read because the application has not read what came."""

    server_state: ServerState

    def send(self, wire: bytes, *, keep_alive: bool = True) -> None:
        """Send the bytes of an answer."""

    def refuse(self, status: int, why: str) -> None:
        """Answer with one sentence and close."""

    def close_if_idle(self) -> None:
        """Close unless something is being answered."""


Pending = tuple[Connection, TagAnswer | None, bool, bool]
"""A connection, its answer (None when making that failed), whether records stand behind it, and
whether the connection stays open."""


class Connections:
    """Answers requests in batches, one for each pass of the loop."""

    LEAVES_AFTER_S: Final = 0.5

    def __init__(self, endpoint: TagEndpoint, *, connections_max: int) -> None:
        self._endpoint = endpoint
        self._collector = endpoint.collector
        self._connections_max = connections_max
        self._pending: list[Pending] = []
        self._records: list[bytes] = []
        self._dropped: list[DropReason] = []
        self._has_begun = False
        """Whether a request of this pass was heard; its requests share a state and a moment."""
        self._state: TagState | None = None
        self._received_us = self._received_s = 0
        self._stamp = b""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._last_wait: asyncio.Task[None] | None = None
        self._open: set[Connection] = set()
        self.now_s = 0.0
        """A clock in whole sweeps: fine enough to judge idleness, and free to read."""

    def opened(self, connection: Connection) -> None:
        """Begin to watch a connection."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._sweep_again()
        self._open.add(connection)

    def closed(self, connection: Connection) -> None:
        """Watch it no more."""
        self._open.discard(connection)

    def has_room(self) -> bool:
        """Tell whether the newest connection may stay."""
        return len(self._open) <= self._connections_max

    def answer_at_a_glance(self, connection: Connection, known: KnownHead, body: bytes) -> bool:
        """Answer a common request of a known head; False leaves it to `answer`."""
        if not self._has_begun:
            self._begin()
        sender = known.sender
        if sender is None or sender.state is not self._state:
            sender = sender_at(self._collector, known, now_s=self._received_s)
            if sender is None:
                return False
        try:
            answer: TagAnswer | None = sender.plain_answer
            if self._received_s > sender.quiet_until_s:
                answer = self._collector.answer_to_known(sender, self._received_s)
            stamp, kept = self._stamp, self._records
            if not answer or not keep_at_a_glance(self._collector, sender, body, stamp, kept):
                return False
        except Exception:  # the long way is still there
            log.exception("a request could not be judged at a glance")
            return False
        self._add(connection, answer, has_records=True)
        return True

    def answer_pixel_at_a_glance(
        self, connection: Connection, known: KnownHead, query: str
    ) -> bool:
        """Answer a pixel of a known head; False leaves it to `answer`."""
        if not self._has_begun:
            self._begin()
        fields = fields_of(query)
        sender = known.sender
        if sender is None or sender.state is not self._state:
            sender = pixel_sender_at(self._collector, known, fields.get("key", ""))
        if sender is None or sender.site.write_key != fields.get("key"):
            known.sender = None
            return False
        if self._received_s > sender.quiet_until_s:
            return False
        stamp, kept = self._stamp, self._records
        try:
            if not keep_pixel_at_a_glance(self._collector, sender, fields, stamp, kept):
                return False
        except Exception:  # the long way is still there
            log.exception("a request could not be judged at a glance")
            return False
        self._add(connection, PLAIN_PIXEL, has_records=True)
        return True

    def answer(self, connection: Connection, head: Head, body: bytes, *, keep_alive: bool) -> None:
        """Decide a request; its answer leaves when the records of this pass are kept."""
        if not self._has_begun:
            self._begin()
        request = TagRequest(
            method=head.method,
            path=head.path,
            query=head.query,
            caller=head.caller,
            body=body,
            received_us=self._received_us,
        )
        try:
            outcome = handle(self._collector, request)
        except Exception:  # one request must not end the answers to others
            log.exception("a request could not be answered")
            self._add(connection, None, has_records=False, keep_alive=keep_alive)
            return
        self._records += outcome.records
        self._dropped += outcome.dropped
        has_records = bool(outcome.records)
        self._add(connection, outcome.answer, has_records=has_records, keep_alive=keep_alive)

    def _add(
        self,
        connection: Connection,
        answer: TagAnswer | None,
        *,
        has_records: bool,
        keep_alive: bool = True,
    ) -> None:
        self._pending.append((connection, answer, has_records, keep_alive))
        if len(self._pending) >= PENDING_MAX:
            self.flush()

    def _begin(self) -> None:
        endpoint = self._endpoint
        self._has_begun = True
        self._state = self._collector.state
        self._received_us = int(endpoint.clock() * 1_000_000)
        self._received_s = self._received_us // 1_000_000
        self._stamp = stamp_of(Kind.MESSAGE, self._received_us)
        self._running_loop().call_soon(self.flush)

    def flush(self) -> None:
        """Keep what was decided since the last pass, and send the answers."""
        self._has_begun = False
        pending, self._pending = self._pending, []
        records, self._records = self._records, []
        dropped, self._dropped = self._dropped, []
        if not pending:
            return
        keeper = self._endpoint.keeper
        problem = keeper.keep(records, dropped)
        if keeper.waits_for_disk:
            waits = self._send_later(pending, problem, self._last_wait)
            self._last_wait = self._running_loop().create_task(waits)
        else:
            _send(pending, problem)

    async def _send_later(
        self,
        pending: list[Pending],
        problem: SpoolFull | None,
        before: asyncio.Task[None] | None,
    ) -> None:
        problem = problem or await self._endpoint.keeper.kept()
        if before is not None:
            await before  # answers leave in the order of their requests
        _send(pending, problem)

    def sweep(self, now_s: float) -> None:
        """Close what is idle, and refuse what takes too long to say what it wants."""
        self.now_s = now_s
        for each in list(self._open):
            if each.between:
                if now_s - each.heard_s > KEEP_ALIVE_S:
                    each.close_if_idle()
            elif not each.is_paused and _is_too_slow(each, now_s):
                each.refuse(408, "the request took too long to arrive")

    def _sweep_again(self) -> None:
        loop = self._running_loop()
        self.sweep(loop.time())
        loop.call_later(SWEEP_S, self._sweep_again)

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop or asyncio.get_running_loop()


def _is_too_slow(connection: Connection, now_s: float) -> bool:
    if not connection.head_complete:
        longest_s = HEAD_S_MAX
    else:
        longest_s = BODY_S_MAX if connection.is_fast else UPLOAD_S_MAX
    silent_s, since_s = now_s - connection.heard_s, now_s - connection.begun_s
    return silent_s > PAUSE_S_MAX or since_s > longest_s


def _send(pending: list[Pending], problem: SpoolFull | None) -> None:
    defaults = pending[0][0].server_state.default_headers
    last: TagAnswer | None = None
    wire = b""
    for connection, answer, has_records, keep_alive in pending:
        try:
            if problem is not None and has_records and answer is not None:
                answer = try_again(answer, problem)  # noqa: PLW2901 - it is sent in its place
            if not keep_alive or answer is None:
                connection.send(
                    wire_of(answer or FAULT, defaults, keep_alive=False), keep_alive=False
                )
                continue
            if answer is not last:  # most answers of a pass are one
                last, wire = answer, wire_of(answer, defaults, keep_alive=True)
            connection.send(wire)
        except Exception:  # a connection that cannot be written to must not silence the others
            log.exception("an answer could not be sent")
