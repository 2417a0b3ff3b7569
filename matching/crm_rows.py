"""Cuts a CSV, NDJSON or Parquet file of customers into rows: line number and values by column.

A CSV header is line 1; a Parquet row counts from 1. What a row means is not decided here.
"""

import csv
import io
from collections.abc import Iterator
from enum import StrEnum
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

Row = tuple[int, dict[str, Any]]

UNREADABLE: Final = "\0unreadable"
"""Column of a row that could not be cut; its value says why."""

FIELD_CHARS_MAX: Final = 1_000_000


class CrmFileError(Exception):
    """A whole file that cannot be read."""


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
