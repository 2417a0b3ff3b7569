"""Audiences: definitions, previews, builds, members, why a person is in one, and activations."""

import asyncio
from typing import Annotated, Any, Final

import msgspec
from litestar import Request, Response, delete, get, post, put
from litestar.response import Stream
from litestar.types import ControllerRouterHandler
from msgspec import Meta
from pyroaring import BitMap

from audiences.audience_store import SavedAudience
from audiences.build import BuildReport
from audiences.explain import explain
from audiences.exports.export_store import Activation
from audiences.exports.formats.choose import writer_of
from audiences.exports.holdout import HOLDOUT_PERCENT_MAX
from audiences.preview import Preview, preview
from audiences.rounding import shown
from audiences.rule import decode_audience, decode_rule
from audiences.rule_source import plain_values
from matching.ids import VISITOR_FIRST
from matching.people import Identity
from service.api.auth import Scope, needs, sees_people
from service.api.errors import Conflict, Invalid, NotAcceptable, NotFound
from service.api.exports import find_seat
from service.api.member_formats import arrow_of, lines_of
from service.engine.engine import Engine

READ: Final = needs(Scope.AUDIENCES_READ, Scope.AUDIENCES_WRITE)
WRITE: Final = needs(Scope.AUDIENCES_WRITE)
NO_DETAIL: Final = "keys with people:read see why"


class Activate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An audience on a seat: the partner's segment, how long an id stays in it, who stays out."""

    segment: str
    expires_days: Annotated[int, Meta(ge=0, le=65_535)] = 0
    holdout_percent: Annotated[int, Meta(ge=0, le=HOLDOUT_PERCENT_MAX)] = 0


class Overlap(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which audiences to compare, each with each."""

    audiences: tuple[str, ...]


@get("/api/audiences", guards=[READ], sync_to_thread=True)
def list_audiences(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """List all audiences with the size and state of their last build."""
    engine, exact = request.app.state.engine, sees_people(request)
    saved = engine.stores.audiences.audiences()
    return {"audiences": [_shown(engine, each, exact) for _, each in sorted(saved.items())]}


# Why these three are async: with three sync handlers on one path the router of Litestar 2.25 wraps
# the first of them twice and answers 500.
@get("/api/audiences/{key:str}", guards=[READ])
async def show_audience(request: Request[Any, Any, Any], key: str) -> dict[str, Any]:
    """Show one audience as it is defined and built."""
    engine, exact = request.app.state.engine, sees_people(request)
    return await asyncio.to_thread(lambda: _shown(engine, _saved(engine, key), exact))


@put("/api/audiences/{key:str}", guards=[WRITE])
async def put_audience(request: Request[Any, Any, Any], key: str, body: bytes) -> dict[str, Any]:
    """Save a definition; an unchanged one keeps its version."""
    exact = sees_people(request)
    return await asyncio.to_thread(_save, request.app.state.engine, key, body, exact=exact)


def _save(engine: Engine, key: str, body: bytes, *, exact: bool) -> dict[str, Any]:
    audience = decode_audience(body, key=key)
    with engine.changing:
        saved = engine.stores.audiences.save(audience, engine.now_ms())
        engine.define()
    return _shown(engine, saved, exact)


@delete("/api/audiences/{key:str}", guards=[WRITE])
async def delete_audience(request: Request[Any, Any, Any], key: str) -> None:
    """End an audience that nothing needs any more."""
    await asyncio.to_thread(_delete, request.app.state.engine, key)


def _delete(engine: Engine, key: str) -> None:
    seats = [each.seat for each in engine.stores.exports.activations() if each.audience == key]
    if seats:
        raise Conflict(f"{key!r} is active on {', '.join(seats)}; take it off these seats first")
    with engine.changing:
        engine.stores.audiences.delete(key, engine.now_ms())
        engine.builder.forget(key)
        engine.define()


@post("/api/audiences/{key:str}/build", guards=[WRITE], status_code=202, sync_to_thread=True)
def build_audience(request: Request[Any, Any, Any], key: str) -> dict[str, Any]:
    """Build one audience now; a lookalike finds its twins anew."""
    engine = request.app.state.engine
    _saved(engine, key)

    def work(_: int) -> str:
        report = engine.build(key)
        if report.status != "ok":
            raise Invalid(report.detail)
        return f"{key}: {report.size} people, {report.entered} entered, {report.left} left"

    return {"id": engine.jobs.start("build", work)}


@post("/api/preview", guards=[READ], status_code=200, sync_to_thread=True)
def preview_rule(request: Request[Any, Any, Any], body: bytes) -> Response[bytes]:
    """Answer exactly how many a rule holds for, what each criterion costs and who is reachable."""
    engine = request.app.state.engine
    asked = plain_values(body)
    if not isinstance(asked, dict):
        raise Invalid("a preview is an object with rule, identity and breakdown")
    found = _preview(engine, asked, exact=sees_people(request))
    return Response(msgspec.json.encode(found), media_type="application/json")


def _preview(engine: Engine, asked: dict[str, Any], *, exact: bool) -> dict[str, Any]:
    unknown = sorted(asked.keys() - {"rule", "identity", "breakdown"})
    if unknown or "rule" not in asked:
        raise Invalid(f"a preview takes rule, identity and breakdown, not {unknown or 'nothing'}")
    identity = msgspec.convert(asked.get("identity", Identity.LAST_AUTHENTICATED), Identity)
    found = preview(
        decode_rule(asked["rule"]),
        identity,
        criteria=engine.criteria,
        as_of_ms=engine.now_ms(),
        reach=engine.reaches.reach,
        other_audiences=engine.builder.members_by_key(identity),
        breakdown=msgspec.convert(asked.get("breakdown") or (), tuple[str, ...]),
        exact=exact,
    )
    return _preview_shown(engine, found)


def _preview_shown(engine: Engine, found: Preview) -> dict[str, Any]:
    """Name the sample by CRM id and visitor: ordinals never leave the engine."""
    plain: dict[str, Any] = msgspec.to_builtins(found)
    persons = [each.person for each in found.sample]
    crm_ids = engine.stores.customers.crm_ids([each for each in persons if each < VISITOR_FIRST])
    visitors = engine.stores.customers.visitor_ids(
        [each for each in persons if each >= VISITOR_FIRST]
    )
    for row in plain["sample"]:
        person = row.pop("person")
        if person in crm_ids:
            row["crm_id"] = crm_ids[person]
        elif person in visitors:
            row["visitor"] = visitors[person].hex()
    return plain


@get("/api/audiences/{key:str}/members", guards=[needs(Scope.PEOPLE_READ)], sync_to_thread=True)
def members(
    request: Request[Any, Any, Any],
    key: str,
    format: str = "ndjson",  # noqa: A002 - the parameter's name in the API
) -> Stream:
    """Give the members with CRM ids and visitors: JSON lines (`ndjson`) or an `arrow` stream.

    There is no `roaring`: a bitmap holds ordinals, and these never leave the engine.
    """
    engine = request.app.state.engine
    _saved(engine, key)
    found = engine.builder.members(key)
    if format == "ndjson":
        lines = lines_of(engine.stores.customers, list(found))
        return Stream(lines, media_type="application/x-ndjson")
    if format == "arrow":
        batches = arrow_of(engine.stores.customers, list(found))
        return Stream(batches, media_type="application/vnd.apache.arrow.stream")
    raise NotAcceptable(f"members come by name, as ndjson or arrow, not as {format!r}")


@get(
    "/api/audiences/{key:str}/people/{name:str}",
    guards=[needs(Scope.PEOPLE_READ)],
    sync_to_thread=True,
)
def why(request: Request[Any, Any, Any], key: str, name: str) -> dict[str, Any]:
    """Say whether a person is in an audience, and of every criterion whether it holds."""
    engine = request.app.state.engine
    audience = _saved(engine, key).audience
    subject = engine.subjects.find(name)
    if subject is None:
        raise NotFound(f"nobody is known as {name!r}")
    built = engine.builder.members(key)
    person = next((each for each in subject.owners if each in built), None)
    if audience.rule is None:
        alike = None if person is None else engine.twins.reasons(key, person)
        return {"member": person is not None, "why": None, "alike_by": alike}
    leaf = engine.criteria.leaf(audience.identity, engine.now_ms())
    found = explain(audience.rule, person or subject.owners[0], leaf=leaf)
    return {"member": person is not None, "why": msgspec.to_builtins(found)}


@post("/api/overlap", guards=[READ], status_code=200, sync_to_thread=True)
def overlap(request: Request[Any, Any, Any], data: Overlap) -> dict[str, Any]:
    """Compare audiences each with each: shared people and Jaccard."""
    engine = request.app.state.engine
    found = {
        key: engine.builder.members(_saved(engine, key).audience.key) for key in data.audiences
    }
    keys, exact = list(found), sees_people(request)
    pairs = [
        {"a": a, "b": b, **_shared(found[a], found[b], exact)}
        for index, a in enumerate(keys)
        for b in keys[index + 1 :]
    ]
    return {"pairs": pairs}


def _shared(one: BitMap, other: BitMap, exact: bool) -> dict[str, Any]:
    size = shown(one.intersection_cardinality(other), exact)
    if size is None:
        return {"size": None, "jaccard": None}
    jaccard = one.jaccard_index(other) if one or other else 0.0
    return {"size": size, "jaccard": round(jaccard, 4 if exact else 2)}


@put("/api/audiences/{key:str}/seats/{seat:str}", guards=[WRITE], sync_to_thread=True)
def activate(
    request: Request[Any, Any, Any], key: str, seat: str, data: Activate
) -> dict[str, Any]:
    """Put an audience on a seat; the next export sends it."""
    engine = request.app.state.engine
    _saved(engine, key)
    configured = find_seat(engine, seat)
    refused = writer_of(configured).refused_segment(data.segment, configured)
    if refused:
        raise Invalid(f"segment {data.segment!r} cannot be on seat {seat!r}: {refused}")
    activation = Activation(seat=seat, audience=key, **msgspec.structs.asdict(data))
    engine.stores.exports.put_activation(activation)
    plain: dict[str, Any] = msgspec.to_builtins(activation)
    return plain


@delete("/api/audiences/{key:str}/seats/{seat:str}", guards=[WRITE], sync_to_thread=True)
def deactivate(request: Request[Any, Any, Any], key: str, seat: str) -> None:
    """Take an audience off a seat; its ids leave with the next export."""
    engine = request.app.state.engine
    if not engine.stores.exports.remove_activation(find_seat(engine, seat).key, key):
        raise NotFound(f"the audience {key!r} is not on seat {seat!r}")


def _saved(engine: Engine, key: str) -> SavedAudience:
    saved: SavedAudience = engine.stores.audiences.get(key)
    return saved


def _shown(engine: Engine, saved: SavedAudience, exact: bool) -> dict[str, Any]:
    report: BuildReport | None = engine.builder.report(saved.audience.key)
    plain: dict[str, Any] = msgspec.to_builtins(saved.audience)
    detail = report.detail if report else ""
    return {
        **plain,
        "version": saved.version,
        "size": shown(report.size, exact) if report else None,
        "built_at": report.at_ms if report else None,
        "status": report.status if report else "never built",
        "detail": NO_DETAIL if detail and not exact else detail,
    }


ROUTES: Final[tuple[ControllerRouterHandler, ...]] = (
    list_audiences,
    show_audience,
    put_audience,
    delete_audience,
    build_audience,
    preview_rule,
    members,
    why,
    overlap,
    activate,
    deactivate,
)
