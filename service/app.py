"""The table of contents: every role of the service, and what each is made of.

`all` is one process on one port; `tag` processes open no database; one `engine` owns it.
"""

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
from service.tag.process import TagProcess
from service.web import pages

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


def tag_app(part: TagProcess, balance: Balance) -> Litestar:
    """Make the application of a tag process."""
    return _litestar(
        [part.endpoint.routes(), *health.TAG_ROUTES],
        state={"tag": part, "balance": balance, "engine": None},
        lifespan=[part.running],
    )


def engine_app(
    engine: Engine, part: TagProcess, *, with_tag: bool, more: list[ControllerRouterHandler]
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
