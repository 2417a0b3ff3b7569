"""Cuts a CSV, NDJSON or Parquet file of customers into rows or, for speed, batches of columns.

A CSV header is line 1; a Parquet row counts from 1. What a row means is not decided here.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from itertools import islice
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq

from matching.crm.cells import Cells, cells_of_arrow, cells_of_values

Row = tuple[int, dict[str, Any]]

UNREADABLE: Final = "\0unreadable"
"""Column of a row that could not be cut; its value says why."""

FIELD_CHARS_MAX: Final = 1_000_000
ROWS_PER_BATCH: Final = 50_000
_NO_CELL: Final = object()


class CrmFileError(Exception):
    """A whole file that cannot be read."""


class CrmBatch(msgspec.Struct, frozen=True, kw_only=True):
    """Rows by column; `unreadable` are lines that could not be cut, and why."""

    lines: list[int]
    columns: dict[str, Cells]
    unreadable: list[tuple[int, str]] = []
    texts: list[str] | None = None
    """Every row as one text, where the reader has it at hand."""

    def __len__(self) -> int:
        return len(self.lines)


class CrmFormat(StrEnum):
    """How a file of customers is written."""

    CSV = "csv"
    NDJSON = "ndjson"
    PARQUET = "parquet"


def read_rows(data: bytes, format: str) -> Iterator[Row]:  # noqa: A002 - the API's own word
    """Give (line, values by column) of every row; an unreadable row has the column UNREADABLE."""
    readers = {
        CrmFormat.CSV: _csv_rows,
        CrmFormat.NDJSON: _ndjson_rows,
        CrmFormat.PARQUET: _parquet_rows,
    }
    if format not in readers:
        raise CrmFileError(f"Unknown format {format!r}; use {', '.join(readers)}.")
    return readers[CrmFormat(format)](data)


def read_batches(
    data: bytes,
    format: str,  # noqa: A002 - the API's own word
    rows_max: int = ROWS_PER_BATCH,
) -> Iterator[CrmBatch]:
    """Give the same rows by column, in batches."""
    if format == CrmFormat.PARQUET:
        yield from _parquet_batches(data, rows_max)
        return
    if format == CrmFormat.CSV:
        whole = _plain_csv(data)
        if whole is not None:
            for begin in range(0, len(whole), rows_max):
                yield _batch_of_table(whole.slice(begin, rows_max), begin + 2)
            return
    yield from batches_of_rows(read_rows(data, format), rows_max)


def batches_of_rows(rows: Iterable[Row], rows_max: int = ROWS_PER_BATCH) -> Iterator[CrmBatch]:
    """Turn rows into columns."""
    several = iter(rows)
    while some := list(islice(several, rows_max)):
        yield _batch_of_rows(some)


def _plain_csv(data: bytes) -> Any:
    """Read a CSV without quotes, whose rows are one line each, as a table; None for others."""
    if b'"' in data or data.count(b"\r") != data.count(b"\r\n"):
        return None
    begin = data.find(b"\n") + 1
    lines = data.count(b"\n") - 1 + (not data.endswith(b"\n"))
    if not begin or lines <= 0:
        return None
    try:
        names = _header(data[:begin].decode("utf-8-sig").rstrip("\r\n").split(_delimiter(data)))
        table = arrow_csv.read_csv(
            pa.BufferReader(memoryview(data)[begin:]),
            read_options=arrow_csv.ReadOptions(column_names=names, block_size=1 << 24),
            parse_options=arrow_csv.ParseOptions(
                delimiter=_delimiter(data), quote_char=False, ignore_empty_lines=False
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
            ),
        )
    except (UnicodeDecodeError, pa.ArrowException):
        return None  # the careful reader says what is wrong, and where
    # Why: an empty line of one column, or of nothing, is no row.
    has_gap = any(line in data for line in (b"\n\n", b"\n\r\n")) or len(table) != lines
    if has_gap or _has_empty_row(table):
        return None
    return table.combine_chunks()


def _has_empty_row(table: Any) -> bool:
    """Tell whether all fields of any row are empty: such a row is passed over."""
    empty = pc.equal(table.column(0), "")
    if not pc.any(empty).as_py():
        return False
    texts = pc.binary_join_element_wise(*table.filter(empty).columns, "")
    return bool(pc.any(pc.equal(texts, "")).as_py())


def _batch_of_table(table: Any, first_line: int) -> CrmBatch:
    texts = None
    if all(pa.types.is_string(each.type) and not each.null_count for each in table.columns):
        texts = pc.binary_join_element_wise(*table.columns, "\1").to_pylist()
    return CrmBatch(
        lines=list(range(first_line, first_line + len(table))),
        columns={name: cells_of_arrow(table[name]) for name in table.column_names},
        texts=texts,
    )


def _batch_of_rows(rows: Sequence[Row]) -> CrmBatch:
    good = [(line, row) for line, row in rows if UNREADABLE not in row]
    names = dict.fromkeys(name for _, row in good for name in row)
    return CrmBatch(
        lines=[line for line, _ in good],
        columns={
            name: cells_of_values([row.get(name, _NO_CELL) for _, row in good], _NO_CELL)
            for name in names
        },
        unreadable=[(line, str(row[UNREADABLE])) for line, row in rows if UNREADABLE in row],
    )


def _parquet_batches(data: bytes, rows_max: int) -> Iterator[CrmBatch]:
    line = 1
    try:
        for batch in pq.ParquetFile(io.BytesIO(data)).iter_batches(batch_size=rows_max):
            yield _batch_of_table(pa.Table.from_batches([batch]), line)
            line += batch.num_rows
    except (pa.ArrowException, OSError) as error:
        raise CrmFileError(f"The Parquet file cannot be read: {error}.") from error


def _csv_rows(data: bytes) -> Iterator[Row]:
    csv.field_size_limit(FIELD_CHARS_MAX)
    reader = csv.reader(io.StringIO(_text(data), newline=""), delimiter=_delimiter(data))
    header: list[str] | None = None
    line = 1
    try:
        for fields in reader:
            if header is None:
                header = _header(fields)
            elif len(fields) > len(header):
                found = f"{len(fields)} fields where the header has {len(header)}"
                yield line, {UNREADABLE: found}
            elif any(fields):
                yield line, dict(zip(header, fields, strict=False))
            line = reader.line_num + 1
    except csv.Error as error:
        # Why a row: what came before it is already being imported and must be reported.
        yield line, {UNREADABLE: f"{error}; nothing from here on was read"}


def _ndjson_rows(data: bytes) -> Iterator[Row]:
    for line, text in enumerate(data.removeprefix(b"\xef\xbb\xbf").splitlines(), start=1):
        if not text.strip():
            continue
        try:
            yield line, msgspec.json.decode(text, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            yield line, {UNREADABLE: "not a JSON object"}


def _parquet_rows(data: bytes) -> Iterator[Row]:
    line = 0
    try:
        for batch in pq.ParquetFile(io.BytesIO(data)).iter_batches():
            for values in batch.to_pylist():
                line += 1
                yield line, values
    except (pa.ArrowException, OSError) as error:
        raise CrmFileError(f"The Parquet file cannot be read: {error}.") from error


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CrmFileError(
            f"Byte {error.start} of the CSV is not UTF-8; save the file as UTF-8."
        ) from error


def _delimiter(data: bytes) -> str:
    """Take whatever stands most often in the header: spreadsheets write `;` in half of Europe."""
    header = data.split(b"\n", 1)[0].decode(errors="replace")
    return max(",;\t", key=header.count)


def _header(fields: list[str]) -> list[str]:
    names = [each.strip() for each in fields]
    twice = sorted({each for each in names if names.count(each) > 1})
    if twice:
        raise CrmFileError(f"The CSV has two columns named {twice[0]!r}; name each one once.")
    return names
