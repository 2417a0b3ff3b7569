"""Messages from a file, taken as if the site's own server had sent them.

Lines come in, records to append and refused lines with their reasons go out. A till names its
customers by CRM id, or by an alias in `context.externalIds`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from matching.contact_hashes import crm_id_of
from matching.identification import Method
from service.tag.door import Door
from service.tag.message_bodies import Given, read_single
from service.tag.messages import server_time_fault
from service.tag.request import Caller, TagRequest
from service.tag.sender import Sender, sender_of
from service.tag.steps import NO_VISITOR, STEPS_OF_SEGMENT, Stop, draft_of, record_of
from service.tag.tag_state import Site
from service.tag.till_names import (
    Aliases,
    NoAliases,
    TillName,
    crm_ids_of,
    names_others,
    till_names,
)

ERASED: Final = "erased: this person asked to be forgotten"
NAME_SOMEBODY: Final = (
    "none of its externalIds is of a type that config/customers.toml calls an alias; "
    "give userId or anonymousId"
)
SHOWN_CHARS_MAX: Final = 40

Refused = Callable[[str, str | bytes], bool]


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """What became of imported messages: records to append, and refused lines with reasons."""

    records: tuple[bytes, ...]
    refused: tuple[tuple[int, str], ...]


class _Refused(Exception):
    """A line that is not imported, and why."""


def collect_import(
    door: Door,
    site: Site,
    lines: Sequence[bytes],
    *,
    refused: Refused,
    received_us: int,
    aliases: Aliases | None = None,
) -> Imported:
    """Take the lines of a file; they are numbered from 1.

    `refused` tells of a kind of name and a name whether this person was erased.
    """
    request = TagRequest(
        method="POST",
        path="/v1/batch",
        query="",
        caller=Caller(headers={}),
        received_us=received_us,
    )
    sender = sender_of(door, request, site, server=True)
    given = [read_single(line, "")[0] for line in lines]
    tills = _tills(door, given, aliases or NoAliases())
    records: list[bytes] = []
    problems: list[tuple[int, str]] = []
    for number, (each, till) in enumerate(zip(given, tills, strict=True), start=1):
        try:
            records.append(_record(door, request, sender, each, till, refused))
        except _Refused as problem:
            problems.append((number, str(problem)))
    return Imported(records=tuple(records), refused=tuple(problems))


def _tills(door: Door, given: Sequence[Given], aliases: Aliases) -> list[Mapping[TillName, str]]:
    """Give of each line the aliases that it names, with the CRM id of who has them, or nothing."""
    kinds = tuple(aliases.kinds)
    named = [till_names(each.message, kinds, door.seal) if each.message else [] for each in given]
    known = crm_ids_of([name for names in named for name in names], aliases)
    return [{name: known.get(name, "") for name in names} for names in named]


def _record(
    door: Door,
    request: TagRequest,
    sender: Sender,
    given: Given,
    till: Mapping[TillName, str],
    refused: Refused,
) -> bytes:
    if given.message is None:
        raise _Refused(given.problem)
    fault = server_time_fault(given.message, received_ms=request.received_us // 1000)
    if fault:
        raise _Refused(fault)
    customer = crm_id_of(given.message.customer, door.seal)
    if any(refused(*name) for name in (("crm_id", customer), *till)):
        raise _Refused(ERASED)
    customer = _customer(customer, till)
    if refused("crm_id", customer):
        raise _Refused(ERASED)
    if not customer and not given.message.browser and names_others(given.message):
        raise _Refused(f"names nobody: {NAME_SOMEBODY}")
    draft = draft_of(given.message, given, sender, request)
    try:
        for step in STEPS_OF_SEGMENT:
            step(door, draft)
    except Stop as stop:
        raise _Refused(stop.reason) from stop
    if draft.visitor != NO_VISITOR and refused("visitor", draft.visitor):
        raise _Refused(ERASED)
    # Why not a server's call or purchase: a file tells of the past, and of no session.
    draft.proved, draft.method = customer, Method.IMPORT if customer else ""
    return record_of(door, draft)


def _customer(customer: str, till: Mapping[TillName, str]) -> str:
    """Give the one customer whom a line names, as stored; all its names must mean the same."""
    for (kind, alias), crm_id in till.items():
        shown = f"{kind} {alias[:SHOWN_CHARS_MAX]!r}"
        if not crm_id:
            raise _Refused(f"unknown: no customer has the {shown}")
        if customer and crm_id != customer:
            raise _Refused(f"names two customers: the {shown} is not that of the other name")
        customer = crm_id
    return customer
