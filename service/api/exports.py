"""Seats, what they hold, and runs that send what changed.

Without `people:read` counts of people and ids are rounded, and small ones hidden.
"""

from typing import Any, Final

import msgspec
from litestar import Request, get, post
from litestar.types import ControllerRouterHandler

from audiences.exports.ledger import everything
from audiences.exports.report import ExportReport
from audiences.exports.seats import Seat
from audiences.rounding import shown
from service.api.auth import Scope, has_scope, key_of, needs, sees_people
from service.api.errors import NotFound
from service.engine.engine import Engine
from service.engine.export_job import run_exports

SEE_DETAILS: Final = (Scope.OPERATION, Scope.PEOPLE_READ)
"""Who may read what a run tells of itself: it counts people."""
COUNTS: Final = frozenset(
    {"people", "browsers", "ids", "rows", "adds", "removes", "refreshes"}
    | {"refused_ids", "unnamed_ids"}
)


class RunRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to export: these seats, or all; a dry run writes nothing."""

    seats: tuple[str, ...] | None = None
    dry_run: bool = False


@get("/api/seats", guards=[needs(Scope.AUDIENCES_READ, Scope.EXPORTS_RUN)], sync_to_thread=True)
def list_seats(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """List the seats with their activations and how many ids each holds."""
    engine, exact = request.app.state.engine, sees_people(request)
    return {"seats": [_seat_shown(engine, seat, exact) for seat in engine.config.seats]}


@get(
    "/api/seats/{key:str}",
    guards=[needs(Scope.AUDIENCES_READ, Scope.EXPORTS_RUN)],
    sync_to_thread=True,
)
def show_seat(request: Request[Any, Any, Any], key: str) -> dict[str, Any]:
    """Show one seat and what each of its segments holds."""
    engine, exact = request.app.state.engine, sees_people(request)
    seat = find_seat(engine, key)
    held = engine.stores.exports.held(key)
    segments = [
        {
            "segment": segment,
            "ids": shown(len(everything(days)), exact),
            "sent_on": sorted(map(str, days)),
        }
        for segment, days in held.days.items()
    ]
    return {**_seat_shown(engine, seat, exact), "segments": segments, "published_run": held.run}


def find_seat(engine: Engine, key: str) -> Seat:
    """Give a configured seat or say which there are."""
    seat = engine.config.seat(key)
    if seat is None:
        known = ", ".join(each.key for each in engine.config.seats)
        raise NotFound(f"there is no seat {key!r}; config/seats has {known}")
    return seat


def _seat_shown(engine: Engine, seat: Seat, exact: bool) -> dict[str, Any]:
    held = engine.stores.exports.held(seat.key)
    return {
        "key": seat.key,
        "partner": seat.partner,
        "account": seat.account,
        "id_spaces": seat.id_spaces,
        "format": seat.format.__struct_config__.tag,
        "mode": seat.membership.mode,
        "min_size": seat.min_size,
        "held": shown(sum(len(everything(days)) for days in held.days.values()), exact),
        "activations": [
            {
                "audience": each.audience,
                "segment": each.segment,
                "expires_days": each.expires_days,
            }
            for each in engine.stores.exports.activations(seat.key)
        ],
    }


@post("/api/exports", guards=[needs(Scope.EXPORTS_RUN)], status_code=202, sync_to_thread=True)
def start_export(request: Request[Any, Any, Any], data: RunRequest) -> dict[str, Any]:
    """Start a run; its files appear under `exports/SEAT/` with the manifest last."""
    return {"run": _start(request.app.state.engine, data)}


def _start(engine: Engine, asked: RunRequest) -> int:
    keys = asked.seats if asked.seats is not None else [each.key for each in engine.config.seats]
    seats = [find_seat(engine, key) for key in keys]

    def work(run: int) -> str:
        reports = run_exports(engine, run, seats, dry_run=asked.dry_run)
        return ", ".join(f"{each.seat}: {each.status}" for each in reports)

    return engine.jobs.start("export", work)


@get("/api/exports", guards=[needs(Scope.EXPORTS_RUN, Scope.AUDIENCES_READ)], sync_to_thread=True)
def list_exports(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """List runs, the newest first."""
    engine = request.app.state.engine
    rows = engine.stores.exports.exports(limit=200)
    runs = [
        {"run": row.run, "seat": row.seat, "status": row.status, "at": row.at_ms} for row in rows
    ]
    return {"exports": runs}


@get(
    "/api/exports/{run:int}",
    guards=[needs(Scope.EXPORTS_RUN, Scope.AUDIENCES_READ)],
    sync_to_thread=True,
)
def show_export(request: Request[Any, Any, Any], run: int) -> dict[str, Any]:
    """Show a run: its state and, per seat, counts, files and every segment's waterfall."""
    engine = request.app.state.engine
    jobs = engine.stores.operation.jobs(run=run)
    if not jobs:
        raise NotFound(f"there is no run {run}; GET /api/exports lists them")
    reports = [
        _report_shown(msgspec.json.decode(row.report, type=ExportReport), sees_people(request))
        for row in engine.stores.exports.exports(run=run)
    ]
    detail = jobs[0].detail if has_scope(key_of(request), *SEE_DETAILS) else ""
    return {"run": run, "status": jobs[0].status, "detail": detail, "seats": reports}


def _report_shown(report: ExportReport, exact: bool) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(report)
    if exact:
        return plain
    for part in (plain, *plain["segments"]):
        for step in (part, *part.get("waterfall", ())):
            step |= {name: shown(step[name], exact) for name in COUNTS & step.keys()}
    # Why: the reason counts people and ids in words; the status says the same without them.
    return plain | {"reason": ""}


ROUTES: Final[tuple[ControllerRouterHandler, ...]] = (
    list_seats,
    show_seat,
    start_export,
    list_exports,
    show_export,
)
