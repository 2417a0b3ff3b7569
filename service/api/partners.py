"""Partners: how well their syncs come back, whom they reach and why not all, and a trial of each.

Without `people:read` counts of people are rounded, and small ones hidden.
"""

from asyncio import to_thread
from typing import Any, Final

import msgspec
from litestar import Request, get, post
from litestar.types import ControllerRouterHandler
from pyroaring import BitMap

from matching.partner_facts import Partner
from matching.partners import known_facts, known_keys
from matching.people import Identity
from matching.sync_url import callback_url
from service.api.auth import Scope, needs, sees_people
from service.api.errors import NotFound
from service.api.getuids import get_uids
from service.engine.addressability import waterfall_of
from service.engine.engine import Engine
from service.engine.partner_health import PartnerReport, PartnerWatch
from service.engine.partner_trial import try_partner


@get("/api/partners", guards=[needs(Scope.AUDIENCES_READ, Scope.OPERATION)], sync_to_thread=True)
def list_partners(request: Request[Any, Any, Any], audience: str = "") -> dict[str, Any]:
    """List the partners that are switched on with their last 30 days, and all that are known.

    Each says whom it reaches: of all people, or of one audience and then by seat, too.
    """
    engine = request.app.state.engine
    base, exact = _base(request), sees_people(request)
    reports = {each.key: each for each in _watch(engine).reports()}
    among = _members(engine, audience) if audience else None
    return {
        "partners": [
            {
                **_shown(each, reports[each.key], base),
                **_reached(engine, each, among, exact=exact),
            }
            for each in engine.config.partners
        ],
        "known": [_known(key) for key in known_keys()],
    }


@post("/api/partners/{key:str}/test", guards=[needs(Scope.OPERATION)], status_code=200)
async def test_partner(request: Request[Any, Any, Any], key: str) -> dict[str, Any]:
    """Play one sync with a partner now and say what came back; nothing is stored."""
    engine = request.app.state.engine
    partner = engine.config.partner(key)
    if partner is None:
        known = ", ".join(each.key for each in engine.config.partners) or "none"
        raise NotFound(f"no partner {key!r} is switched on; switched on are {known}")
    base = _base(request)
    trial = await to_thread(try_partner, partner, base=base, keys=engine.keys)
    return {**msgspec.to_builtins(trial), "good": trial.outcome.is_good}


def _watch(engine: Engine) -> PartnerWatch:
    return PartnerWatch(
        partners=engine.config.partners,
        answers=engine.stores.partner_ids.answers,
        now_ms=engine.now_ms,
        time_zone=str(engine.environment.timezone),
    )


def _base(request: Request[Any, Any, Any]) -> str:
    engine = request.app.state.engine
    return engine.config.service.public_url or str(request.base_url).rstrip("/")


def _shown(partner: Partner, report: PartnerReport, base: str) -> dict[str, Any]:
    return {
        "key": partner.key,
        "name": partner.name,
        "id_space": partner.id_space,
        "direction": partner.sync.direction,
        "token_place": partner.sync.token_place,
        "callback": callback_url(partner, base=base, token=""),
        "ask": partner.questions,
        **msgspec.to_builtins(report),
        "fan_out": report.refusals.get("fan_out", 0),
    }


def _members(engine: Engine, key: str) -> tuple[Identity, BitMap]:
    saved = engine.stores.audiences.get(key)
    return saved.audience.identity, engine.builder.members(key)


def _reached(
    engine: Engine, partner: Partner, among: tuple[Identity, BitMap] | None, *, exact: bool
) -> dict[str, Any]:
    """Show gate by gate whom a partner reaches; an audience is sent by seat or not at all."""
    identity, members = among or (Identity.LAST_AUTHENTICATED, None)
    people = engine.criteria.people(identity)
    found = engine.reaches.of_partner(partner, people).by_status
    shown = {"waterfall": msgspec.to_builtins(waterfall_of(found, among=members, exact=exact))}
    if members is None:
        return shown
    seats = [each for each in engine.config.seats if each.partner == partner.key]
    waterfalls = {
        seat.key: waterfall_of(
            engine.reaches.of_seat(seat, people).by_status,
            among=members,
            min_people=seat.min_size,
            exact=exact,
        )
        for seat in seats
    }
    return {**shown, "seats": msgspec.to_builtins(waterfalls)}


def _known(key: str) -> dict[str, Any]:
    facts = known_facts(key)
    sync = facts["sync"]
    return {
        "key": key,
        "name": facts.get("name", ""),
        "direction": sync["direction"],
        "token_place": sync.get("token_place"),
        "ask": facts.get("asks", {}),
    }


ROUTES: Final[tuple[ControllerRouterHandler, ...]] = (list_partners, test_partner, get_uids)
