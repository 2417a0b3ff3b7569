"""Messages from a file, taken as if the site's own server had sent them.

Lines come in, records to append and refused lines with their reasons go out.
"""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from matching.contact_hashes import crm_id_of
from service.tag.door import Door
from service.tag.message_bodies import read_single
from service.tag.messages import server_time_fault
from service.tag.request import Caller, TagRequest
from service.tag.sender import Sender, sender_of
from service.tag.steps import NO_VISITOR, STEPS_OF_SEGMENT, Stop, draft_of, record_of
from service.tag.tag_state import Site

ERASED: Final = "erased: this person asked to be forgotten"


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """What became of imported messages: records to append, and refused lines with reasons."""

    records: tuple[bytes, ...]
    refused: tuple[tuple[int, str], ...]


def collect_import(
    door: Door,
    site: Site,
    lines: Sequence[bytes],
    *,
    refused: Callable[[str, str | bytes], bool],
    received_us: int,
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
    records: list[bytes] = []
    problems: list[tuple[int, str]] = []
    for number, line in enumerate(lines, start=1):
        found = _record_or_reason(door, request, sender, line, refused)
        if isinstance(found, bytes):
            records.append(found)
        else:
            problems.append((number, found))
    return Imported(records=tuple(records), refused=tuple(problems))


def _record_or_reason(
    door: Door,
    request: TagRequest,
    sender: Sender,
    line: bytes,
    refused: Callable[[str, str | bytes], bool],
) -> bytes | str:
    (given,) = read_single(line, "")
    if given.message is None:
        return given.problem
    fault = server_time_fault(given.message, received_ms=request.received_us // 1000)
    if fault:
        return fault
    if refused("crm_id", crm_id_of(given.message.customer, door.seal)):
        return ERASED
    draft = draft_of(given.message, given, sender, request)
    try:
        for step in STEPS_OF_SEGMENT:
            step(door, draft)
    except Stop as stop:
        return stop.reason
    if draft.visitor != NO_VISITOR and refused("visitor", draft.visitor):
        return ERASED
    return record_of(door, draft)
