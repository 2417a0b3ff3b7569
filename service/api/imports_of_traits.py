"""Imports of traits, by the company itself or by a third party: `import traits`.

A row names somebody who is known already, by CRM id, contact, alias or partner's id. What a third
party says is kept under its own name and never overwrites what the CRM says.
"""

import asyncio
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
from litestar import Request, post
from litestar.types import ControllerRouterHandler

from audiences.rfm import RFM_TRAITS
from matching.contact_hashes import seal
from matching.crm_import import CrmColumns, CrmFileError, read_rows
from matching.customer_traits_store import CustomerTrait
from matching.third_party_rows import CONTACT_SPACE, CRM, CRM_ID, TraitColumns, TypedColumn
from matching.third_party_store import ThirdPartyTrait
from matching.third_party_traits import Said, TraitReport, import_traits
from service.api.auth import Scope, needs
from service.api.errors import Invalid
from service.api.named_site import find_site
from service.config import Config
from service.engine.engine import Engine
from service.engine.stores import Stores

_SOURCE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@post("/api/traits/import", guards=[needs(Scope.CUSTOMERS_WRITE, per_site=True)], status_code=200)
async def import_trait_file(
    request: Request[Any, Any, Any],
    format: str = "csv",  # noqa: A002 - the parameter's name in the API
    site: str = "",
    source: str = "",
) -> dict[str, Any]:
    """Import traits of people who are known already; unknown ones are refused.

    `source` names the third party that says so; without one, or as `crm`, it is the company's own
    word.
    """
    engine = request.app.state.engine
    find_site(request, site)
    if source and not _SOURCE.fullmatch(source):
        raise Invalid(f"source is {source[:80]!r}; give a short name such as acme_panel")
    body = await request.body()
    return await asyncio.to_thread(_import, engine, body, format, "" if source == CRM else source)


def trait_columns(config: Config) -> TraitColumns:
    """Say what the columns of a file mean, by the columns of CRM files and the partners."""
    columns: CrmColumns = config.customers
    kinds = {kind: kind for kind in columns.aliases}
    contacts = {
        column: contact
        for contact in CONTACT_SPACE
        for column in (contact, *columns.contact_columns(contact))
    }
    return TraitColumns(
        crm_id=columns.crm_id,
        contacts=contacts,
        aliases=kinds | {column: kind for kind, column in columns.aliases.items()},
        partners={partner.key: partner.id_space for partner in config.partners},
        typed={
            each.column: TypedColumn(trait=trait, type=each.type, separator=each.separator)
            for trait, each in (columns.traits or {}).items()
        },
        never=frozenset(columns.named_columns()),
    )


class _Names:
    """Looks people up in the stores: CRM ids in memory, all else in the tables."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    def customers_of(self, kind: str, values: Iterable[str]) -> Mapping[str, int]:
        """Give the customers who have these names of one kind."""
        if kind != CRM_ID:
            return self._stores.names.customers_of(kind, values)
        crm_ids = list(dict.fromkeys(values))
        found = self._stores.customers.find_customers(crm_ids).tolist()
        return {crm_id: each for crm_id, each in zip(crm_ids, found, strict=True) if each}

    def visitors_of(self, id_space: str, ids: Iterable[str]) -> Mapping[str, tuple[int, ...]]:
        """Give the visitors who carry these ids of one space."""
        return self._stores.names.visitors_of(id_space, ids)


def _import(engine: Engine, body: bytes, format_: str, source: str) -> dict[str, Any]:
    now_ms = time.time_ns() // 1_000_000
    contact_key = engine.keys.contact_key
    try:
        with engine.changing:
            report = import_traits(
                read_rows(body, format_),
                trait_columns(engine.config),
                names=_Names(engine.stores),
                store=lambda said: _store(engine.stores, said, now_ms),
                seal=lambda hash_hex: seal(hash_hex, contact_key),
                refused=engine.tombstones.refuses_import,
                source=source,
                computed=frozenset(RFM_TRAITS),
            )
            engine.imported()
    except CrmFileError as problem:
        raise Invalid(str(problem)) from problem
    return _shown(report)


def _store(stores: Stores, said: Sequence[Said], now_ms: int) -> int:
    own = [each for each in said if each.source == CRM]
    others = [each for each in said if each.source != CRM]
    written = stores.third_party.insert(
        [
            ThirdPartyTrait(holder=each.holder, source=each.source, **_fields(each, now_ms))
            for each in others
        ]
    )
    rows = [
        CustomerTrait(customer=each.holder, source=CRM, **_fields(each, now_ms)) for each in own
    ]
    stores.customers.put_traits(rows)
    return written + sum(1 for each in rows if each.kind)


def _fields(said: Said, now_ms: int) -> dict[str, Any]:
    value = said.value
    return {
        "trait": said.trait,
        "kind": value.kind if value else "",
        "text": value.text if value else "",
        "number": value.number if value else 0.0,
        "at_ms": now_ms,
    }


def _shown(report: TraitReport) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(report)
    rejects = [{"line": line, "reason": reason} for line, reason in report.rejects]
    return plain | {"rejects": rejects}


ROUTES: Final[tuple[ControllerRouterHandler, ...]] = (import_trait_file,)
