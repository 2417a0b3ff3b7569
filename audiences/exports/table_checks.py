"""The checks of seats whose files are made of columns: CSV, NDJSON and Parquet.

In comes a decoded `Seat`, out come messages, each naming the key at fault and what is allowed.
"""

from typing import Final

from audiences.exports.seat import Removal, Seat, Unit
from audiences.exports.seat_formats import Csv, Parquet, Table

VALUES: Final = ("id", "id_space", "segment", "action", "minutes", "days")
ADDRESS_COLUMNS: Final = frozenset({"first_name", "last_name", "country", "zip"})
"""What may stand beside an id in a column of its own, though it is no id."""
ROW_GROUP_ROWS_MAX: Final = 1_048_576


def problems_of_csv(seat: Seat, options: Csv) -> list[str]:
    """List what is wrong with a CSV seat."""
    problems = problems_of_table(seat, options)
    if len(options.delimiter) != 1 or options.delimiter in '"\r\n':
        problems.append(f"`format.delimiter` is {options.delimiter!r}; it must be one character")
    return problems


def problems_of_table(seat: Seat, options: Table) -> list[str]:
    """List what is wrong with the columns of a seat."""
    problems = [
        *_of_columns(seat, options),
        *_of_ids(seat, options),
        *_of_removal(seat, options),
    ]
    if isinstance(options, Parquet):
        problems += _of_parquet(seat, options)
    return problems


def _of_columns(seat: Seat, options: Table) -> list[str]:
    bare = [column.value for column in options.columns if not column.id_space]
    headers = [column.header for column in options.columns]
    problems = [
        f"`format.columns` has the value {column.value!r}; known are {', '.join(VALUES)}"
        for column in options.columns
        if column.value not in VALUES
    ]
    problems += [
        f"`format.columns` has {column.header!r} for {column.id_space!r}, not among `id_spaces`"
        for column in options.columns
        if column.id_space
        and (column.value != "id" or column.id_space not in {*seat.id_spaces, *ADDRESS_COLUMNS})
    ]
    if len(set(headers)) != len(headers) or len(set(bare)) != len(bare):
        problems.append("`format.columns` names a header or a value twice")
    lifetimes = {"minutes", "days"} & set(bare)
    if lifetimes and seat.membership.expiry.unit is Unit.NONE:
        problems.append("`format.columns` has a lifetime, but `membership.expiry` has no unit")
    return problems


def _of_ids(seat: Seat, options: Table) -> list[str]:
    bare = {column.value for column in options.columns if not column.id_space}
    apart = {column.id_space for column in options.columns if column.id_space}
    problems = []
    if "id" not in bare and not set(seat.id_spaces) <= apart:
        problems.append("`format.columns` lacks id, or a column for each of `id_spaces`")
    if "id" in bare and apart:
        problems.append("`format.columns` has id both for all and for single id spaces")
    told = "id_space" in bare or "id_space" in seat.file.per or apart
    if len(seat.id_spaces) > 1 and not told:
        problems.append("`format.columns` lacks id_space, which several `id_spaces` need")
    by_audience = seat.membership.grouping == "audience"
    if by_audience != ("segment" in seat.file.per):
        problems.append('`file.per` has segment just where `membership.grouping` is "audience"')
    if seat.membership.grouping == "user":
        problems.append('`membership.grouping` must be "membership" or "audience": a row holds one')
    if not by_audience and "segment" not in bare:
        problems.append("`format.columns` lacks segment")
    return problems


def _of_removal(seat: Seat, options: Table) -> list[str]:
    bare = {column.value for column in options.columns}
    removal = seat.membership.removal
    problems = []
    if removal is Removal.FLAG and ("action" not in bare or options.add == options.remove):
        problems.append("`membership.removal` by flag needs a column action with two values")
    allowed = {Removal.FLAG, Removal.FILE, Removal.REPLACE, Removal.NONE}
    if removal not in allowed:
        problems.append(f'`membership.removal` is "{removal}"; use flag or replace, file or none')
    return problems


def _of_parquet(seat: Seat, options: Parquet) -> list[str]:
    problems = []
    if seat.file.max_bytes or seat.file.compression != "none":
        problems.append(
            "`file` must have neither `max_bytes` nor `compression`: Parquet compresses itself and "
            "is split by `max_rows`"
        )
    if not 1 <= options.row_group_rows <= ROW_GROUP_ROWS_MAX:
        problems.append(f"`format.row_group_rows` must lie between 1 and {ROW_GROUP_ROWS_MAX}")
    return problems
