"""What all connections of a tag process share: the answers not yet kept, limits, the clock.

Requests come in from the protocol; their answers go back once one write has kept the records of
all that came in the same pass of the loop. A sweep closes connections that are idle or too slow.
"""

import asyncio
import logging
from typing import Final, Protocol

from uvicorn.server import ServerState

from service.tag.collect import Outcome
from service.tag.endpoint import TagEndpoint
from service.tag.request import TagAnswer, TagRequest
from service.tag.routes import handle

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

    def send_answer(
        self, answer: TagAnswer | None, defaults: list[tuple[bytes, bytes]], *, keep_alive: bool
    ) -> None:
        """Send an answer with the server's own headers; None when making it failed."""

    def refuse(self, status: int, why: str) -> None:
        """Answer with one sentence and close."""

    def close_if_idle(self) -> None:
        """Close unless something is being answered."""


Pending = tuple[Connection, Outcome | None, bool]
"""A connection, what was decided (None when that failed), and whether it stays open."""


class Connections:
    """Answers requests in batches, one for each pass of the loop."""

    LEAVES_AFTER_S: Final = 0.5

    def __init__(self, endpoint: TagEndpoint, *, connections_max: int) -> None:
        self._endpoint = endpoint
        self._connections_max = connections_max
        self._pending: list[Pending] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._last_wait: asyncio.Task[None] | None = None
        self._open: set[Connection] = set()
        self.now_s = 0.0
        """A clock in whole sweeps: fine enough to judge idleness, and free to read."""

    def now_us(self) -> int:
        """Give the moment of receipt in microseconds."""
        return int(self._endpoint.clock() * 1_000_000)

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

    def answer(self, connection: Connection, request: TagRequest, *, keep_alive: bool) -> None:
        """Decide a request; its answer leaves when the records of this pass are kept."""
        outcome: Outcome | None
        try:
            outcome = handle(self._endpoint.collector, request)
        except Exception:  # one request must not end the answers to others
            log.exception("a request could not be answered")
            outcome = None
        if not self._pending:
            self._running_loop().call_soon(self.flush)
        self._pending.append((connection, outcome, keep_alive))
        if len(self._pending) >= PENDING_MAX:
            self.flush()

    def flush(self) -> None:
        """Keep what was decided since the last pass, and send the answers."""
        pending, self._pending = self._pending, []
        if not pending:
            return
        outcomes = [outcome for _, outcome, _ in pending if outcome is not None]
        answers = self._endpoint.keeper.append(outcomes)
        if self._endpoint.keeper.waits_for_disk:
            waits = self._send_later(pending, outcomes, answers, self._last_wait)
            self._last_wait = self._running_loop().create_task(waits)
        else:
            _send(pending, answers)

    async def _send_later(
        self,
        pending: list[Pending],
        outcomes: list[Outcome],
        answers: list[TagAnswer],
        before: asyncio.Task[None] | None,
    ) -> None:
        answers = await self._endpoint.keeper.kept(outcomes, answers)
        if before is not None:
            await before  # answers leave in the order of their requests
        _send(pending, answers)

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


def _send(pending: list[Pending], answers: list[TagAnswer]) -> None:
    kept = iter(answers)
    defaults = pending[0][0].server_state.default_headers
    for connection, outcome, keep_alive in pending:
        answer = None if outcome is None else next(kept)
        try:
            connection.send_answer(answer, defaults, keep_alive=keep_alive)
        except Exception:  # a connection that cannot be written to must not silence the others
            log.exception("an answer could not be sent")
