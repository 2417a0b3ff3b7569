"""Lookalikes: a report before anything is saved, and an audience like any other after."""

from typing import Any, Final

import msgspec
from litestar import Request, Response, post, put
from litestar.types import ControllerRouterHandler

from audiences.lookalike import LookalikeRequest
from audiences.rule import Audience, Lookalike
from matching.people import Identity
from service.api.auth import Scope, needs
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
    report = engine.twins.find(asked, identity, engine.now_ms()).report
    return Response(msgspec.json.encode(report), media_type="application/json")


@put("/api/lookalikes/{key:str}", guards=[WRITE], sync_to_thread=True)
def save_lookalike(
    request: Request[Any, Any, Any], key: str, data: SaveLookalike
) -> dict[str, Any]:
    """Keep a lookalike as an audience and build it."""
    engine = request.app.state.engine
    identity: Identity = engine.stores.audiences.get(data.seed).audience.identity
    lookalike = msgspec.convert(
        {name: getattr(data, name) for name in Lookalike.__struct_fields__}, Lookalike
    )
    audience = Audience(key=key, name=data.name, lookalike=lookalike, identity=identity)
    with engine.changing:
        saved = engine.stores.audiences.save(audience, engine.now_ms())
        engine.define()
    report = engine.build(key)
    if report.status != "ok":
        raise Invalid(report.detail)
    return {"key": key, "version": saved.version, "size": report.size}


ROUTES: Final[tuple[ControllerRouterHandler, ...]] = (preview_lookalike, save_lookalike)
