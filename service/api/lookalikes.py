"""Lookalikes: a report before anything is saved, and an audience like any other after."""

from typing import Any, Final

import msgspec
from litestar import Request, Response, post, put
from litestar.types import ControllerRouterHandler

from audiences.lookalike import LookalikeRequest, SeedTooSmall, SeedUnusable
from audiences.lookalike_report import without_small_groups
from audiences.rounding import shown
from audiences.rule import Audience
from matching.people import Identity
from service.api.audiences import NO_DETAIL
from service.api.auth import Scope, needs, sees_people
from service.api.errors import Invalid

WRITE: Final = needs(Scope.AUDIENCES_WRITE)


class SaveLookalike(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A lookalike to keep as an audience."""

    name: str
    seed: str
    method: str = "auto"
    size: int | None = None
    percent: float | None = None
    exclude: tuple[str, ...] = ()


@post(
    "/api/lookalikes/preview",
    guards=[needs(Scope.AUDIENCES_READ, Scope.AUDIENCES_WRITE)],
    status_code=200,
    sync_to_thread=True,
)
def preview_lookalike(request: Request[Any, Any, Any], body: bytes) -> Response[bytes]:
    """Find twins and report how well that works; nothing is kept."""
    engine = request.app.state.engine
    asked = msgspec.json.decode(body, type=LookalikeRequest)
    identity = engine.stores.audiences.get(asked.seed).audience.identity
    exact = sees_people(request)
    try:
        report = engine.twins.find(asked, identity, engine.now_ms()).report
    except (SeedTooSmall, SeedUnusable):
        if exact:
            raise
        raise SeedTooSmall(f"seed {asked.seed} has too few people, or leaves too few") from None
    report = report if exact else without_small_groups(report)
    return Response(msgspec.json.encode(report), media_type="application/json")


@put("/api/lookalikes/{key:str}", guards=[WRITE], sync_to_thread=True)
def save_lookalike(
    request: Request[Any, Any, Any], key: str, data: SaveLookalike
) -> dict[str, Any]:
    """Keep a lookalike as an audience and build it."""
    engine = request.app.state.engine
    identity: Identity = engine.stores.audiences.get(data.seed).audience.identity
    lookalike = msgspec.to_builtins(data)
    defined = {"key": key, "name": lookalike.pop("name"), "identity": identity}
    audience = msgspec.convert({**defined, "lookalike": lookalike}, Audience)
    with engine.changing:
        saved = engine.stores.audiences.save(audience, engine.now_ms())
        engine.define()
    report = engine.build(key)
    exact = sees_people(request)
    if report.status != "ok":
        raise Invalid(report.detail if exact else f"{key!r} was saved, not built; {NO_DETAIL}")
    return {"key": key, "version": saved.version, "size": shown(report.size, exact)}


ROUTES: Final[tuple[ControllerRouterHandler, ...]] = (preview_lookalike, save_lookalike)
