"""What really arrives: events by site, their properties against the tagging plan, traits.

Without `people:read` counts are rounded, and where one is hidden nothing else counts either.
"""

from threading import Lock
from typing import Annotated, Any, Final

import msgspec
from litestar import Request, get
from litestar.params import Parameter
from litestar.types import ControllerRouterHandler

from audiences.catalogue import EventSeen, PropertySeen
from audiences.catalogue_store import CatalogueStore, SiteEvents
from audiences.rounding import HIDDEN_BELOW, shown
from audiences.tagging_plan import compare
from audiences.third_party_trait_store import ThirdPartyTraitInfo
from audiences.trait_store import TraitInfo
from service.api.auth import Scope, needs, sees_people
from service.api.errors import Invalid, NotFound
from service.engine.engine import Engine
from service.tagging_plans import load_tagging_plans

READ: Final = needs(Scope.AUDIENCES_READ, Scope.AUDIENCES_WRITE)
DAYS_MAX: Final = 90
SHARE_DECIMALS: Final = 4
Days = Annotated[int, Parameter(ge=1, le=DAYS_MAX)]

_opening: Final = Lock()


@get("/api/events/catalogue", guards=[READ], sync_to_thread=True)
def event_catalogue(
    request: Request[Any, Any, Any], site: str | None = None, days: Days = 7
) -> dict[str, Any]:
    """List the events with counts, first and last time, in all and by site.

    With `site`, the properties of that site's events of the last days too, by a sample of each
    name, and how they stand to the site's tagging plan.
    """
    engine, exact = request.app.state.engine, sees_people(request)
    store = _store(request)
    answer: dict[str, Any] = {"events": _events(store.per_site(), exact)}
    if site is not None:
        answer["site"] = _site(engine, store, site, days, exact=exact)
    return answer


@get("/api/traits", guards=[READ], sync_to_thread=True)
def list_traits(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """List all traits with their kind, holders and number of values."""
    traits, exact = request.app.state.engine.stores.traits, sees_people(request)
    return {
        "traits": [_shown(each, exact) for each in traits.traits()],
        "third_party": [_shown(each, exact) for each in traits.third_party.traits()],
    }


def _store(request: Request[Any, Any, Any]) -> CatalogueStore:
    """Give the catalogue's store, with a client of its own: its questions hold nothing else up."""
    state = request.app.state
    with _opening:
        if "catalogue" not in state:
            state.catalogue = CatalogueStore(state.engine.clickhouse.client())
        store: CatalogueStore = state.catalogue
    return store


def _events(rows: list[SiteEvents], exact: bool) -> list[dict[str, Any]]:
    """Put the sites of each event together, the most frequent event first."""
    by_name: dict[str, list[SiteEvents]] = {}
    for row in rows:
        by_name.setdefault(row.event, []).append(row)
    counted = {event: sum(each.count for each in mine) for event, mine in by_name.items()}
    return [
        {
            "event": event,
            "count": shown(counted[event], exact),
            "first_at_ms": min(each.first_at_ms for each in by_name[event]),
            "last_at_ms": max(each.last_at_ms for each in by_name[event]),
            "sites": [_site_row(each, exact) for each in by_name[event]],
        }
        for event in sorted(by_name, key=lambda event: (-counted[event], event))
    ]


def _site_row(row: SiteEvents, exact: bool) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(row)
    del plain["event"]
    return plain | {"count": shown(row.count, exact)}


def _site(
    engine: Engine, store: CatalogueStore, site: str, days: int, *, exact: bool
) -> dict[str, Any]:
    """Describe one site's events of the last days, and check them against its plan."""
    sites = [each.key for each in engine.config.sites]
    if site not in sites:
        raise NotFound(f"there is no site {site!r}; there are {', '.join(sites)}")
    # Why here and not at start: a plan is read anew, so that mending it needs no restart.
    errors: list[str] = []
    plan = load_tagging_plans(engine.config.folder, sites, errors).get(site)
    if errors:
        raise Invalid("; ".join(errors))
    today = engine.days.day(engine.now_ms())
    seen = store.seen(site, first_day=today - days + 1, last_day=today)
    checks = None if plan is None else msgspec.to_builtins(compare(plan, seen))
    return {
        "site": site,
        "days": days,
        "events": [_event(each, exact) for each in seen],
        "checks": checks,
    }


def _event(seen: EventSeen, exact: bool) -> dict[str, Any]:
    """Show one event; of few events nothing but that they came."""
    told = exact or seen.looked_at >= HIDDEN_BELOW
    return {
        "event": seen.event,
        "count": shown(seen.count, exact),
        "looked_at": shown(seen.looked_at, exact),
        "is_exact": seen.is_exact,
        "properties": [_property(each, exact) for each in seen.properties] if told else None,
    }


def _property(seen: PropertySeen, exact: bool) -> dict[str, Any]:
    """Show one property; values that few events have are hidden."""
    top = [each for each in seen.top if exact or each.count >= HIDDEN_BELOW]
    return {
        "path": seen.path,
        "fill": round(seen.fill, SHARE_DECIMALS),
        "types": {kind: round(share, SHARE_DECIMALS) for kind, share in seen.types.items()},
        "distinct": seen.distinct,
        "top": [{"value": each.value, "count": shown(each.count, exact)} for each in top],
    }


def _shown(trait: TraitInfo | ThirdPartyTraitInfo, exact: bool) -> dict[str, Any]:
    """Show a trait; as many values as holders would count the holders."""
    plain: dict[str, Any] = msgspec.to_builtins(trait)
    if exact:
        return plain
    holders = shown(trait.holders, exact)
    values = trait.values if trait.values < HIDDEN_BELOW else shown(trait.values, exact)
    return plain | {"holders": holders, "values": None if holders is None else values}


ROUTES: Final[tuple[ControllerRouterHandler, ...]] = (event_catalogue, list_traits)
