"""Whether a process lives, whether it can take work, and the numbers that say so."""

from typing import Any, Final

import msgspec
from litestar import Request, Response, get
from litestar.types import ControllerRouterHandler

from service import metrics
from service.metrics import Balance, BalanceOf, BalanceSheet
from service.tag.process import TagProcess
from service.tag.spool import spool_bytes
from service.tag.tag_state import STALE_AFTER_S


@get("/livez", sync_to_thread=False)
def livez() -> dict[str, str]:
    """Answer while the process can answer at all."""
    return {"status": "ok"}


@get("/readyz", sync_to_thread=False)
def readyz(request: Request[Any, Any, Any]) -> Response[dict[str, Any]]:
    """Say whether records can be kept, with the balance of every record; 503 when they cannot."""
    part, balance = request.app.state.tag, request.app.state.balance
    engine = request.app.state.engine
    sheet = _sheet_of(part, balance)
    obstacles = _obstacles(part)
    problems = [*obstacles, *_tag_state_problems(part), *(engine.problems if engine else [])]
    if sheet.off:
        problems.append(
            f"the balance is off by {sheet.off} records: they are missing, or counted twice"
        )
    body = {
        "status": "degraded" if problems else "ok",
        "problems": problems,
        "tag_state_age_s": round(part.state_file.state.age_s(), 1),
        "spool_bytes": spool_bytes(part.spool.folder.parent),
        "quarantined": engine.reader.quarantined() if engine else 0,
        "balance_of": balance.of,
        "balance_holds": sheet.holds and not sheet.off,
        **msgspec.to_builtins(sheet),
    }
    return Response(body, status_code=503 if obstacles else 200)


def _sheet_of(part: TagProcess, balance: Balance) -> BalanceSheet:
    if balance.of is BalanceOf.DOOR:
        return balance.sheet(in_spool=part.records_waiting())
    return balance.sheet()


def _obstacles(part: TagProcess) -> list[str]:
    """Say why nothing could be kept now."""
    found = []
    if not part.state_file.state.sites:
        found.append("no tag state was published yet")
    full = part.spool.full()
    if full:
        found.append(full)
    return found


def _tag_state_problems(part: TagProcess) -> list[str]:
    state = part.state_file.state
    if not state.sites or state.age_s() <= STALE_AFTER_S:
        return []
    return [f"the tag state is old: published {state.age_s():.0f} s ago; is the engine running?"]


@get("/metrics", sync_to_thread=False, media_type="text/plain")
def prometheus(request: Request[Any, Any, Any]) -> bytes:
    """Give all metrics in Prometheus' text format."""
    part = request.app.state.tag
    metrics.TAG_STATE_AGE.set(part.state_file.state.age_s())
    metrics.SPOOL_BYTES.set(spool_bytes(part.spool.folder.parent))
    return metrics.exposition()


TAG_ROUTES: Final[tuple[ControllerRouterHandler, ...]] = (livez, readyz, prometheus)
ENGINE_ROUTES: Final = TAG_ROUTES
