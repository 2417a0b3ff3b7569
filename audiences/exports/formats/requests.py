"""JSON requests that TOML alone describes: a body with a list of members, one segment a request.

Rows sorted by id go in, lines come out, each the body of one request. The texts of the body and of
a member are the seat's, with holes for what the request is about. Sending is the delivery's work.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from audiences.exports.formats.columns import refused_text
from audiences.exports.formats.parts import ANY, Group, Parts
from audiences.exports.formats.request_batches import Batches
from audiences.exports.formats.rows import Counts, IdRow, UnwritableRow, joined
from audiences.exports.seat import Removal, Seat
from audiences.exports.seat_formats import Requests

HOLES: Final = ("segment", "action", "id_type", "account")
MEMBERS: Final = "\x00members\x00"
"""Stands where the members go while the body is written; no text of a TOML file holds it."""


def write(rows: Iterable[IdRow], seat: Seat, out: Parts) -> Counts:
    """Write the rows as requests, each as full as its limits allow."""
    options = _options(seat)
    batches = Batches(
        seat, out, body=lambda about: _body(about, seat), bytes_max=options.request_bytes_max
    )
    removes = seat.membership.removal in {Removal.FILE, Removal.FLAG}
    for row in rows:
        first = 1
        changes = [(segment, "add") for segment, _ in row.adds]
        changes += [(segment, "remove") for segment in row.removes] if removes else []
        for segment, action in changes:
            about = Group(segment, action, row.id_space)
            holes = _values(about, seat) | {"id": row.id}
            batches.put(about, msgspec.json.encode(_filled(options.member, holes)), ids=first)
            first = 0
    batches.finish()
    return out.counts()


def read(files: Iterable[bytes], seat: Seat, groups: Sequence[Group] = ()) -> list[IdRow]:
    """Read the members of all requests back."""
    pieces = []
    for number, data in enumerate(files):
        group = groups[number] if groups else ANY
        for line in data.splitlines():
            pieces += _parse(msgspec.json.decode(line), group, seat)
    return joined(pieces)


def refused_id(text: str, _seat: Seat) -> str:
    """Say why an id cannot be written, or nothing."""
    return refused_text(text)


def refused_segment(segment: str, _seat: Seat) -> str:
    """Say why a segment cannot be written, or nothing."""
    return refused_text(segment)


def place_of(options: Requests) -> list[str]:
    """Give the keys that lead to the list of members."""
    return options.members_at.split(".")


def said_holes(said: Any) -> set[str]:
    """List the holes that the texts of a JSON value name."""
    if isinstance(said, str):
        return {name for name in (*HOLES, "id") if "{" + name + "}" in said}
    inner = said.values() if isinstance(said, dict) else said if isinstance(said, list) else ()
    return set().union(*(said_holes(each) for each in inner))


def _options(seat: Seat) -> Requests:
    if not isinstance(seat.format, Requests):
        raise UnwritableRow(f"seat {seat.key}: its format is not requests")
    return seat.format


def _values(about: Group, seat: Seat) -> dict[str, str]:
    options = _options(seat)
    return {
        "segment": about.segment,
        "action": options.add if about.action == "add" else options.remove,
        "id_type": options.id_types.get(about.id_space, about.id_space),
        "account": seat.account,
    }


def _body(about: Group, seat: Seat) -> tuple[bytes, bytes]:
    options = _options(seat)
    body = _filled(options.body, _values(about, seat))
    *way, last = place_of(options)
    inner = body
    for key in way:
        inner = inner[key]
    inner[last] = [MEMBERS]
    before, _, behind = msgspec.json.encode(body).partition(msgspec.json.encode(MEMBERS))
    return before, behind


def _filled(said: Any, holes: Mapping[str, str]) -> Any:
    match said:
        case str():
            for name, value in holes.items():
                said = said.replace("{" + name + "}", value)
            return said
        case dict():
            return {key: _filled(value, holes) for key, value in said.items()}
        case list():
            return [_filled(each, holes) for each in said]
        case _:
            return said


def _parse(body: Any, group: Group, seat: Seat) -> list[IdRow]:
    options = _options(seat)
    found = _found(options.body, body)
    spaces = {options.id_types.get(each, each): each for each in seat.id_spaces}
    id_space = group.id_space or spaces.get(found.get("id_type", ""), seat.id_spaces[0])
    segment = found.get("segment", group.segment)
    added = group.action == "add" or found.get("action") == options.add
    members = body
    for key in place_of(options):
        members = members[key]
    return [
        IdRow(
            id=_found(options.member, member)["id"],
            id_space=id_space,
            adds=[(segment, 0)] if added else [],
            removes=[] if added else [segment],
        )
        for member in members
    ]


def _found(said: Any, actual: Any) -> dict[str, str]:
    """Give what stands in the holes; each text has one hole at most, as the checks see to."""
    found: dict[str, str] = {}
    if isinstance(said, str):
        for name in said_holes(said):
            before, _, behind = said.partition("{" + name + "}")
            found[name] = actual[len(before) : len(actual) - len(behind)]
    elif isinstance(said, dict):
        for key, value in said.items():
            found |= _found(value, actual[key])
    elif isinstance(said, list):
        for one, other in zip(said, actual, strict=False):
            found |= _found(one, other)
    return found
