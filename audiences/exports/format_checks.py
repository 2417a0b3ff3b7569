"""The checks of what a seat says about its format, those of tables and requests apart.

In comes a decoded `Seat`, out come messages, each naming the key at fault and what is allowed.
What all formats share is `seat_checks.py`'s work; nothing here reads files.
"""

from typing import Final

from audiences.exports.request_checks import (
    problems_of_bulk,
    problems_of_data_manager,
    problems_of_requests,
)
from audiences.exports.seat import Removal, Seat, Unit
from audiences.exports.seat_formats import (
    Avro,
    Csv,
    DataManager,
    Delimited,
    GoogleBulk,
    Json,
    Lines,
    Ndjson,
    Parquet,
    Requests,
    Separators,
)
from audiences.exports.table_checks import problems_of_csv, problems_of_table

XANDR_FIELDS: Final = ("SEG_ID", "SEG_CODE", "MEMBER_ID", "EXPIRATION", "TIMESTAMP", "VALUE")
XANDR_FORBIDDEN: Final = frozenset("[](){}$\\/|?*+-")
XANDR_DOMAINS: Final = frozenset({"3", "4", "5", "7", "8", "9", "10"})
XANDR_MINUTES_MAX: Final = 259_200
XANDR_REMOVED: Final = -1
AVRO_DOMAINS: Final = frozenset(
    {
        *("idfa", "sha1udid", "md5udid", "openudid", "aaid"),
        *("windowsadid", "rida", "tifa", "vida", "lgudid"),
    }
)
INT32_MAX: Final = 2_147_483_647
TTD_ID_KEYS: Final = frozenset(
    {
        *("TDID", "DAID", "UID2", "UID2Token", "EUID", "EUIDToken", "RampID", "CoreID", "ID5"),
        *("NetID", "FirstID", "UtiqID", "MerkuryID", "RealID", "IqviaPPID"),
    }
)


def problems_of_format(seat: Seat) -> list[str]:
    """List what is wrong with a seat's format and what goes with it."""
    match seat.format:
        case Delimited():
            return _of_delimited(seat, seat.format)
        case Avro():
            return _of_avro(seat, seat.format)
        case Json():
            return _of_json(seat, seat.format)
        case Lines():
            return _of_lines(seat, seat.format)
        case Csv():
            return problems_of_csv(seat, seat.format)
        case Ndjson() | Parquet():
            return problems_of_table(seat, seat.format)
        case Requests():
            return problems_of_requests(seat, seat.format)
        case DataManager():
            return problems_of_data_manager(seat, seat.format)
        case GoogleBulk():
            return problems_of_bulk(seat, seat.format)


def _of_delimited(seat: Seat, options: Delimited) -> list[str]:
    membership = seat.membership
    problems = [*_of_separators(options.separators), *_of_fields(seat, options)]
    if membership.grouping != "user":
        problems.append('`membership.grouping` must be "user": a line holds one id')
    if membership.removal not in {Removal.SENTINEL, Removal.SECTION}:
        problems.append(f'`membership.removal` is "{membership.removal}"; use sentinel or section')
    if membership.sentinel not in {None, XANDR_REMOVED}:
        problems.append(f"`membership.sentinel` is {membership.sentinel}; Xandr removes by -1")
    if not 1 <= options.segments_per_line_max <= 1800:
        problems.append(
            f"`format.segments_per_line_max` is {options.segments_per_line_max}, not 1..1800"
        )
    if seat.file.per:
        problems.append("`file.per` must be empty: Xandr's files take all ids and segments")
    return problems + _of_tags(seat, options)


def _of_tags(seat: Seat, options: Delimited) -> list[str]:
    problems = []
    for id_space, domain in options.tags.items():
        if id_space not in seat.id_spaces:
            problems.append(f"`format.tags.{id_space}` is not among `id_spaces`")
        if domain not in XANDR_DOMAINS:
            problems.append(f"`format.tags.{id_space}` is {domain!r}, not a known domain number")
    if sum(id_space not in options.tags for id_space in seat.id_spaces) > 1:
        problems.append("`format.tags` must tell all `id_spaces` but one apart")
    if len(set(options.tags.values())) != len(options.tags):
        problems.append("`format.tags` gives two id spaces the same domain")
    return problems


def _of_separators(separators: Separators) -> list[str]:
    marks = {name: getattr(separators, name) for name in separators.__struct_fields__}
    problems = []
    for name, mark in marks.items():
        if len(mark) != 1:
            problems.append(f"`format.separators.{name}` is {mark!r}; it must be one character")
        elif mark in XANDR_FORBIDDEN or mark.isalnum() or mark in "\r\n" or ord(mark) > 255:
            problems.append(f"`format.separators.{name}` is {mark!r}, which Xandr does not allow")
    names = list(marks)
    for place, one in enumerate(names):
        problems += [
            f"`format.separators.{one}` and `{other}` are both {marks[one]!r}; only user and field "
            "may be equal"
            for other in names[place + 1 :]
            if marks[one] == marks[other] and (one, other) != ("user", "field")
        ]
    return problems


def _of_fields(seat: Seat, options: Delimited) -> list[str]:
    fields = options.fields
    problems = [
        f"`format.fields` has {field!r}; known are {', '.join(XANDR_FIELDS)}"
        for field in fields
        if field not in XANDR_FIELDS
    ]
    if len(set(fields)) != len(fields):
        problems.append(f"`format.fields` names one twice: {', '.join(fields)}")
    if ("SEG_ID" in fields) == ("SEG_CODE" in fields):
        problems.append("`format.fields` needs SEG_ID or SEG_CODE, never both")
    if "MEMBER_ID" in fields and ("SEG_CODE" not in fields or not seat.account.isdecimal()):
        problems.append(
            "`format.fields` has MEMBER_ID; it needs SEG_CODE and a number as `account`"
        )
    if "EXPIRATION" in fields:
        problems += _of_xandr_minutes(seat)
    elif seat.membership.removal is Removal.SENTINEL:
        problems.append("`membership.removal` by sentinel needs EXPIRATION among `format.fields`")
    if not 0 <= options.value <= INT32_MAX:
        problems.append(f"`format.value` is {options.value}; it must lie between 0 and {INT32_MAX}")
    return problems


def _of_xandr_minutes(seat: Seat) -> list[str]:
    expiry = seat.membership.expiry
    if expiry.unit is Unit.MINUTES and expiry.max <= XANDR_MINUTES_MAX:
        return []
    return [
        f"`membership.expiry` must count in minutes with at most {XANDR_MINUTES_MAX} (180 days)"
    ]


def _of_avro(seat: Seat, options: Avro) -> list[str]:
    membership = seat.membership
    problems = _missing(seat, "id_types", options.id_types)
    if membership.grouping != "user" or membership.removal is not Removal.SENTINEL:
        problems.append('`membership` must group by "user" and remove by "sentinel" (lifetime -1)')
    if membership.sentinel not in {None, XANDR_REMOVED}:
        problems.append(f"`membership.sentinel` is {membership.sentinel}; Xandr removes by -1")
    if membership.expiry.unit is not Unit.NONE:
        problems += _of_xandr_minutes(seat)
    if seat.file.per or seat.file.compression != "none":
        problems.append("`file` must have neither `per` nor `compression`: Avro compresses itself")
    if not 0 <= options.value <= INT32_MAX:
        problems.append(f"`format.value` is {options.value}; it must lie between 0 and {INT32_MAX}")
    if options.block_bytes < 1:
        problems.append(f"`format.block_bytes` is {options.block_bytes}; it must be at least 1")
    return problems + _of_avro_ids(seat, options)


def _of_avro_ids(seat: Seat, options: Avro) -> list[str]:
    problems = []
    for id_space, said in options.id_types.items():
        place = f"`format.id_types.{id_space}`"
        problems += [
            f"{place}: `{key}` goes with the branch {branch}, which needs one"
            for key, branch in (("source", "eid"), ("type", "ifa"), ("domain", "device_id"))
            if (said.branch == branch) != bool(getattr(said, key))
        ]
        if said.domain and said.domain not in AVRO_DOMAINS:
            problems.append(f"{place}: {said.domain!r} is none of Xandr's domains")
    if len(set(map(repr, options.id_types.values()))) != len(options.id_types):
        problems.append("`format.id_types` says two id spaces alike")
    by_account = options.segment == "code" or any(
        each.branch == "external_id" for each in options.id_types.values()
    )
    if by_account and not (seat.account.isdecimal() and int(seat.account) <= INT32_MAX):
        problems.append("`account` must be the member's number: codes and external ids need it")
    return problems


def _of_json(seat: Seat, options: Json) -> list[str]:
    membership = seat.membership
    problems = _missing(seat, "id_keys", options.id_keys)
    # Why: ids of both kinds of device go by one key there, and are kept in one case each here.
    shared = options.id_keys.get("idfa") == "DAID" == options.id_keys.get("aaid")
    keys = [key for space, key in options.id_keys.items() if not (shared and space == "aaid")]
    if len(set(keys)) != len(keys):
        problems.append("`format.id_keys` gives two id spaces the same key")
    if taken := {"Data"} & set(options.id_keys.values()):
        problems.append(f"`format.id_keys` must not be {', '.join(taken)}")
    problems += [
        f"`format.id_keys.{id_space}` is {key!r}; known are {', '.join(sorted(TTD_ID_KEYS))}"
        for id_space, key in options.id_keys.items()
        if key not in TTD_ID_KEYS
    ]
    if "Items" in options.request:
        problems.append("`format.request` must not hold Items: the format writes them")
    if not {"AdvertiserId", "DataProviderId"} & set(options.request):
        problems.append("`format.request` needs AdvertiserId, or DataProviderId for third parties")
    if membership.grouping != "user" or membership.removal is not Removal.SENTINEL:
        problems.append('`membership` must group by "user" and remove by "sentinel" (lifetime 0)')
    if membership.sentinel not in {None, 0}:
        problems.append(f"`membership.sentinel` is {membership.sentinel}; lifetime 0 removes")
    if membership.expiry.unit is not Unit.MINUTES:
        problems.append("`membership.expiry.unit` must be minutes")
    if options.request_bytes_max < 1000:
        problems.append(f"`format.request_bytes_max` is {options.request_bytes_max}, too small")
    if seat.file.per:
        problems.append("`file.per` must be empty: a request takes all ids and segments")
    return problems


def _of_lines(seat: Seat, options: Lines) -> list[str]:
    membership, per = seat.membership, seat.file.per
    problems = [*_of_wordings(seat, options), *_of_line_limits(options)]
    if membership.grouping == "membership":
        problems.append('`membership.grouping` must be "user" or "audience" for lines')
    if (membership.grouping == "audience") != ("segment" in per):
        problems.append('`file.per` has segment just where `membership.grouping` is "audience"')
    if len(seat.id_spaces) > 1 and "id_space" not in per:
        problems.append("`file.per` needs id_space: a line does not say what kind its id is")
    allowed = {Removal.FILE, Removal.REPLACE, Removal.NONE}
    allowed |= {Removal.PREFIX} if membership.grouping == "user" else set()
    if membership.removal not in allowed:
        names = ", ".join(sorted(each.value for each in allowed))
        problems.append(f'`membership.removal` is "{membership.removal}"; use {names}')
    if membership.expiry.unit is not Unit.NONE:
        problems.append('`membership.expiry.unit` must be "none": a line says no lifetimes')
    return problems


def _of_wordings(seat: Seat, options: Lines) -> list[str]:
    by_prefix = seat.membership.removal is Removal.PREFIX
    problems = []
    if by_prefix != bool(options.remove) or (by_prefix and options.remove == options.add):
        problems.append(
            "`format.remove` must be set, unlike `format.add`, just where `membership.removal` is "
            '"prefix"'
        )
    for key, wording in (("add", options.add), ("remove", options.remove)):
        if wording.count("{segment}") != 1 and (key == "add" or wording):
            problems.append(f"`format.{key}` must hold {{segment}} once")
        if {options.separator, options.segment_separator} & set(wording):
            problems.append(f"`format.{key}` holds one of the separators")
    return problems


def _of_line_limits(options: Lines) -> list[str]:
    problems = []
    for key in ("separator", "segment_separator"):
        mark = getattr(options, key)
        if len(mark) != 1 or mark.isalnum() or mark in "\r\n{}":
            problems.append(f"`format.{key}` is {mark!r}; it must be one sign, no letter or digit")
    limits = ("segments_per_line_max", "line_bytes_max", "lines_per_id_max")
    problems += [
        f"`format.{name}` is {getattr(options, name)}; it must not be negative (0 = no limit)"
        for name in limits
        if getattr(options, name) < 0
    ]
    return problems


def _missing(seat: Seat, key: str, named: object) -> list[str]:
    return [
        f"`format.{key}` has no key for the id space {id_space!r}"
        for id_space in seat.id_spaces
        if not isinstance(named, dict) or id_space not in named
    ]
