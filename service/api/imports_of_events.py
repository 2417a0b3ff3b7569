"""Imports of events: Segment messages from a file, with what tills know of their customers.

They go through the spool like all others; a line that cannot be taken is refused with a reason.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from litestar import Request, post
from litestar.types import ControllerRouterHandler

from service.api.auth import Scope, needs
from service.api.errors import Invalid
from service.api.named_site import find_site
from service.engine.engine import Engine
from service.engine.stores import Stores
from service.tag.collect_import import Imported, collect_import
from service.tag.process import TagProcess
from service.tag.tag_state import Site


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
    lines = (await request.body()).splitlines()
    imported = await asyncio.to_thread(_read, engine, part, known, lines)
    # Why on the event loop: the spool belongs to its thread.
    if imported.records:
        part.spool.append(imported.records)
        await part.spool.kept()
        part.balance.received(kept=len(imported.records), dropped=Counter())
    rejects = [{"line": line, "reason": reason} for line, reason in imported.refused]
    rows = len(imported.records) + len(rejects)
    return {"rows": rows, "imported": len(imported.records), "rejects": rejects}


class TillAliases:
    """The aliases of customers, by the kinds that `config/customers.toml` names."""

    def __init__(self, stores: Stores, kinds: Iterable[str]) -> None:
        self.kinds = tuple(kinds)
        self._stores = stores

    def crm_ids_of(self, kind: str, aliases: Iterable[str]) -> Mapping[str, str]:
        """Give the CRM id of those who have one of these aliases."""
        customers = self._stores.names.customers_of(kind, aliases)
        crm_ids = self._stores.customers.crm_ids(list(customers.values()))
        return {
            alias: crm_ids[customer] for alias, customer in customers.items() if customer in crm_ids
        }


def _read(engine: Engine, part: TagProcess, site: Site, lines: Sequence[bytes]) -> Imported:
    return collect_import(
        part.collector,
        site,
        lines,
        refused=engine.tombstones.refuses_import,
        received_us=engine.now_ms() * 1000,
        aliases=TillAliases(engine.stores, engine.config.customers.aliases),
    )


ROUTES: Final[tuple[ControllerRouterHandler, ...]] = (import_event_file,)
