"""Whether a process lives, whether it can take work, and the numbers that say so."""

from typing import Any, Final

import msgspec
from litestar import Request, Response, get
from litestar.types import ControllerRouterHandler

from service import metrics
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
    sheet = balance.sheet()
    age_s = part.state_file.state.age_s()
    problems = []
    if not part.state_file.state.sites:
        problems.append("no tag state was published yet")
    elif age_s > STALE_AFTER_S:
        problems.append(f"the tag state is {age_s:.0f} s old")
    if request.app.state.engine is not None and not sheet.holds:
        problems.append("the balance does not hold: records are missing or counted twice")
    body = {
        "status": "degraded" if problems else "ok",
        "problems": problems,
        "tag_state_age_s": round(age_s, 1),
        "spool_bytes": spool_bytes(part.spool.folder.parent),
        "balance_holds": sheet.holds,
        **msgspec.to_builtins(sheet),
    }
    can_keep = bool(part.state_file.state.sites)
    return Response(body, status_code=200 if can_keep else 503)


@get("/metrics", sync_to_thread=False, media_type="text/plain")
def prometheus(request: Request[Any, Any, Any]) -> bytes:
    """Give all metrics in Prometheus' text format."""
    part = request.app.state.tag
    metrics.TAG_STATE_AGE.set(part.state_file.state.age_s())
    metrics.SPOOL_BYTES.set(spool_bytes(part.spool.folder.parent))
    return metrics.exposition()


TAG_ROUTES: Final[tuple[ControllerRouterHandler, ...]] = (livez, readyz, prometheus)
ENGINE_ROUTES: Final = TAG_ROUTES
