"""Partners and how well their syncs come back."""

from typing import Any, Final

from litestar import Request, get
from litestar.types import ControllerRouterHandler

from matching.partner_ids_store import DAY_MS
from matching.sync_url import callback_url
from service.api.auth import Scope, needs

HEALTH_DAYS: Final = 30


@get("/api/partners", guards=[needs(Scope.AUDIENCES_READ, Scope.OPERATION)], sync_to_thread=True)
def list_partners(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """List the partners that are switched on, with offers and answers of the last 30 days."""
    engine = request.app.state.engine
    since_ms = engine.now_ms() - HEALTH_DAYS * DAY_MS
    health = {each.partner: each for each in engine.stores.partner_ids.health(since_ms=since_ms)}
    base = engine.config.service.public_url or str(request.base_url).rstrip("/")
    shown = []
    for partner in engine.config.partners:
        found = health.get(partner.key)
        shown.append(
            {
                "key": partner.key,
                "name": partner.name,
                "id_space": partner.id_space,
                "offered": found.offered if found else 0,
                "returned": found.returned if found else 0,
                "refused": found.refused if found else 0,
                "fan_out": found.fan_out if found else 0,
                "match_rate": found.match_rate if found else 0.0,
                "last_returned": found.last_returned_ms if found else None,
                "callback": callback_url(partner, base=base, token=""),
            }
        )
    return {"partners": shown}


ROUTES: Final[tuple[ControllerRouterHandler, ...]] = (list_partners,)
