"""The checks of seats whose files hold requests: those that TOML describes, and Google's two.

In comes a decoded `Seat`, out come messages, each naming the key at fault and what is allowed.
"""

import re
from typing import Any, Final

from audiences.exports.formats.google_bulk import ID_TYPES
from audiences.exports.formats.google_data_manager import CONTACTS, KINDS, MEMBERS_MAX
from audiences.exports.formats.requests import HOLES, place_of, said_holes
from audiences.exports.id_shapes import normalization_of
from audiences.exports.seat import Removal, Seat, Unit
from audiences.exports.seat_formats import DataManager, GoogleBulk, Requests

BULK_BYTES_MAX: Final = 102_400
DATA_SOURCES: Final = range(1001)
HOLE: Final = re.compile(r"\{([a-z_]+)\}")


def problems_of_requests(seat: Seat, options: Requests) -> list[str]:
    """List what is wrong with requests that TOML describes."""
    membership, per = seat.membership, seat.file.per
    holes = said_holes(options.body)
    problems = [*_of_audiences(seat), *_of_hole_counts(options)]
    if "id" not in said_holes(options.member):
        problems.append("`format.member` must hold {id}")
    inner: Any = options.body
    for key in place_of(options)[:-1]:
        inner = inner.get(key) if isinstance(inner, dict) else None
    if not isinstance(inner, dict):
        problems.append(f"`format.members_at` is {options.members_at!r}, no place in `format.body`")
    if "segment" not in {*holes, *per}:
        problems.append("`format.body` must hold {segment}, or `file.per` segment")
    if len(seat.id_spaces) > 1 and not {"id_type", "id_space"} & {*holes, *per}:
        problems.append("`format.body` must hold {id_type}, or `file.per` id_space")
    types = [options.id_types.get(each, each) for each in seat.id_spaces]
    if len(set(types)) != len(types) and "id_space" not in per:
        problems.append("`format.id_types` says two id spaces alike, so `file.per` needs id_space")
    if stray := sorted(set(options.id_types) - set(seat.id_spaces)):
        problems.append(f"`format.id_types` has {', '.join(stray)}, not among `id_spaces`")
    if membership.removal is Removal.FLAG and (
        "action" not in holes or options.add == options.remove
    ):
        problems.append("`membership.removal` by flag needs {action} in `format.body`")
    if membership.removal not in {Removal.FLAG, Removal.FILE, Removal.NONE}:
        problems.append(f'`membership.removal` is "{membership.removal}"; use flag, file or none')
    return problems


def problems_of_data_manager(seat: Seat, options: DataManager) -> list[str]:
    """List what is wrong with a seat of Google's Data Manager."""
    problems = _of_audiences(seat)
    for id_space in seat.id_spaces:
        kind = options.members.get(id_space, "")
        if kind not in KINDS:
            problems.append(
                f"`format.members.{id_space}` is {kind!r}; known are {', '.join(sorted(KINDS))}"
            )
        hashed = normalization_of(id_space)
        if (kind in CONTACTS) != bool(hashed) or hashed not in {"", "google"}:
            problems.append(
                f"`format.members.{id_space}`: Google takes contacts hashed in its own form, and "
                f"{id_space} is not ({hashed or 'no contacts'})"
            )
    if stray := sorted(set(options.members) - set(seat.id_spaces)):
        problems.append(f"`format.members` has {', '.join(stray)}, not among `id_spaces`")
    kinds = list(options.members.values())
    if len(set(kinds)) != len(kinds) and "id_space" not in seat.file.per:
        problems.append("`format.members` says two id spaces alike, so `file.per` needs id_space")
    if options.ad_user_data != "granted":
        problems.append("`format.ad_user_data` must be granted: Google takes nobody without it")
    if set(kinds) & set(CONTACTS) and not options.terms_accepted:
        problems.append(
            "`format.terms_accepted` must be true: contacts need Customer Match's terms"
        )
    if not 1 <= seat.file.max_items <= MEMBERS_MAX:
        problems.append(f"`file.max_items` is {seat.file.max_items}, not 1..{MEMBERS_MAX}")
    if seat.membership.removal is not Removal.FILE:
        problems.append('`membership.removal` must be "file": :ingest and :remove differ')
    return problems


def problems_of_bulk(seat: Seat, options: GoogleBulk) -> list[str]:
    """List what is wrong with a seat of Google's bulk uploader."""
    membership = seat.membership
    problems = [
        f"`format.id_types.{each}` is {options.id_types.get(each, '')!r}; known are "
        + ", ".join(ID_TYPES)
        for each in seat.id_spaces
        if options.id_types.get(each) not in ID_TYPES
    ]
    if len(set(options.id_types.values())) != len(options.id_types):
        problems.append("`format.id_types` says two id spaces alike")
    if membership.grouping != "membership" or membership.removal is not Removal.FLAG:
        problems.append('`membership` must group by "membership" and remove by "flag"')
    if membership.expiry.unit is not Unit.NONE:
        problems.append('`membership.expiry.unit` must be "none": the list has its own lifetime')
    if options.data_source_id not in DATA_SOURCES:
        problems.append(f"`format.data_source_id` is {options.data_source_id}, not 1..1000")
    if not 1000 <= options.request_bytes_max <= BULK_BYTES_MAX:
        problems.append(
            f"`format.request_bytes_max` is {options.request_bytes_max}, not 1000..{BULK_BYTES_MAX}"
        )
    if seat.file.per:
        problems.append("`file.per` must be empty: a message takes all ids and lists")
    return problems


def _of_audiences(seat: Seat) -> list[str]:
    problems = []
    if seat.membership.grouping != "audience":
        problems.append('`membership.grouping` must be "audience": a request is about one segment')
    if seat.membership.expiry.unit is not Unit.NONE:
        problems.append('`membership.expiry.unit` must be "none": a request says no lifetimes')
    return problems


def _of_hole_counts(options: Requests) -> list[str]:
    """Check that each text has one known hole at most, so that it can be read back."""

    def texts(said: Any) -> list[str]:
        if isinstance(said, str):
            return [said]
        inner = said.values() if isinstance(said, dict) else said if isinstance(said, list) else ()
        return [text for each in inner for text in texts(each)]

    problems = []
    for key, said in (("body", options.body), ("member", options.member)):
        known = {*HOLES, "id"} if key == "member" else {*HOLES}
        for text in texts(said):
            holes = HOLE.findall(text)
            if len(holes) > 1:
                problems.append(f"`format.{key}` has a text with two holes: {text!r}")
            problems += [
                f"`format.{key}` names {{{hole}}}; known are {', '.join(sorted(known))}"
                for hole in holes
                if hole not in known
            ]
    return problems
