"""The operator's routes: background runs and records that were set aside."""

import asyncio
from collections import Counter
from typing import Any, Final

import msgspec
from litestar import Request, get, post
from litestar.exceptions import ServiceUnavailableException
from litestar.types import ControllerRouterHandler

from service.api.auth import Scope, has_scope, key_of, needs
from service.api.errors import NotFound
from service.api.exports import SEE_DETAILS
from service.engine.engine import Engine
from service.engine.operation_store import BadRecord
from service.tag.process import TagProcess
from service.tag.record import Damage, bytes_of, read_record
from service.tag.spool import SpoolFull

LISTED_MAX: Final = 500
REPLAYED_AT_ONCE: Final = 1_000
BODY_SHOWN_MAX: Final = 1_000


@get("/api/jobs", guards=[needs(Scope.OPERATION, Scope.AUDIENCES_READ)], sync_to_thread=True)
def list_jobs(request: Request[Any, Any, Any], run: int = 0) -> dict[str, Any]:
    """List runs, the newest first; `run` picks one. Details count people: not all keys see them."""
    rows = request.app.state.engine.stores.operation.jobs(run=run)
    shown = [{**msgspec.to_builtins(row), "at": row.at_us // 1000} for row in rows]
    if not has_scope(key_of(request), *SEE_DETAILS):
        shown = [row | {"detail": ""} for row in shown]
    return {"jobs": shown}


@post("/api/jobs/{key:str}/run", guards=[needs(Scope.OPERATION)], status_code=202)
async def run_job(request: Request[Any, Any, Any], key: str) -> dict[str, Any]:
    """Run a job now: `load` drains the spool, links people and rebuilds audiences."""
    engine, part = request.app.state.engine, request.app.state.tag
    if key != "load":
        raise NotFound(f"there is no job {key!r}; there is `load`")
    # Why here: the spool belongs to the thread of the event loop.
    part.spool.close_chunk()
    return {"id": await asyncio.to_thread(_start_load, engine)}


def _start_load(engine: Engine) -> int:
    return engine.jobs.start("load", lambda _: f"{engine.tick(must_rebuild=True)} records loaded")


@get("/api/bad", guards=[needs(Scope.OPERATION)], sync_to_thread=True)
def list_bad(request: Request[Any, Any, Any], limit: int = 100) -> dict[str, Any]:
    """List the newest records that could not be loaded, with what they hold as text."""
    rows = request.app.state.engine.stores.operation.bad_records(min(limit, LISTED_MAX))
    return {"bad": [_shown(row) for row in rows]}


@post("/api/bad/replay", guards=[needs(Scope.OPERATION)], status_code=200)
async def replay_bad(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """Put the bad records into the spool once more; each is tried again once.

    Loading marks them, so a record that waits in the spool is known here by its name alone, and
    after a crash the chunk that holds it is loaded before this route answers again.
    """
    engine, part = request.app.state.engine, request.app.state.tag
    store = engine.stores.operation
    limit = REPLAYED_AT_ONCE + len(part.trying_again)
    rows = await asyncio.to_thread(store.bad_records, limit, only_untried=True)
    # Why on the event loop: the spool belongs to its thread.
    replayed = _put_again(part, rows)
    await part.spool.kept()
    return {"replayed": replayed}


def _put_again(part: TagProcess, rows: list[BadRecord]) -> int:
    part.trying_again &= {row.origin for row in rows}
    fresh = [row for row in rows if row.origin not in part.trying_again][:REPLAYED_AT_ONCE]
    if not fresh:
        return 0
    records = []
    for row in fresh:
        record = read_record(row.bytes)
        meta = msgspec.structs.replace(record.meta, again=row.origin)
        records.append(bytes_of(msgspec.structs.replace(record, meta=meta)))
    try:
        part.spool.append(records)
    except SpoolFull as problem:
        raise ServiceUnavailableException(f"nothing was replayed, try again: {problem}") from None
    part.balance.received(kept=len(records), dropped=Counter())
    part.trying_again |= {row.origin for row in fresh}
    return len(records)


def _shown(row: BadRecord) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "chunk": row.chunk,
        "row": row.row,
        "received_at": row.received_ms,
        "reason": row.reason,
        "detail": row.detail,
        "replayed": row.replayed,
    }
    try:
        record = read_record(row.bytes)
    except (Damage, ValueError):
        return shown | {"site": "", "type": "", "body": ""}
    body = record.body[:BODY_SHOWN_MAX].decode("utf-8", "replace")
    return shown | {"site": record.meta.site, "type": record.meta.type, "body": body}


ROUTES: Final[tuple[ControllerRouterHandler, ...]] = (list_jobs, run_job, list_bad, replay_bad)
