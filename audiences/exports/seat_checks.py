"""The checks that a seat's own values must pass before it is used.

In comes a decoded `Seat`, out come messages, each naming the key at fault and what is allowed.
Types and unknown keys are the decoder's work; nothing here reads files.
"""

import re
import string
from typing import Final

from audiences.exports.seat import (
    MINUTES_PER_DAY,
    Csv,
    Delimited,
    Json,
    Mode,
    Removal,
    Seat,
    Separators,
    Unit,
)

KEY: Final = re.compile(r"[a-z0-9][a-z0-9_]*")
NAME_PARTS: Final = frozenset({"seat", "partner", "account", "run", "part", "mode", "date"})
XANDR_FIELDS: Final = ("SEG_ID", "SEG_CODE", "MEMBER_ID", "EXPIRATION", "TIMESTAMP", "VALUE")
XANDR_FORBIDDEN: Final = frozenset("[](){}$\\/|?*+-")
XANDR_DOMAINS: Final = frozenset({"3", "4", "5", "7", "8", "9", "10"})
XANDR_MINUTES_MAX: Final = 259_200
INT32_MAX: Final = 2_147_483_647
CSV_VALUES: Final = ("id", "id_space", "segment", "action", "minutes", "days")


def problems_of(seat: Seat) -> list[str]:
    """List what is wrong with a seat; an empty list means that it can be used."""
    problems = [*_of_seat(seat), *_of_file(seat), *_of_expiry(seat), *_of_mode(seat)]
    match seat.format:
        case Delimited():
            problems += _of_delimited(seat, seat.format)
        case Json():
            problems += _of_json(seat, seat.format)
        case Csv():
            problems += _of_csv(seat, seat.format)
    return problems


def _of_seat(seat: Seat) -> list[str]:
    problems = []
    if not KEY.fullmatch(seat.key):
        problems.append(f"`key` is {seat.key!r}; use lower-case letters, digits and _")
    if not seat.id_spaces:
        problems.append("`id_spaces` is empty; name at least one id space")
    if len(set(seat.id_spaces)) != len(seat.id_spaces):
        problems.append(f"`id_spaces` names one twice: {', '.join(seat.id_spaces)}")
    if seat.min_size < 0:
        problems.append(f"`min_size` is {seat.min_size}; it must not be negative")
    if seat.lives_days < 1:
        problems.append(f"`lives_days` is {seat.lives_days}; it must be at least 1")
    return problems


def _of_file(seat: Seat) -> list[str]:
    file = seat.file
    try:
        used = {name for _, name, _, _ in string.Formatter().parse(file.name) if name is not None}
    except ValueError as error:
        return [f"`file.name` cannot be read: {error}"]
    problems = []
    if unknown := sorted(used - NAME_PARTS):
        known = ", ".join(sorted(NAME_PARTS))
        problems.append(f"`file.name` uses {', '.join(unknown)}; known are {known}")
    if not {"run", "part"} <= used:
        problems.append("`file.name` must hold {run} and {part}, or files overwrite each other")
    if "/" in file.name or file.name.startswith("."):
        problems.append(f"`file.name` is {file.name!r}; it must be a plain, visible file name")
    problems += [
        f"`file.{name}` is {getattr(file, name)}; it must not be negative (0 = no limit)"
        for name in ("max_rows", "max_bytes", "max_items")
        if getattr(file, name) < 0
    ]
    return problems


def _of_expiry(seat: Seat) -> list[str]:
    membership, expiry = seat.membership, seat.membership.expiry
    if expiry.unit is Unit.NONE:
        if membership.refresh_before_days or expiry.max or expiry.default:
            return ["`membership.expiry` has no unit, so `max`, `default` and refresh must be 0"]
        return []
    day = MINUTES_PER_DAY if expiry.unit is Unit.MINUTES else 1
    problems = []
    if not day <= expiry.default <= expiry.max:
        problems.append(
            f"`membership.expiry.default` is {expiry.default} {expiry.unit}; it must lie between "
            f"one day ({day}) and `max` ({expiry.max})"
        )
    if not 0 <= membership.refresh_before_days < max(1, expiry.default // day):
        problems.append(
            f"`membership.refresh_before_days` is {membership.refresh_before_days}; it must be "
            f"less than the default lifetime of {expiry.default // day} days"
        )
    return problems


def _of_mode(seat: Seat) -> list[str]:
    membership = seat.membership
    if membership.removal is Removal.REPLACE and membership.mode is not Mode.FULL:
        return [f'`membership.mode` is "{membership.mode}"; removal by replacing needs "full"']
    return []


def _of_delimited(seat: Seat, options: Delimited) -> list[str]:
    membership = seat.membership
    problems = [*_of_separators(options.separators), *_of_fields(seat, options)]
    if membership.grouping != "user":
        problems.append('`membership.grouping` must be "user": a line holds one id')
    if membership.removal not in {Removal.SENTINEL, Removal.SECTION}:
        problems.append(f'`membership.removal` is "{membership.removal}"; use sentinel or section')
    if not 1 <= options.segments_per_line_max <= 1800:
        problems.append(
            f"`format.segments_per_line_max` is {options.segments_per_line_max}, not 1..1800"
        )
    for id_space, domain in options.tags.items():
        if id_space not in seat.id_spaces:
            problems.append(f"`format.tags.{id_space}` is not among `id_spaces`")
        if domain not in XANDR_DOMAINS:
            problems.append(f"`format.tags.{id_space}` is {domain!r}, not a known domain number")
    if sum(id_space not in options.tags for id_space in seat.id_spaces) > 1:
        problems.append("`format.tags` must tell all `id_spaces` but one apart")
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
    fields, expiry = options.fields, seat.membership.expiry
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
    if "EXPIRATION" in fields and (
        expiry.unit is not Unit.MINUTES or expiry.max > XANDR_MINUTES_MAX
    ):
        problems.append(
            f"`membership.expiry` must count in minutes with at most {XANDR_MINUTES_MAX} (180 days)"
        )
    if "EXPIRATION" not in fields and seat.membership.removal is Removal.SENTINEL:
        problems.append("`membership.removal` by sentinel needs EXPIRATION among `format.fields`")
    if not 0 <= options.value <= INT32_MAX:
        problems.append(f"`format.value` is {options.value}; it must lie between 0 and {INT32_MAX}")
    return problems


def _of_json(seat: Seat, options: Json) -> list[str]:
    membership = seat.membership
    problems = [
        f"`format.id_keys` has no key for the id space {id_space!r}"
        for id_space in seat.id_spaces
        if id_space not in options.id_keys
    ]
    if len(set(options.id_keys.values())) != len(options.id_keys):
        problems.append("`format.id_keys` gives two id spaces the same key")
    if taken := {"Data"} & set(options.id_keys.values()):
        problems.append(f"`format.id_keys` must not be {', '.join(taken)}")
    if "Items" in options.request:
        problems.append("`format.request` must not hold Items: the format writes them")
    if membership.grouping != "user" or membership.removal is not Removal.SENTINEL:
        problems.append('`membership` must group by "user" and remove by "sentinel" (lifetime 0)')
    if membership.expiry.unit is not Unit.MINUTES:
        problems.append("`membership.expiry.unit` must be minutes")
    if options.request_bytes_max < 1000:
        problems.append(f"`format.request_bytes_max` is {options.request_bytes_max}, too small")
    return problems


def _of_csv(seat: Seat, options: Csv) -> list[str]:
    values = [column.value for column in options.columns]
    headers = [column.header for column in options.columns]
    problems = [
        f"`format.columns` has the value {value!r}; known are {', '.join(CSV_VALUES)}"
        for value in values
        if value not in CSV_VALUES
    ]
    if len(set(headers)) != len(headers) or len(set(values)) != len(values):
        problems.append("`format.columns` names a header or a value twice")
    problems += [
        f"`format.columns` lacks {each}" for each in ("id", "segment") if each not in values
    ]
    if len(seat.id_spaces) > 1 and "id_space" not in values:
        problems.append("`format.columns` lacks id_space, which several `id_spaces` need")
    flagged = seat.membership.removal is Removal.FLAG
    if flagged and ("action" not in values or options.add == options.remove):
        problems.append("`membership.removal` by flag needs a column action with two values")
    if seat.membership.removal not in {Removal.FLAG, Removal.REPLACE}:
        problems.append(f'`membership.removal` is "{seat.membership.removal}"; use flag or replace')
    if seat.membership.grouping != "membership":
        problems.append('`membership.grouping` must be "membership": a row holds one segment')
    if len(options.delimiter) != 1 or options.delimiter in '"\r\n':
        problems.append(f"`format.delimiter` is {options.delimiter!r}; it must be one character")
    return problems
