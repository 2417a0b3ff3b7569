"""What really arrives: events with counts and times, traits with kinds and fill."""

from typing import Any, Final

import msgspec
from litestar import Request, get
from litestar.types import ControllerRouterHandler

from service.api.auth import Scope, needs

READ: Final = needs(Scope.AUDIENCES_READ, Scope.AUDIENCES_WRITE)


@get("/api/events/catalogue", guards=[READ], sync_to_thread=True)
def event_catalogue(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """List the event names with counts, first and last time."""
    found = request.app.state.engine.stores.asked_events.catalogue()
    return {"events": msgspec.to_builtins(found)}


@get("/api/traits", guards=[READ], sync_to_thread=True)
def list_traits(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """List all traits with their kind, holders and number of values."""
    found = request.app.state.engine.stores.traits.traits()
    return {"traits": msgspec.to_builtins(found)}


ROUTES: Final[tuple[ControllerRouterHandler, ...]] = (event_catalogue, list_traits)
