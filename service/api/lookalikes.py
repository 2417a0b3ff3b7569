"""Lookalikes: a report before anything is saved, and an audience like any other after."""

from collections.abc import Sequence
from datetime import date
from typing import Annotated, Any, Final

import msgspec
from litestar import Request, Response, get, post, put
from litestar.params import Parameter
from litestar.types import ControllerRouterHandler

from audiences.lookalike import Lookalike, LookalikeRequest, SeedTooSmall, SeedUnusable
from audiences.lookalikes.neighbourhood import Neighbour
from audiences.lookalikes.report import LookalikeReport, with_seats, without_small_groups
from audiences.lookalikes.request import DEFAULT_PERCENT, check_size
from audiences.rounding import shown
from audiences.rule import Audience
from matching.ids import VISITOR_FIRST
from matching.people import Identity
from service.api import lookalike_sketches
from service.api.audiences import NO_DETAIL
from service.api.auth import Scope, needs, sees_people
from service.api.errors import Conflict, Invalid, NotFound

NEIGHBOURS: Final = 20
NEIGHBOURS_MAX: Final = 1_000
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
    edges: dict[str, tuple[float, ...]] = {}


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
    """Keep a lookalike as an audience and build it; numbers stay cut in bins where they are now."""
    engine = request.app.state.engine
    lookalike = msgspec.to_builtins(data)
    defined = {"key": key, "name": lookalike.pop("name")}
    check_size(msgspec.convert(lookalike, LookalikeRequest))
    identity = _identity(engine, data.seed, data.exclude)
    if not {"size", "percent", "likeness"} & set(lookalike):
        lookalike["percent"] = DEFAULT_PERCENT
    lookalike["edges"] = {**engine.twins.edges(engine.now_ms()), **data.edges}
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


@get(
    "/api/lookalikes/like/{name:str}",
    guards=[needs(Scope.PEOPLE_READ)],
    sync_to_thread=True,
)
def like_person(
    request: Request[Any, Any, Any],
    name: str,
    most: Annotated[int, Parameter(ge=1, le=NEIGHBOURS_MAX)] = NEIGHBOURS,
    identity: Identity = Identity.LAST_AUTHENTICATED,
) -> dict[str, Any]:
    """Give the people most like one, by signatures of what is known of them."""
    engine = request.app.state.engine
    subject = engine.subjects.find(name)
    if subject is None:
        raise NotFound(f"nobody is known as {name!r}")
    found = engine.twins.like(subject.owners, identity, engine.now_ms(), most=most)
    if found is None:
        raise Conflict(
            f"{name!r} may not be compared with others: suppressed, refused by consent, or no "
            f"person under identity {identity}"
        )
    return {"person": name, "identity": identity, "people": _named(engine, found)}


def _named(engine: Any, people: Sequence[Neighbour]) -> list[dict[str, Any]]:
    """Name people by CRM id or visitor: ordinals never leave the engine."""
    customers = engine.stores.customers
    persons = [each.person for each in people]
    crm_ids = customers.crm_ids([each for each in persons if each < VISITOR_FIRST])
    visitors = customers.visitor_ids([each for each in persons if each >= VISITOR_FIRST])
    return [
        {
            **(
                {"crm_id": crm_ids[each.person]}
                if each.person in crm_ids
                else {"visitor": visitors[each.person].hex()}
            ),
            "likeness": each.likeness,
            "shared": each.shared,
        }
        for each in people
        if each.person in crm_ids or each.person in visitors
    ]


def _shown(report: LookalikeReport, exact: bool) -> LookalikeReport:
    return report if exact else without_small_groups(report)


def _identity(engine: Any, seed: str, exclude: tuple[str, ...]) -> Identity:
    """Give the seed's identity; seed and excluded audiences must be there."""
    audiences = engine.stores.audiences.audiences()
    for each in (*exclude, seed):
        if each not in audiences:
            raise NotFound(f"there is no audience {each!r}; GET /api/audiences lists them")
    identity: Identity = audiences[seed].audience.identity
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
    like_person,
    *lookalike_sketches.ROUTES,
)
