"""`/v1/me/audiences`: which public audiences the calling browser is in.

Audiences that follow the customer are answered only between an authenticated link and logout, with
consent to personalisation; other pages and origins learn nothing.
"""

from typing import Any, Final

from litestar import Request, Response, get
from litestar.types import ControllerRouterHandler

from service.engine.engine import Engine
from service.engine.memberships import public_audiences
from service.tag.collect import Collector
from service.tag.request import Caller, TagRequest, cors_headers


@get("/v1/me/audiences", sync_to_thread=True)
def my_audiences(request: Request[Any, Any, Any], key: str = "") -> Response[dict[str, Any]]:
    """Give the keys of the audiences that this browser's person is in."""
    engine, collector = request.app.state.engine, request.app.state.tag.collector
    asked = TagRequest(
        method="GET",
        path=request.url.path,
        query=str(request.url.query),
        caller=Caller(
            headers={name.lower(): value for name, value in request.headers.items()},
            scheme=request.url.scheme,
        ),
        received_us=engine.now_ms() * 1000,
    )
    headers = {"Cache-Control": "no-store", "Vary": "Origin"}
    site = collector.state.site_of_write_key.get(key)
    if site is None or not asked.from_allowed_origin(site):
        return Response({"audiences": []}, status_code=403, headers=headers)
    headers |= dict(cors_headers(asked, site))
    return Response({"audiences": audiences_for(engine, collector, asked, key)}, headers=headers)


def audiences_for(
    engine: Engine, collector: Collector, request: TagRequest, write_key: str
) -> list[str]:
    """Find them for the request's cookie; fail closed."""
    site = collector.state.site_of_write_key[write_key]
    found = collector.cookie_of(request, site)
    if found is None or collector.is_opted_out(request):
        return []
    ordinal = int(engine.stores.customers.find_visitors([found.visitor])[0])
    if not ordinal:
        return []
    return public_audiences(engine, ordinal, site, gpc=request.has_gpc)


ROUTES: Final[tuple[ControllerRouterHandler, ...]] = (my_audiences,)
