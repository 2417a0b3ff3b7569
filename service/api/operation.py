"""The operator's routes: background runs and records that were set aside."""

import asyncio
from typing import Any, Final

import msgspec
from litestar import Request, get, post
from litestar.types import ControllerRouterHandler

from service.api.auth import Scope, needs
from service.api.errors import NotFound
from service.engine.engine import Engine

LISTED_MAX: Final = 500


@get("/api/jobs", guards=[needs(Scope.OPERATION, Scope.AUDIENCES_READ)], sync_to_thread=True)
def list_jobs(request: Request[Any, Any, Any], run: int = 0) -> dict[str, Any]:
    """List runs, the newest first; `run` picks one."""
    rows = request.app.state.engine.stores.operation.jobs(run=run)
    return {"jobs": [{**msgspec.to_builtins(row), "at": row.at_us // 1000} for row in rows]}


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
    """List the newest records that could not be loaded, with their bytes as text."""
    rows = request.app.state.engine.stores.operation.bad_records(min(limit, LISTED_MAX))
    return {"bad": [{**row, "bytes": str(row["bytes"])} for row in rows]}


ROUTES: Final[tuple[ControllerRouterHandler, ...]] = (list_jobs, run_job, list_bad)
