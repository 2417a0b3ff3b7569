"""The table of contents: every role of the service, and what each is made of.

`all` is one process on one port; `tag` processes open no database (`tag_server.py`); one `engine`
owns it.
"""

from typing import Final

from litestar import Litestar
from litestar.types import ControllerRouterHandler

from service.api import (
    audiences,
    catalogue,
    cookies,
    customers,
    exports,
    health,
    identity,
    imports_of_events,
    imports_of_traits,
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
from service.tag.process import TagProcess
from service.tag_server import litestar_of
from service.web import pages

API: Final[tuple[ControllerRouterHandler, ...]] = (
    *audiences.ROUTES,
    *catalogue.ROUTES,
    *cookies.ROUTES,
    *customers.ROUTES,
    *exports.ROUTES,
    *identity.ROUTES,
    *imports_of_events.ROUTES,
    *imports_of_traits.ROUTES,
    *keys.ROUTES,
    *lookalikes.ROUTES,
    *operation.ROUTES,
    *partners.ROUTES,
    *personalise.ROUTES,
    *privacy.ROUTES,
    *health.ENGINE_ROUTES,
    *pages.ROUTES,
)


def engine_app(
    engine: Engine, part: TagProcess, *, with_tag: bool, more: list[ControllerRouterHandler]
) -> Litestar:
    """Make the application of the engine; `with_tag` puts the tag's routes on the same port."""
    ring = KeyRing(engine.stores.operation, admin_key=engine.environment.admin_key)
    return litestar_of(
        [*API, *more],
        state={
            "tag": part,
            "has_tag": with_tag,
            "balance": engine.balance,
            "engine": engine,
            "key_ring": ring,
        },
        lifespan=[part.running, engine.running],
        on_error=on_error,
    )
