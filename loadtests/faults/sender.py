"""Sends messages and remembers each by name: sent, acknowledged, refused, or never answered.

As an SDK would, it sends half of what was not acknowledged again; the other half it gives up.
"""

import asyncio
import json
import threading
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from random import Random
from typing import Final, NamedTuple

from faults.house import SERVER_KEY, House
from faults.messages import AGENT, message_of, name_of

ANSWER_WAITS_S: Final = 60.0
PAUSE_S: Final = 0.05
BEHIND_S_MAX: Final = 5.0
MESSAGES_A_REQUEST: Final = 5


class Answer(NamedTuple):
    """What came back; `status` 0 means no answer, and `why` how the connection ended."""

    status: int
    retry_after: bool = False
    why: str = ""


class Log:
    """All that is known of what was sent."""

    def __init__(self) -> None:
        self.sent: set[str] = set()
        self.acknowledged: set[str] = set()
        self.statuses: Counter[int] = Counter()
        self.broken: Counter[str] = Counter()
        self.without_retry_after = 0
        self.latencies: list[tuple[float, float]] = []
        """When each answer came, and after how many seconds."""

    def told(self, names: list[str], answer: Answer, seconds: float) -> None:
        """Remember an answer."""
        self.statuses[answer.status] += 1
        self.latencies.append((time.monotonic(), seconds))
        if answer.status in {200, 204}:
            self.acknowledged.update(names)
        elif answer.status == 503 and not answer.retry_after:
            self.without_retry_after += 1
        elif not answer.status:
            self.broken[answer.why] += 1

    def quantile(self, share: float, *, since: float = 0, until: float = float("inf")) -> float:
        """Give the milliseconds within which this share of the answers came."""
        found = sorted(taken for at, taken in self.latencies if since <= at < until)
        return found[min(len(found) - 1, int(share * len(found)))] * 1000 if found else 0.0


class Connection:
    """One kept-alive connection to a target."""

    def __init__(self) -> None:
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._port = 0

    async def request(self, port: int, head: str, body: bytes) -> Answer:
        """Send one request, once; an answer that does not come is an answer too."""
        try:
            async with asyncio.timeout(ANSWER_WAITS_S):
                return await self._exchange(port, head, body)
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as problem:
            self.close()
            return Answer(0, why=type(problem).__name__)

    def close(self) -> None:
        """Let the connection go."""
        if self._streams:
            self._streams[1].close()
        self._streams = None

    async def _exchange(self, port: int, head: str, body: bytes) -> Answer:
        if self._port != port:
            self.close()
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", port)
            self._port = port
        reader, writer = self._streams
        size = f"Host: 127.0.0.1:{port}\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(f"{head}{size}".encode() + body)
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
        fields = dict(line.partition(": ")[::2] for line in lines[1:] if line)
        await reader.readexactly(int(fields.get("content-length", "0")))
        if fields.get("connection") == "close":
            self.close()
        return Answer(int(lines[0].split(" ")[1]), retry_after="retry-after" in fields)


class Sender:
    """Some browsers and servers that send to whatever ports are among `targets`."""

    def __init__(self, house: House, *, targets: list[int], rate: float, at_once: int = 8) -> None:
        series = house.folder.name
        self.targets = targets
        self._cookies = house.cookies()
        self.log = Log()
        self._series = series
        self._pause_s = at_once * MESSAGES_A_REQUEST / rate
        self._at_once = at_once
        self._numbers = count()
        self._random = Random(series)
        self._stopped = threading.Event()

    @contextmanager
    def sending(self) -> Iterator[Log]:
        """Send until the end of the block, in a thread; wait for the last answers."""
        thread = threading.Thread(target=lambda: asyncio.run(self._send_all()))
        thread.start()
        try:
            yield self.log
        finally:
            self._stopped.set()
            thread.join()

    def sends(self, requests: int) -> Log:
        """Send so many requests, one after the other."""

        async def some() -> None:
            connection = Connection()
            for _ in range(requests):
                await self._send(connection)
            connection.close()

        asyncio.run(some())
        return self.log

    async def _send_all(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(self._at_once):
                group.create_task(self._go_on_sending())

    async def _go_on_sending(self) -> None:
        connection = Connection()
        due = time.monotonic() + self._random.random() * self._pause_s
        while not self._stopped.is_set():
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            await self._send(connection, due=due)
            # Why from when it was due: who waits for a late answer must not send less meanwhile.
            due = max(due + self._pause_s, time.monotonic() - BEHIND_S_MAX)
        connection.close()

    async def _send(self, connection: Connection, *, due: float = 0) -> None:
        names = [name_of(self._series, next(self._numbers)) for _ in range(MESSAGES_A_REQUEST)]
        self.log.sent.update(names)
        head, body = request_of(
            names, kind=self._random.randrange(5), cookie=self._random.choice(self._cookies)
        )
        must_repeat = self._random.random() < 0.5
        begin = due or time.monotonic()
        while True:
            answer = Answer(0, why="nobody there")
            if self.targets:
                answer = await connection.request(self._random.choice(self.targets), head, body)
            self.log.told(names, answer, time.monotonic() - begin)
            if answer.status in {200, 204} or not must_repeat or self._stopped.is_set():
                return
            await asyncio.sleep(PAUSE_S)
            begin = time.monotonic()


def request_of(names: list[str], *, kind: int, cookie: str) -> tuple[str, bytes]:
    """Give a request: of a browser's tag (kind 0), of a server that names customers, of an SDK."""
    if kind == 0:
        text = json.dumps([message_of(name) for name in names])
        return _head("/t?key=demo", f"text/plain\r\nCookie: {cookie}", key=""), text.encode()
    customers = [f"customer {name[-1]}" if kind == 1 else "" for name in names]
    batch = [
        message_of(name, customer=customer) for name, customer in zip(names, customers, strict=True)
    ]
    key = SERVER_KEY if kind == 1 else "demo"
    return _head("/v1/batch", "application/json", key=key), json.dumps({"batch": batch}).encode()


def _head(path: str, type_: str, *, key: str) -> str:
    head = f"POST {path} HTTP/1.1\r\nUser-Agent: {AGENT}\r\nContent-Type: {type_}\r\n"
    if key:
        head += f"Authorization: Basic {b64encode(f'{key}:'.encode()).decode()}\r\n"
    return head
