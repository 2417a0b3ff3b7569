"""Imports of customers, in one request or many, and one customer as the CRM knows it.

A row is taken whole or refused with its line and a reason.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec
from litestar import Request, get, post
from litestar.types import ControllerRouterHandler

from matching.contact_hashes import crm_id_of, seal
from matching.crm.report import BatchReport
from matching.crm_import import CrmFileError
from service.api.auth import Scope, needs
from service.api.errors import Invalid, NotFound
from service.api.named_site import find_site
from service.engine.crm_imports import CrmImports, ImportOptions, ImportProblem

Report = TypeVar("Report", bound=BatchReport)


@post(
    "/api/customers/import", guards=[needs(Scope.CUSTOMERS_WRITE, per_site=True)], status_code=200
)
async def import_customer_file(
    request: Request[Any, Any, Any],
    format: str = "csv",  # noqa: A002 - the parameter's name in the API
    site: str = "",
    source: str = "crm",
    import_id: str = "",
    part: int = 0,
    dry_run: bool = False,
    delete_missing: bool = False,
    force: bool = False,
) -> dict[str, Any]:
    """Import customers with aliases, contacts and traits by `config/customers.toml`.

    Requests with one `import_id`, each with its `part` from 0 on, are one file;
    `/api/customers/import/finish` ends it, takes `delete_missing` and tells of all of it.
    """
    find_site(request, site)
    body = await request.body()
    imports = _imports(request)
    options = ImportOptions(format=format, source=source, dry_run=dry_run)
    if import_id:
        return await _told(lambda: imports.part(import_id, body, options, part=part))
    return await _told(
        lambda: imports.whole(body, options, delete_missing=delete_missing, force=force)
    )


@post(
    "/api/customers/import/finish",
    guards=[needs(Scope.CUSTOMERS_WRITE, per_site=True)],
    status_code=200,
)
async def finish_customer_import(
    request: Request[Any, Any, Any],
    import_id: str,
    site: str = "",
    delete_missing: bool = False,
    force: bool = False,
) -> dict[str, Any]:
    """End an import of many requests and tell of the whole file.

    With `delete_missing` customers of this source whom the file does not name lose what it said of
    them; more than a tenth of them only with `force`.
    """
    find_site(request, site)
    imports = _imports(request)
    return await _told(
        lambda: imports.finish(import_id, delete_missing=delete_missing, force=force)
    )


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


def _imports(request: Request[Any, Any, Any]) -> CrmImports:
    """Give the open imports of this engine; the first import makes room for them."""
    state = request.app.state
    if "crm_imports" not in state:
        state.crm_imports = CrmImports(state.engine)
    found: CrmImports = state.crm_imports
    return found


async def _told(work: Callable[[], Report]) -> dict[str, Any]:
    try:
        report = await asyncio.to_thread(work)
    except (CrmFileError, ImportProblem) as problem:
        raise Invalid(str(problem)) from problem
    shown: dict[str, Any] = msgspec.to_builtins(report)
    for name in ("rejects", "warnings"):
        rows: list[tuple[int, str]] = getattr(report, name)
        shown[name] = [{"line": line, "reason": reason} for line, reason in rows]
    return shown


ROUTES: Final[tuple[ControllerRouterHandler, ...]] = (
    import_customer_file,
    finish_customer_import,
    show_customer,
)
