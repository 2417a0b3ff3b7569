"""`GET /getuids`: by which ids partners know the calling browser, as Prebid Server answers it.

The signed cookie says which browser; only pages of the site's origins may read the answer.
"""

from typing import Any, Final

from litestar import Request, Response, get

from service.api.identity import partner_status
from service.engine.engine import Engine
from service.engine.subjects import Subject
from service.tag.collect import Collector
from service.tag.request import Caller, TagRequest, cors_headers
from service.tag.tag_state import Site

ADDRESSABLE: Final = "addressable"


@get("/getuids", sync_to_thread=True)
def get_uids(request: Request[Any, Any, Any], account: str = "") -> Response[dict[str, Any]]:
    """Give the ids of every partner that could be reached by them now."""
    engine, collector = request.app.state.engine, request.app.state.tag.collector
    headers = {name.lower(): value for name, value in request.headers.items()}
    asked = TagRequest(
        method="GET",
        path=request.url.path,
        query=str(request.url.query),
        caller=Caller(headers=headers, scheme=request.url.scheme),
        received_us=engine.now_ms() * 1000,
    )
    own = {"Cache-Control": "no-store", "Vary": "Origin"}
    site = collector.state.site_of_write_key.get(account)
    if site is None or not asked.from_allowed_origin(site):
        return Response({}, status_code=403 if site else 401, headers=own)
    own |= dict(cors_headers(asked, site))
    found = uids_of(engine, collector, asked, site)
    return Response({"buyeruids": found} if found is not None else {}, headers=own)


def uids_of(
    engine: Engine, collector: Collector, request: TagRequest, site: Site
) -> dict[str, str] | None:
    """Find them for the request's cookie; None without one."""
    found = collector.cookie_of(request, site)
    if found is None or collector.is_opted_out(request):
        return None
    ordinal = int(engine.stores.customers.find_visitors([found.visitor])[0])
    if not ordinal:
        return {}
    rows = engine.stores.partner_ids.of_visitors([ordinal])
    subject = Subject(visitors={ordinal: found.visitor})
    uids = {}
    for partner in engine.config.partners:
        if partner_status(engine, partner, subject, rows) == ADDRESSABLE:
            uids[partner.key] = next(
                row.id
                for row in rows
                if row.action == "stored" and row.id_space == partner.id_space
            )
    return uids
