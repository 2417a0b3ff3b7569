"""A browser's network, small: keep-alive HTTP/1.1 over asyncio; requests go in, answers come out.

Only what the demo's own service and stand-in speak: plain HTTP, answers with a content length.
A general client would cost more time than the service that it plays with.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final, TypeVar
from urllib.parse import urljoin, urlsplit

import msgspec
import uvloop

HEAD_BYTES_MAX: Final = 64 * 1024
WITHOUT_BODY: Final = frozenset({204, 304})
RETRIES_MAX: Final = 60
RETRY_PAUSE_S: Final = 0.5

T = TypeVar("T")


class DemoError(Exception):
    """The demo cannot go on; the message says what answered what."""


class Cookie(msgspec.Struct, frozen=True, kw_only=True):
    """One Set-Cookie line; `gone` says that the browser is to forget it."""

    name: str
    value: str
    gone: bool


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a server answered; `location` is absolute, empty without a redirect."""

    status: int
    location: str
    cookies: list[Cookie]
    body: bytes


class Connections:
    """One open connection per host, for one request at a time."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[asyncio.StreamReader, asyncio.StreamWriter]] = {}

    async def request(self, method: str, url: str, headers: str, body: bytes = b"") -> Answer:
        """Send one request; `headers` are whole lines, each ended by CRLF."""
        parts = urlsplit(url)
        target = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
        head = f"{method} {target} HTTP/1.1\r\nHost: {parts.netloc}\r\n{headers}"
        if method != "GET":
            head += f"Content-Length: {len(body)}\r\n"
        message = head.encode("latin-1") + b"\r\n" + body
        known = parts.netloc in self._open
        try:
            return await self._exchange(url, parts.netloc, message)
        except (ConnectionError, asyncio.IncompleteReadError) as error:
            await self._forget(parts.netloc)
            if not known:
                raise DemoError(f"{method} {url}: no answer ({error!r})") from error
        # Why: the server may close an idle connection just when it is used again.
        return await self._exchange(url, parts.netloc, message)

    async def send(self, url: str, headers: str, body: bytes) -> Answer:
        """Post what must be taken; a full spool answers 503 and is asked again."""
        for _ in range(RETRIES_MAX):
            answer = await self.request("POST", url, headers, body)
            if answer.status in {200, 204}:
                return answer
            if answer.status != 503:
                break
            await asyncio.sleep(RETRY_PAUSE_S)
        said = answer.body[:300].decode("utf-8", "replace")
        raise DemoError(f"POST {url}: answered {answer.status} {said}")

    async def close(self) -> None:
        """Close all connections."""
        for netloc in list(self._open):
            await self._forget(netloc)

    async def _exchange(self, url: str, netloc: str, message: bytes) -> Answer:
        if netloc not in self._open:
            host, _, port = netloc.rpartition(":")
            self._open[netloc] = await asyncio.open_connection(
                host, int(port), limit=HEAD_BYTES_MAX
            )
        reader, writer = self._open[netloc]
        writer.write(message)
        await writer.drain()
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        status = int(lines[0].split(" ", 2)[1])
        fields = [line.partition(":") for line in lines[1:] if line]
        named = {name.lower(): value.strip() for name, _, value in fields}
        length = 0 if status in WITHOUT_BODY else int(named.get("content-length", "0"))
        body = await reader.readexactly(length) if length else b""
        if named.get("connection", "").lower() == "close":
            await self._forget(netloc)
        location = named.get("location", "")
        return Answer(
            status=status,
            location=urljoin(url, location) if location else "",
            cookies=[_cookie(value) for name, _, value in fields if name.lower() == "set-cookie"],
            body=body,
        )

    async def _forget(self, netloc: str) -> None:
        _, writer = self._open.pop(netloc, (None, None))
        if writer is not None:
            writer.close()


def run_all(
    things: Iterable[T],
    work: Callable[[Connections, T], Coroutine[Any, Any, None]],
    at_once: int,
    on_progress: Callable[[int], None],
) -> None:
    """Do the work for each thing, some at a time, each worker with connections of its own."""
    waiting = iter(things)
    done = 0

    async def one_after_the_other() -> None:
        nonlocal done
        connections = Connections()
        try:
            for thing in waiting:
                await work(connections, thing)
                done += 1
                on_progress(done)
        finally:
            await connections.close()

    async def all_together() -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(one_after_the_other())

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(all_together())
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None


def _cookie(line: str) -> Cookie:
    pair, *attributes = (part.strip() for part in line.split(";"))
    name, _, value = pair.partition("=")
    gone = any(attribute.lower() == "max-age=0" for attribute in attributes)
    return Cookie(name=name, value=value, gone=gone)
