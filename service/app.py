"""The table of contents: every role of the service, and what each is made of.

`all` is one process on one port; `tag` processes open no database; one `engine` owns it.
"""

from typing import Any, Final

from litestar import Litestar
from litestar.datastructures import State
from litestar.openapi import OpenAPIConfig
from litestar.types import ControllerRouterHandler

from service.api import (
    audiences,
    catalogue,
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
from service.tag.process import TagProcess
from service.tag.routes import is_tag_path
from service.web import pages

API_BODY_BYTES_MAX: Final = 64 * 1024 * 1024

API: Final[tuple[ControllerRouterHandler, ...]] = (
    *audiences.ROUTES,
    *catalogue.ROUTES,
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


def tag_app(part: TagProcess, balance: Balance) -> Litestar:
    """Make the application of a tag process."""
    return _litestar(
        list(health.TAG_ROUTES),
        state={"tag": part, "has_tag": True, "balance": balance, "engine": None},
        lifespan=[part.running],
    )


def engine_app(
    engine: Engine, part: TagProcess, *, with_tag: bool, more: list[ControllerRouterHandler]
) -> Litestar:
    """Make the application of the engine; `with_tag` puts the tag's routes on the same port."""
    ring = KeyRing(engine.stores.operation)
    return _litestar(
        [*API, *more],
        state={
            "tag": part,
            "has_tag": with_tag,
            "balance": engine.balance,
            "engine": engine,
            "key_ring": ring,
        },
        lifespan=[part.running, engine.running],
    )


def _litestar(
    routes: list[ControllerRouterHandler], *, state: dict[str, Any], lifespan: list[Any]
) -> Litestar:
    return Service(
        route_handlers=routes,
        state=State(state),
        lifespan=lifespan,
        exception_handlers={Exception: on_error},
        openapi_config=OpenAPIConfig(title="Jumelle", version="1", path="/schema"),
        logging_config=None,
        request_max_body_size=API_BODY_BYTES_MAX,
    )
