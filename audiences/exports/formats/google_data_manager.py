"""Google's Data Manager: bodies of audienceMembers:ingest and audienceMembers:remove, one a line.

Rows sorted by id go in; requests of one segment, one action and at most `file.max_items` members
come out. Both consents stand in every ingest; a removal knows none. Sending is the delivery's work.
"""

from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

from audiences.exports.formats.columns import ids_of, refused_text
from audiences.exports.formats.parts import ANY, Group, Parts
from audiences.exports.formats.request_batches import Batches
from audiences.exports.formats.rows import Counts, IdRow, UnwritableRow, joined
from audiences.exports.seat import Seat
from audiences.exports.seat_formats import DataManager, GoogleAccount

IDENTIFIERS_MAX: Final = 10
MEMBERS_MAX: Final = 10_000
CONTACTS: Final = {"email_address": "emailAddress", "phone_number": "phoneNumber"}
ADDRESS: Final = {
    "given_name": "givenName",
    "family_name": "familyName",
    "region_code": "regionCode",
    "postal_code": "postalCode",
}
"""Parts of an address as ids beside another one; all four or none. The last two are not hashed."""
OF_ONE_ID: Final = {
    "user_id": ("userIdData", "userId"),
    "google_user_id": ("googleUserIdData", "googleUserId"),
    "partner_provided_id": ("partnerProvidedIdData", "partnerProvidedId"),
}
OF_SEVERAL_IDS: Final = {
    "mobile_id": ("mobileData", "mobileIds"),
    "ppid": ("ppidData", "ppids"),
    "pair_id": ("pairData", "pairIds"),
}
KINDS: Final = frozenset({*CONTACTS, *OF_ONE_ID, *OF_SEVERAL_IDS})


def write(rows: Iterable[IdRow], seat: Seat, out: Parts) -> Counts:
    """Write the rows as requests, each as full as its limits allow."""
    options = _options(seat)
    batches = Batches(
        seat, out, body=lambda about: _body(about, seat), bytes_max=options.request_bytes_max
    )
    for row in rows:
        member = msgspec.json.encode(_member(row, seat))
        # Why: a request may hold members of all kinds, unless each id space has files of its own.
        id_space = row.id_space if "id_space" in seat.file.per else ""
        first = ids_of(row, seat)
        for segment, _ in row.adds:
            batches.put(Group(segment, "add", id_space), member, ids=first)
            first = 0
        for segment in row.removes:
            batches.put(Group(segment, "remove", id_space), member, ids=first)
            first = 0
    batches.finish()
    return out.counts()


def read(files: Iterable[bytes], seat: Seat, groups: Sequence[Group] = ()) -> list[IdRow]:
    """Read the members of all requests back."""
    pieces = []
    for number, data in enumerate(files):
        group = groups[number] if groups else ANY
        for line in data.splitlines():
            request = msgspec.json.decode(line)
            segment = request["destinations"][0]["productDestinationId"]
            # Why: only an ingest speaks of consent.
            added = "consent" in request
            for member in request["audienceMembers"]:
                (id_space, name), *others = _named(member, group, seat)
                pieces.append(
                    IdRow(
                        id=name,
                        id_space=id_space,
                        adds=[(segment, 0)] if added else [],
                        removes=[] if added else [segment],
                        others=others,
                    )
                )
    return joined(pieces)


def refused_id(text: str, _seat: Seat) -> str:
    """Say why an id cannot be written, or nothing."""
    return refused_text(text)


def refused_segment(segment: str, _seat: Seat) -> str:
    """Say why a segment cannot be written, or nothing."""
    return "" if segment.isascii() and segment.isdecimal() else "an audience's id is a number"


def _options(seat: Seat) -> DataManager:
    if not isinstance(seat.format, DataManager):
        raise UnwritableRow(f"seat {seat.key}: its format is not Google's Data Manager")
    return seat.format


def _body(about: Group, seat: Seat) -> tuple[bytes, bytes]:
    options = _options(seat)
    destination: dict[str, Any] = {"operatingAccount": _account(options.operating_account)}
    if options.login_account:
        destination["loginAccount"] = _account(options.login_account)
    if options.linked_account:
        destination["linkedAccount"] = _account(options.linked_account)
    destination["productDestinationId"] = about.segment
    before = b'{"destinations":' + msgspec.json.encode([destination]) + b',"audienceMembers":['
    behind: dict[str, Any] = {}
    if about.action == "add":
        behind["consent"] = {
            "adUserData": f"CONSENT_{options.ad_user_data.upper()}",
            "adPersonalization": f"CONSENT_{options.ad_personalization.upper()}",
        }
        if options.terms_accepted:
            behind["termsOfService"] = {"customerMatchTermsOfServiceStatus": "ACCEPTED"}
    if set(options.members.values()) & set(CONTACTS):
        behind["encoding"] = options.encoding.upper()
    behind["validateOnly"] = options.validate_only
    return before, b"]," + msgspec.json.encode(behind)[1:]


def _account(account: GoogleAccount) -> dict[str, str]:
    return {"accountType": account.type, "accountId": account.id}


def _member(row: IdRow, seat: Seat) -> dict[str, Any]:
    kinds = _options(seat).members
    kind = kinds[row.id_space]
    if kind in OF_ONE_ID:
        outer, inner = OF_ONE_ID[kind]
        return {outer: {inner: row.id}}
    same = [name for space, name in row.others if kinds.get(space) == kind]
    if kind in OF_SEVERAL_IDS:
        outer, inner = OF_SEVERAL_IDS[kind]
        return {outer: {inner: [row.id, *same][:IDENTIFIERS_MAX]}}
    contacts = [
        {CONTACTS[kinds[space]]: _encoded(name, seat)}
        for space, name in [(row.id_space, row.id), *row.others]
        if kinds.get(space) in CONTACTS
    ]
    identifiers = [*contacts, *_address(row, seat)]
    if len(identifiers) > IDENTIFIERS_MAX:
        raise UnwritableRow(
            f"seat {seat.key}: a member has {len(identifiers)} identifiers; Google takes at most "
            f"{IDENTIFIERS_MAX}"
        )
    return {"userData": {"userIdentifiers": identifiers}}


def _address(row: IdRow, seat: Seat) -> list[dict[str, Any]]:
    parts = {space: text for space, text in row.others if space in ADDRESS}
    if set(parts) != set(ADDRESS):
        return []
    hashed = ("given_name", "family_name")
    address = {
        said: _encoded(parts[name], seat) if name in hashed else parts[name]
        for name, said in ADDRESS.items()
    }
    return [{"address": address}]


def _encoded(digest: str, seat: Seat) -> str:
    if _options(seat).encoding == "hex":
        return digest
    return b64encode(bytes.fromhex(digest)).decode()


def _decoded(text: str, seat: Seat) -> str:
    return text if _options(seat).encoding == "hex" else b64decode(text).hex()


def _named(member: dict[str, Any], group: Group, seat: Seat) -> list[tuple[str, str]]:
    kinds = _options(seat).members
    spaces = {kind: space for space, kind in reversed(kinds.items())}
    named: list[tuple[str, str]] = []
    for kind, (outer, inner) in OF_ONE_ID.items():
        if outer in member:
            named.append((group.id_space or spaces[kind], member[outer][inner]))
    for kind, (outer, inner) in OF_SEVERAL_IDS.items():
        each = member.get(outer, {}).get(inner, ())
        named += [(group.id_space or spaces[kind], name) for name in each]
    for identifier in member.get("userData", {}).get("userIdentifiers", ()):
        for kind, said in CONTACTS.items():
            if said in identifier:
                named.append((spaces[kind], _decoded(identifier[said], seat)))
        for part, said in ADDRESS.items() if "address" in identifier else ():
            text = identifier["address"][said]
            hashed = part in {"given_name", "family_name"}
            named.append((part, _decoded(text, seat) if hashed else text))
    return named
