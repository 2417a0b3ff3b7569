"""Seats, what they hold, and runs that send what changed.

Without `people:read` counts of people and ids are rounded, and small ones hidden.
"""

from typing import Annotated, Any, Final

import msgspec
from litestar import Request, delete, get, post, put
from litestar.types import ControllerRouterHandler
from msgspec import Meta

from audiences.exports.ledger import everything
from audiences.exports.report import ExportReport
from audiences.exports.seat_state import PUBLISHED, Asked, ExportRow
from audiences.exports.seats import Seat, seat_questions
from audiences.rounding import shown
from service.api.auth import Scope, has_scope, key_of, needs, sees_people
from service.api.errors import NotFound
from service.engine.engine import Engine
from service.engine.export_job import run_exports

SEE_DETAILS: Final = (Scope.OPERATION, Scope.PEOPLE_READ)
"""Who may read what a run tells of itself: it counts people."""
COUNTS: Final = frozenset(
    {"people", "ids", "rows", "adds", "removes", "refreshes", "held"}
    | {"refused_ids", "unnamed_ids"}
)


class RunRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to export: these seats, or all; the rest needs seats that are named.

    `hold` puts them on hold first, so that only removals go; `release` lifts that and lets go what
    an alarm stopped; `resend` sends all that they should hold; a dry run writes nothing.
    """

    seats: tuple[str, ...] | None = None
    dry_run: bool = False
    hold: bool = False
    release: bool = False
    resend: bool = False

    def __post_init__(self) -> None:
        if not self.seats and (self.hold or self.release or self.resend):
            raise ValueError("hold, release and resend need the seats named")
        if self.hold and (self.release or self.resend or self.dry_run):
            raise ValueError("hold sends removals only; drop release, resend and dry_run")


class Hold(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a seat is put on hold."""

    reason: Annotated[str, Meta(min_length=1, max_length=500)] = "by hand"


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
        "alarm_percent": seat.alarm_percent,
        "alarm_ids": seat.alarm_ids,
        "questions": seat_questions([seat]),
        "hold": engine.stores.exports.hold(seat.key),
        "held": shown(sum(len(everything(days)) for days in held.days.values()), exact),
        "activations": [
            {
                "audience": each.audience,
                "segment": each.segment,
                "expires_days": each.expires_days,
                "holdout_percent": each.holdout_percent,
            }
            for each in engine.stores.exports.activations(seat.key)
        ],
    }


@put("/api/seats/{key:str}/hold", guards=[needs(Scope.EXPORTS_RUN)], sync_to_thread=True)
def hold_seat(request: Request[Any, Any, Any], key: str, data: Hold) -> dict[str, Any]:
    """Put a seat on hold: runs remove from it and add nothing until the hold is lifted."""
    engine = request.app.state.engine
    engine.stores.exports.put_hold(find_seat(engine, key).key, data.reason)
    return {"seat": key, "hold": data.reason}


@delete("/api/seats/{key:str}/hold", guards=[needs(Scope.EXPORTS_RUN)], sync_to_thread=True)
def lift_hold(request: Request[Any, Any, Any], key: str) -> None:
    """Lift a seat's hold; the next run sends what waited."""
    engine = request.app.state.engine
    if not engine.stores.exports.lift_hold(find_seat(engine, key).key):
        raise NotFound(f"the seat {key!r} is not on hold")


@post("/api/exports", guards=[needs(Scope.EXPORTS_RUN)], status_code=202, sync_to_thread=True)
def start_export(request: Request[Any, Any, Any], data: RunRequest) -> dict[str, Any]:
    """Start a run; its files appear under `exports/SEAT/` with the manifest last."""
    return _start(request.app.state.engine, data)


def _start(engine: Engine, asked: RunRequest) -> dict[str, Any]:
    keys = asked.seats if asked.seats is not None else [each.key for each in engine.config.seats]
    seats = [find_seat(engine, key) for key in keys]
    how = Asked(dry_run=asked.dry_run, release=asked.release, resend=asked.resend)

    def work(run: int) -> str:
        _hold_or_lift(engine, seats, asked)
        reports = run_exports(engine, run, seats, asked=how)
        return ", ".join(f"{each.seat}: {each.status}" for each in reports)

    return {"run": engine.jobs.start("export", work), "seats": [each.key for each in seats]}


def _hold_or_lift(engine: Engine, seats: list[Seat], asked: RunRequest) -> None:
    for seat in seats:
        if asked.hold:
            engine.stores.exports.put_hold(seat.key, Hold().reason)
        elif asked.release and not asked.dry_run:
            engine.stores.exports.lift_hold(seat.key)


@get("/api/exports", guards=[needs(Scope.EXPORTS_RUN, Scope.AUDIENCES_READ)], sync_to_thread=True)
def list_exports(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """List runs, the newest first."""
    engine = request.app.state.engine
    rows = engine.stores.exports.exports(limit=200)
    runs = [
        {"run": row.run, "seat": row.seat, "status": _status_of(row), "at": row.at_ms}
        for row in rows
    ]
    return {"exports": runs}


def _status_of(row: ExportRow) -> str:
    """Give how a run ended; one of removals alone is published and yet held."""
    if row.status != PUBLISHED:
        return row.status
    return msgspec.json.decode(row.report, type=_Ended).status


class _Ended(msgspec.Struct, frozen=True):
    status: str = PUBLISHED


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
    stages = [stage for segment in plain["segments"] for stage in segment["waterfall"]]
    lost = [each for stage in stages for each in stage["lost"]]
    for part in (plain, *plain["segments"], *stages, *lost):
        part |= {name: shown(part[name], exact) for name in COUNTS & part.keys()}
    # Why: the reason counts people and ids in words; the status says the same without them.
    return plain | {"reason": ""}


ROUTES: Final[tuple[ControllerRouterHandler, ...]] = (
    list_seats,
    show_seat,
    hold_seat,
    lift_hold,
    start_export,
    list_exports,
    show_export,
)
