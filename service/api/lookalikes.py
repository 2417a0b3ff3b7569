"""Lookalikes: a report before anything is saved, and an audience like any other after."""

from datetime import date
from typing import Any, Final

import msgspec
from litestar import Request, Response, get, post, put
from litestar.types import ControllerRouterHandler

from audiences.lookalike import Lookalike, LookalikeRequest, SeedTooSmall, SeedUnusable
from audiences.lookalikes.report import LookalikeReport, with_seats, without_small_groups
from audiences.lookalikes.request import DEFAULT_PERCENT, check_size
from audiences.rounding import shown
from audiences.rule import Audience
from matching.people import Identity
from service.api import lookalike_sketches
from service.api.audiences import NO_DETAIL
from service.api.auth import Scope, needs, sees_people
from service.api.errors import Conflict, Invalid, NotFound

WRITE: Final = needs(Scope.AUDIENCES_WRITE)


class SaveLookalike(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """A lookalike to keep as an audience; without any size it takes 5 percent."""

    name: str
    seed: str
    method: str = "auto"
    size: int | None = None
    percent: float | None = None
    likeness: float | None = None
    exclude: tuple[str, ...] = ()
    cut: date | None = None


@post(
    "/api/lookalikes/preview",
    guards=[needs(Scope.AUDIENCES_READ, Scope.AUDIENCES_WRITE)],
    status_code=200,
    sync_to_thread=True,
)
def preview_lookalike(request: Request[Any, Any, Any], body: bytes) -> Response[bytes]:
    """Find twins and report how well that works and whom each seat reaches; nothing is kept."""
    engine = request.app.state.engine
    asked = msgspec.json.decode(body, type=LookalikeRequest)
    identity = _identity(engine, asked.seed, asked.exclude)
    exact = sees_people(request)
    if asked.allow_small and not exact:
        raise Invalid("allow_small needs the scope people:read: small seeds tell of single people")
    try:
        found = engine.twins.find(asked, identity, engine.now_ms(), sees_people=exact)
    except (SeedTooSmall, SeedUnusable):
        if exact:
            raise
        raise SeedTooSmall(f"seed {asked.seed} has too few people, or leaves too few") from None
    report = with_seats(found.report, _reach(engine, identity, found))
    body = msgspec.json.encode(_shown(report, exact))
    return Response(body, media_type="application/json")


@put("/api/lookalikes/{key:str}", guards=[WRITE], sync_to_thread=True)
def save_lookalike(
    request: Request[Any, Any, Any], key: str, data: SaveLookalike
) -> dict[str, Any]:
    """Keep a lookalike as an audience and build it."""
    engine = request.app.state.engine
    lookalike = msgspec.to_builtins(data)
    defined = {"key": key, "name": lookalike.pop("name")}
    check_size(msgspec.convert(lookalike, LookalikeRequest))
    identity = _identity(engine, data.seed, data.exclude)
    if not {"size", "percent", "likeness"} & set(lookalike):
        lookalike["percent"] = DEFAULT_PERCENT
    audience = msgspec.convert({**defined, "identity": identity, "lookalike": lookalike}, Audience)
    with engine.changing:
        saved = engine.stores.audiences.save(audience, engine.now_ms())
        engine.define()
    report = engine.build(key)
    exact = sees_people(request)
    if report.status != "ok":
        raise Invalid(report.detail if exact else f"{key!r} was saved, not built; {NO_DETAIL}")
    answer = {"key": key, "version": saved.version, "size": shown(report.size, exact)}
    found = engine.twins.report(key)
    return answer if found is None else {**answer, "report": _shown(found, exact)}


@get(
    "/api/lookalikes/{key:str}",
    guards=[needs(Scope.AUDIENCES_READ, Scope.AUDIENCES_WRITE)],
    sync_to_thread=True,
)
def show_lookalike(request: Request[Any, Any, Any], key: str) -> Response[bytes]:
    """Give the report of a saved lookalike as it was last found."""
    engine = request.app.state.engine
    if engine.stores.audiences.get(key).audience.lookalike is None:
        raise NotFound(f"the audience {key!r} is no lookalike but has a rule of its own")
    found = engine.twins.report(key)
    if found is None:
        raise Conflict(f"the twins of {key!r} were not found since the start; build it first")
    body = msgspec.json.encode(_shown(found, sees_people(request)))
    return Response(body, media_type="application/json")


def _shown(report: LookalikeReport, exact: bool) -> LookalikeReport:
    return report if exact else without_small_groups(report)


def _identity(engine: Any, seed: str, exclude: tuple[str, ...]) -> Identity:
    """Give the seed's identity; seed and excluded audiences must be there."""
    for each in exclude:
        engine.stores.audiences.get(each)
    identity: Identity = engine.stores.audiences.get(seed).audience.identity
    return identity


def _reach(engine: Any, identity: Identity, found: Lookalike) -> list[dict[str, int]]:
    """Count for each point of the curve whom each seat could be sent."""
    people = engine.criteria.people(identity)
    return [
        {seat: count.people for seat, count in engine.reaches.reach(people, step).seats.items()}
        for step in found.ladder
    ]


ROUTES: Final[tuple[ControllerRouterHandler, ...]] = (
    preview_lookalike,
    save_lookalike,
    show_lookalike,
    *lookalike_sketches.ROUTES,
)
