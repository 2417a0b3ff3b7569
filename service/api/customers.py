"""Imports of customers, events and traits, and one customer as the CRM knows it.

A row is taken whole or refused with its line and a reason; events go through the spool like all
others.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from litestar import Request, get, post
from litestar.exceptions import PermissionDeniedException
from litestar.types import ControllerRouterHandler

from audiences.rfm import RFM_TRAITS
from matching.contact_hashes import crm_id_of, seal
from matching.crm_import import CrmColumns, CrmFileError, ImportReport, import_customers, read_rows
from service.api.auth import Scope, key_of, needs
from service.api.errors import Invalid, NotFound
from service.config import Config
from service.engine.engine import Engine
from service.tag.collect_import import Imported, collect_import
from service.tag.process import TagProcess
from service.tag.tag_state import Site


@post(
    "/api/customers/import", guards=[needs(Scope.CUSTOMERS_WRITE, per_site=True)], status_code=200
)
async def import_customer_file(
    request: Request[Any, Any, Any],
    format: str = "csv",  # noqa: A002 - the parameter's name in the API
    site: str = "",
) -> dict[str, Any]:
    """Import customers with aliases, contacts and traits by `config/customers.toml`."""
    engine = request.app.state.engine
    find_site(request, site)
    body = await request.body()
    return await asyncio.to_thread(_import, engine, body, format, must_exist=False)


@post("/api/traits/import", guards=[needs(Scope.CUSTOMERS_WRITE, per_site=True)], status_code=200)
async def import_trait_file(
    request: Request[Any, Any, Any],
    format: str = "csv",  # noqa: A002 - the parameter's name in the API
    site: str = "",
) -> dict[str, Any]:
    """Import traits of customers who exist already; unknown ones are refused."""
    engine = request.app.state.engine
    find_site(request, site)
    body = await request.body()
    return await asyncio.to_thread(_import, engine, body, format, must_exist=True)


@post("/api/events/import", guards=[needs(Scope.CUSTOMERS_WRITE, per_site=True)], status_code=200)
async def import_event_file(
    request: Request[Any, Any, Any],
    format: str = "ndjson",  # noqa: A002 - the parameter's name in the API
    site: str = "",
) -> dict[str, Any]:
    """Import Segment messages, one a line, as if the site's server had sent them."""
    engine, part = request.app.state.engine, request.app.state.tag
    if format != "ndjson":
        raise Invalid(f"events are imported as ndjson, one Segment message a line, not {format!r}")
    known = find_site(request, site)
    imported = _refuse_erased(engine, part, known, (await request.body()).splitlines())
    # Why on the event loop: the spool belongs to its thread.
    if imported.records:
        part.spool.append(imported.records)
        await part.spool.kept()
        part.balance.received(kept=len(imported.records), dropped=Counter())
    rejects = [{"line": line, "reason": reason} for line, reason in imported.refused]
    rows = len(imported.records) + len(rejects)
    return {"rows": rows, "imported": len(imported.records), "rejects": rejects}


@get("/api/customers/{crm_id:str}", guards=[needs(Scope.PEOPLE_READ)], sync_to_thread=True)
def show_customer(request: Request[Any, Any, Any], crm_id: str) -> dict[str, Any]:
    """Show a customer's traits and which kinds of names are known; contact hashes never leave."""
    engine = request.app.state.engine
    stores, contact_key = engine.stores, engine.keys.contact_key
    stored = crm_id_of(crm_id, lambda hash_hex: seal(hash_hex, contact_key))
    customer = int(stores.customers.find_customers([stored])[0])
    if not customer:
        raise NotFound(f"there is no customer {crm_id!r}")
    names = stores.customers.names(customer)
    opt_in = next((name.value == "1" for name in names if name.kind == "opt_in"), None)
    linked = {
        link.visitor
        for link in stores.people.links_of(customer=customer)
        if link.status == "linked"
    }
    return {
        "crm_id": crm_id,
        "traits": stores.traits.traits_of(customer),
        "aliases": sorted({name.kind for name in names if name.kind != "opt_in"}),
        "opt_in": opt_in,
        "visitors": len(linked),
    }


def find_site(request: Request[Any, Any, Any], name: str) -> Site:
    """Give the configured site that is named, if the caller's key is for it.

    An installation's only site needs no name.
    """
    config: Config = request.app.state.engine.config
    site = config.site(name) if name else config.default_site
    if site is None:
        known = ", ".join(each.key for each in config.sites)
        raise NotFound(f"there is no site {name!r}; config/sites has {known}")
    own = key_of(request).sites
    if own and site.key not in own:
        raise PermissionDeniedException(
            f"this key is for the sites {', '.join(own)} and not for {site.key!r}; "
            "name the site by `?site=`"
        )
    return site


def _import(engine: Engine, body: bytes, format_: str, *, must_exist: bool) -> dict[str, Any]:
    columns: CrmColumns = engine.config.customers
    contact_key = engine.keys.contact_key

    def refused(kind: str, value: str) -> bool:
        if must_exist and kind == "crm_id":
            known = int(engine.stores.customers.find_customers([value])[0])
            return not known or engine.tombstones.refuses_import(kind, value)
        return engine.tombstones.refuses_import(kind, value)

    try:
        with engine.changing:
            report = import_customers(
                read_rows(body, format_),
                columns,
                customers=engine.stores.customers,
                traits=engine.stores.customers,
                seal=lambda hash_hex: seal(hash_hex, contact_key),
                refused=refused,
                now_ms=time.time_ns() // 1_000_000,
                computed=frozenset(RFM_TRAITS),
            )
            engine.changed()
    except CrmFileError as problem:
        raise Invalid(str(problem)) from problem
    return _report_shown(report)


def _report_shown(report: ImportReport) -> dict[str, Any]:
    shown: dict[str, Any] = msgspec.to_builtins(report)
    for name in ("rejects", "warnings"):
        rows: Sequence[tuple[int, str]] = getattr(report, name)
        shown[name] = [{"line": line, "reason": reason} for line, reason in rows]
    return shown


def _refuse_erased(
    engine: Engine, part: TagProcess, site: Site, lines: Sequence[bytes]
) -> Imported:
    refused = engine.tombstones.refuses_import
    received_us = engine.now_ms() * 1000
    return collect_import(part.collector, site, lines, refused=refused, received_us=received_us)


ROUTES: Final[tuple[ControllerRouterHandler, ...]] = (
    import_customer_file,
    import_trait_file,
    import_event_file,
    show_customer,
)
