"""What really arrives: events with counts and times, traits with kinds and fill.

Without `people:read` counts are rounded, and where one is hidden nothing else counts either.
"""

from typing import Any, Final

import msgspec
from litestar import Request, get
from litestar.types import ControllerRouterHandler

from audiences.rounding import HIDDEN_BELOW, shown
from audiences.trait_store import TraitInfo
from service.api.auth import Scope, needs, sees_people

READ: Final = needs(Scope.AUDIENCES_READ, Scope.AUDIENCES_WRITE)


@get("/api/events/catalogue", guards=[READ], sync_to_thread=True)
def event_catalogue(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """List the event names with counts, first and last time."""
    found = request.app.state.engine.stores.asked_events.catalogue()
    exact = sees_people(request)
    rows = [{**msgspec.to_builtins(each), "count": shown(each.count, exact)} for each in found]
    return {"events": rows}


@get("/api/traits", guards=[READ], sync_to_thread=True)
def list_traits(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """List all traits with their kind, holders and number of values."""
    found = request.app.state.engine.stores.traits.traits()
    return {"traits": [_shown(each, sees_people(request)) for each in found]}


def _shown(trait: TraitInfo, exact: bool) -> dict[str, Any]:
    """Show a trait; as many values as holders would count the holders."""
    plain: dict[str, Any] = msgspec.to_builtins(trait)
    if exact:
        return plain
    holders = shown(trait.holders, exact)
    values = trait.values if trait.values < HIDDEN_BELOW else shown(trait.values, exact)
    return plain | {"holders": holders, "values": None if holders is None else values}


ROUTES: Final[tuple[ControllerRouterHandler, ...]] = (event_catalogue, list_traits)
