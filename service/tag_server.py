"""Serves an application, and the tag's processes: one port shared by several of them.

A tag process opens no database and loads nothing of the engine. What the application answers
besides the tag's own paths is handed in.
"""

import gc
import logging
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import uvicorn
from litestar import Litestar, Request, Response
from litestar.datastructures import MutableScopeHeaders, State
from litestar.openapi import OpenAPIConfig
from litestar.types import ControllerRouterHandler, Message, Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.api import health
from service.logs import configure_logging, fields
from service.metrics import Balance, BalanceOf
from service.tag.connections import Connections
from service.tag.process import TagProcess
from service.tag.protocol import protocol_of, unfit_because
from service.tag.routes import is_tag_path
from service.tag.spool import SpoolSettings

API_BODY_BYTES_MAX: Final = 64 * 1024 * 1024
API_PATHS: Final = "/api/"
KEEP_ALIVE_S: Final = 65
OPEN_FILES_MAX: Final = 65_536
FILES_OF_OURS: Final = 24
"""Files that a tag process needs besides its connections; so many connections fewer are taken."""
HTTP_VARIABLE: Final = "JUMELLE_HTTP"
"""`routes` serves the tag by its ASGI routes alone."""
PARENT_SEEN_EVERY_S: Final = 1.0
WORKERS_SEEN_EVERY_S: Final = 0.5

log: Final = logging.getLogger("jumelle.serve")
OnError = Callable[[Request[Any, Any, Any], Exception], Response[bytes]]


class Service(Litestar):
    """The application: the tag's paths are answered before the router, all others by it.

    Why before: they are nearly all requests, and routing costs more than answering them.
    """

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request or lifespan event."""
        if scope["type"] == "http" and self.state.has_tag and is_tag_path(scope["path"]):
            await self.state.tag.endpoint(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def litestar_of(
    routes: list[ControllerRouterHandler],
    *,
    state: dict[str, Any],
    lifespan: list[Any],
    on_error: OnError | None = None,
) -> Litestar:
    """Make an application of these routes."""
    return Service(
        route_handlers=routes,
        state=State(state),
        lifespan=lifespan,
        exception_handlers={Exception: on_error} if on_error else {},
        openapi_config=OpenAPIConfig(title="Jumelle", version="1", path="/schema"),
        logging_config=None,
        request_max_body_size=API_BODY_BYTES_MAX,
        before_send=[forbid_storing],
    )


async def forbid_storing(message: Message, scope: Scope) -> None:
    """Say of every answer of the API, refusals too, that nothing may keep it."""
    if message["type"] == "http.response.start" and scope["path"].startswith(API_PATHS):
        headers = MutableScopeHeaders.from_message(message)
        headers["Cache-Control"] = "no-store"


def tag_app(part: TagProcess, balance: Balance) -> Litestar:
    """Make the application of a tag process."""
    return litestar_of(
        list(health.TAG_ROUTES),
        state={"tag": part, "has_tag": True, "balance": balance, "engine": None},
        lifespan=[part.running],
    )


def serve_tag(
    data: Path,
    spool: SpoolSettings,
    *,
    host: str,
    port: int,
    workers: int,
    own: int,
    parent: int,
) -> None:
    """Serve the tag as worker `own`; the first one starts the others, which end without it."""
    others = Workers(host, port, count=workers if own == 0 else 1)
    balance = Balance(BalanceOf.DOOR)
    part = TagProcess(data, worker=own, settings=spool, balance=balance)
    log.info("serving", extra=fields(role="tag", worker=own, url=f"http://{host}:{port}"))
    # Why: what is alive now stays for ever, and a request makes no cycles; collecting seldom is
    # worth one or two parts in a hundred.
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    try:
        run_server(tag_app(part, balance), host=host, port=port, share_port=True, parent=parent)
    finally:
        others.stop()


class Workers:
    """The other tag processes of a port; one that ends by itself is started again."""

    def __init__(self, host: str, port: int, *, count: int) -> None:
        self._command = [sys.executable, "-m", "service.cli", "serve", "--role", "tag"]
        # Why told: a worker that asks later whose child it is may have lost its parent already.
        self._command += ["--host", host, "--tag-port", str(port), "--parent", str(os.getpid())]
        self._running = {number: self._start(number) for number in range(1, count)}
        self._stopping = threading.Event()
        self._watch = threading.Thread(target=self._keep_running, daemon=True)
        self._watch.start()

    def stop(self) -> None:
        """End all and wait for them."""
        self._stopping.set()
        self._watch.join()
        for each in self._running.values():
            each.terminate()
        for each in self._running.values():
            each.wait()

    def _keep_running(self) -> None:
        while not self._stopping.wait(WORKERS_SEEN_EVERY_S):
            for number, process in self._running.items():
                if process.poll() is None:
                    continue
                told = fields(worker=number, code=process.returncode)
                log.error("a tag process ended and is started again", extra=told)
                self._running[number] = self._start(number)

    def _start(self, number: int) -> "subprocess.Popen[bytes]":
        command = [*self._command, "--worker", str(number)]
        return subprocess.Popen(command)  # noqa: S603 - our own program


def run_server(
    app: Litestar,
    *,
    host: str,
    port: int,
    share_port: bool = False,
    parent: int = 0,
) -> None:
    """Serve until SIGTERM or Ctrl-C, or until the process `parent` is gone."""
    configure_logging()
    settings_ = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=http_protocol(app),
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        ws="none",
        backlog=2048,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=10,
    )
    sockets = [_shared_socket(host, port)] if share_port else None
    server = uvicorn.Server(settings_)
    if parent:
        threading.Thread(target=_stop_without, args=(parent, server), daemon=True).start()
    # Why: the server listens for signals a moment from now, and one that comes before must end it
    # too; and it raises its signal again once it has answered everybody.
    signal.signal(signal.SIGTERM, lambda *_: setattr(server, "should_exit", True))
    with suppress(KeyboardInterrupt):
        server.run(sockets=sockets)


def http_protocol(app: Litestar) -> Any:
    """Give the fast path's protocol, or the plain one where that is wanted or must be."""
    if not app.state.has_tag or os.environ.get(HTTP_VARIABLE) == "routes":
        return "httptools"
    why = unfit_because(uvicorn.__version__, HttpToolsProtocol)
    if why:
        log.warning("the tag is served by its routes alone", extra=fields(why=why))
        return "httptools"
    files_max = raise_open_files()
    shared = Connections(app.state.tag.endpoint, connections_max=files_max - FILES_OF_OURS)
    return protocol_of(shared)


def raise_open_files() -> int:
    """Allow as many open files as the machine lets this process have, and give that number."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(hard, OPEN_FILES_MAX) if hard > 0 else OPEN_FILES_MAX
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return max(soft, wanted)


def _stop_without(parent: int, server: uvicorn.Server) -> None:
    """Stop when the process that started this one is gone: nobody else would."""
    while os.getppid() == parent:
        time.sleep(PARENT_SEEN_EVERY_S)
    server.should_exit = True


def _shared_socket(host: str, port: int) -> socket.socket:
    shared = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    shared.bind((host, port))
    return shared
