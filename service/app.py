"""The table of contents: every role of the service, and what each is made of.

`all` is one process on one port; `tag` processes open no database; one `engine` owns it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

from litestar import Litestar
from litestar.config.app import AppConfig
from litestar.datastructures import State
from litestar.openapi import OpenAPIConfig
from litestar.types import ControllerRouterHandler

from service.api import (
    audiences,
    customers,
    exports,
    health,
    identity,
    keys,
    lookalikes,
    operation,
    partners,
    personalise,
    privacy,
)
from service.api.auth import KeyRing
from service.api.errors import on_error
from service.engine.engine import Engine
from service.metrics import Balance
from service.tag.collect import Collector
from service.tag.routes import TagEndpoint
from service.tag.spool import Spool, SpoolSettings, writer_name
from service.tag.tag_state import TagStateFile
from service.tag.tokens import Keys
from service.web import pages

HOUSEKEEPING_S: Final = 0.25

API: Final[tuple[ControllerRouterHandler, ...]] = (
    *audiences.ROUTES,
    *customers.ROUTES,
    *exports.ROUTES,
    *identity.ROUTES,
    *keys.ROUTES,
    *lookalikes.ROUTES,
    *operation.ROUTES,
    *partners.ROUTES,
    *personalise.ROUTES,
    *privacy.ROUTES,
    *health.ENGINE_ROUTES,
    *pages.ROUTES,
)


class TagPart:
    """What a process needs to collect: published state, keys, its own writer in the spool."""

    def __init__(
        self,
        data: Path,
        *,
        worker: int,
        settings: SpoolSettings,
        balance: Balance,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.state_file = TagStateFile(data / "tag-state")
        self.state_file.refresh()
        self.keys = Keys.load_or_create(data / "keys.toml")
        self.spool = Spool(
            data / "spool", writer=writer_name(worker), settings=settings, clock=time.monotonic
        )
        self.collector = Collector(state=lambda: self.state_file.state, keys=self.keys)
        self.endpoint = TagEndpoint(
            collector=self.collector, spool=self.spool, balance=balance, clock=clock
        )

    async def keep_house(self) -> None:
        """Close old chunks and read new states, for ever."""
        while True:
            self.state_file.refresh()
            self.spool.close_old_chunk()
            await asyncio.sleep(HOUSEKEEPING_S)

    @asynccontextmanager
    async def running(self, _: Litestar) -> AsyncIterator[None]:
        """Keep house while the application serves; close the open chunk at the end."""
        task = asyncio.create_task(self.keep_house())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            self.spool.close()


def tag_app(part: TagPart, balance: Balance) -> Litestar:
    """Make the application of a tag process."""
    return _litestar(
        [part.endpoint.routes(), *health.TAG_ROUTES],
        state={"tag": part, "balance": balance, "engine": None},
        lifespan=[part.running],
    )


def engine_app(
    engine: Engine, part: TagPart, *, with_tag: bool, more: list[ControllerRouterHandler]
) -> Litestar:
    """Make the application of the engine; `with_tag` puts the tag's routes on the same port."""
    routes: list[ControllerRouterHandler] = [*API, *more]
    if with_tag:
        routes.append(part.endpoint.routes())
    ring = KeyRing(engine.stores.operation)
    return _litestar(
        routes,
        state={
            "tag": part,
            "balance": engine.balance,
            "engine": engine,
            "keys": ring,
        },
        lifespan=[part.running, engine.running],
    )


def _litestar(
    routes: list[ControllerRouterHandler], *, state: dict[str, Any], lifespan: list[Any]
) -> Litestar:
    return Litestar.from_config(
        AppConfig(
            route_handlers=routes,
            state=State(state),
            lifespan=lifespan,
            exception_handlers={Exception: on_error},
            openapi_config=OpenAPIConfig(title="Jumelle", version="1", path="/schema"),
            logging_config=None,
        )
    )
