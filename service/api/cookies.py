"""How long cookies really live: a route for the operator, counted from what returned.

Without `people:read` counts are rounded, and small ones hidden.
"""

from collections.abc import Sequence
from threading import Lock
from typing import Annotated, Any, Final

from litestar import Request, get
from litestar.params import Parameter
from litestar.types import ControllerRouterHandler

from audiences.rounding import shown, shown_share
from service.api.auth import Scope, needs, sees_people
from service.engine.cookie_lives_store import UNKNOWN, CookieLives, CookieLivesStore

DAY_MS: Final = 86_400_000
DAYS_MAX: Final = 365
ENOUGH: Final = 100
"""Returning visitors below which a share says nothing of a family."""
MUCH_SHORTER: Final = 0.5
ADVICE: Final = (
    "these cookies die young: have the tag served under the site's own domain, or the cookie "
    "renewed by the site's own server (tag_sdk/README.md, Cookie life)"
)

_opening: Final = Lock()
Days = Annotated[int, Parameter(ge=8, le=DAYS_MAX)]


@get("/api/cookies", guards=[needs(Scope.AUDIENCES_READ, Scope.OPERATION)], sync_to_thread=True)
def cookie_lives(
    request: Request[Any, Any, Any], site: str = "", days: Days = 90
) -> dict[str, Any]:
    """Give for each family of browsers how old the cookies were with which visitors came back.

    Shares are of the visitors who came back on a later day, within the last days.
    """
    engine = request.app.state.engine
    found = _store(request).lives(since_ms=engine.now_ms() - days * DAY_MS, site=site)
    exact, young = sees_people(request), short_lived(found)
    return {"days": days, "cookies": [_shown(each, exact, each.browser in young) for each in found]}


def _store(request: Request[Any, Any, Any]) -> CookieLivesStore:
    """Give the store, with a client of its own: its question holds nothing else up."""
    state = request.app.state
    with _opening:
        if "cookie_lives" not in state:
            state.cookie_lives = CookieLivesStore(state.engine.clickhouse.client())
        store: CookieLivesStore = state.cookie_lives
    return store


def short_lived(found: Sequence[CookieLives]) -> set[str]:
    """Name the families whose visitors come back after a week half as often as the best one's."""
    shares = {
        each.browser: each.over_7_days / each.returned
        for each in found
        if each.returned >= ENOUGH and each.browser != UNKNOWN
    }
    best = max(shares.values(), default=0)
    return {browser for browser, share in shares.items() if share < best * MUCH_SHORTER}


def _shown(each: CookieLives, exact: bool, is_young: bool) -> dict[str, Any]:
    def share(count: int) -> float | None:
        return shown_share(count, each.returned, exact) if each.returned else None

    return {
        "browser": each.browser,
        "visitors": shown(each.visitors, exact),
        "returned": shown(each.returned, exact),
        "older_than_1_day": share(each.over_1_day),
        "older_than_7_days": share(each.over_7_days),
        "older_than_30_days": share(each.over_30_days),
        "returned_after_7_days": share(each.paused_7_days),
        "advice": ADVICE if is_young else "",
    }


ROUTES: Final[tuple[ControllerRouterHandler, ...]] = (cookie_lives,)
