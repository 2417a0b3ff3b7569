"""Likeness among our own audiences, and sketches that two companies exchange instead of ids."""

from typing import Annotated, Any, Final

import msgspec
import numpy as np
from litestar import Request, get, post
from litestar.params import Parameter
from litestar.types import ControllerRouterHandler

from audiences.exports.seats import Seat
from audiences.lookalikes.audiences import LEAST, alike_audiences
from audiences.lookalikes.sketches import Overlap, Sketch, compare_sketches, make_sketch
from audiences.rounding import HIDDEN_BELOW
from matching.bitmaps import bitmap_of, mask_of
from matching.contact_profiles import SPACES
from matching.people import Identity
from service.api.auth import Scope, needs, sees_people
from service.api.errors import Invalid, NotFound
from service.engine.addressability import Addressability


class SketchRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom to sketch: the people of an audience whom a seat could be sent, by its own ids."""

    audience: str
    seat: str
    salt: str


class SketchPair(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Two sketches to compare."""

    ours: Sketch
    theirs: Sketch


@get("/api/lookalikes/alike", guards=[needs(Scope.AUDIENCES_READ)], sync_to_thread=True)
def alike(
    request: Request[Any, Any, Any],
    least: Annotated[float, Parameter(gt=0, le=1)] = LEAST,
) -> dict[str, Any]:
    """Give the pairs of built audiences that share many of their people, per identity."""
    engine, exact = request.app.state.engine, sees_people(request)
    found: list[dict[str, Any]] = []
    for identity in Identity:
        members = dict(engine.builder.members_by_key(identity))
        if not exact:
            members = {key: each for key, each in members.items() if len(each) >= HIDDEN_BELOW}
        digits = 6 if exact else 2
        found.extend(
            {
                "identity": identity,
                "first": pair.first,
                "second": pair.second,
                "jaccard": round(pair.jaccard, digits),
            }
            for pair in alike_audiences(members, least=least)
        )
    return {"pairs": found}


@post(
    "/api/lookalikes/sketch",
    guards=[needs(Scope.PEOPLE_READ)],
    status_code=200,
    sync_to_thread=True,
)
def sketch(request: Request[Any, Any, Any], data: SketchRequest) -> Sketch:
    """Make the sketch of an audience's ids at one seat; only ids that could be sent are in it."""
    engine = request.app.state.engine
    audience = engine.stores.audiences.get(data.audience).audience
    seat = next((each for each in engine.config.seats if each.key == data.seat), None)
    if seat is None:
        raise NotFound(f"there is no seat {data.seat!r}; GET /api/seats lists them")
    spaces = [space for space in seat.id_spaces if space not in SPACES]
    if not spaces:
        raise Invalid(
            f"seat {data.seat!r} takes hashed contacts only, which are opened for files alone: "
            "choose a seat with ids of its own"
        )
    return make_sketch(
        _ids(engine, seat, spaces[0], audience.identity, data.audience),
        id_space=spaces[0],
        salt=data.salt,
    )


@post(
    "/api/lookalikes/overlap",
    guards=[needs(Scope.AUDIENCES_READ)],
    status_code=200,
    sync_to_thread=False,
)
def compare(data: SketchPair) -> Overlap:
    """Estimate how many people two sketches share, with bounds."""
    return compare_sketches(data.ours, data.theirs)


def _ids(engine: Any, seat: Seat, space: str, identity: Identity, key: str) -> list[str]:
    people = engine.criteria.people(identity)
    reachable = engine.reaches.of_seat(seat, people).by_status[Addressability.ADDRESSABLE]
    browsers = people.visitors_of(engine.builder.members(key) & reachable)
    allowed = browsers & engine.reaches.allowed(seat)
    live = engine.reaches.carried(seat)[seat.id_spaces.index(space)]
    if not allowed or not live.visitors.size:
        return []
    first = int(min(allowed.min(), live.visitors.min()))
    size = int(max(allowed.max(), live.visitors.max())) - first + 1
    is_allowed = mask_of(allowed, first=first, size=size)[live.visitors - np.uint32(first)]
    ids = bitmap_of(live.id_ordinals[is_allowed])
    pieces = engine.stores.partner_ids.texts.pieces(space, ids)
    return sorted({text for piece in pieces for text in piece.ids.to_pylist()})


ROUTES: Final[tuple[ControllerRouterHandler, ...]] = (alike, sketch, compare)
