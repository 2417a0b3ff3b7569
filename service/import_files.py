"""Takes a CSV, NDJSON or Parquet file, sends it to the API in batches, gives counts and rejects.

A reject carries the line of the file, not of the batch: a CSV header is line 1, the rows of Parquet
count from 1. What a row means is decided by the server; here rows are cut apart, never changed.
"""

import csv
import io
import secrets
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from service.api_client import ApiClient, ApiError

ROWS_PER_REQUEST_MAX = 5_000
CUSTOMERS_PER_REQUEST_MAX: Final = 25_000
"""Why more: what an import of customers costs beside its rows is paid for each request."""
BYTES_PER_REQUEST_MAX = 4_000_000
RECORD_BYTES_MAX = 64_000


class Kind(StrEnum):
    """What the rows of a file are."""

    CUSTOMERS = "customers"
    EVENTS = "events"
    TRAITS = "traits"


class Format(StrEnum):
    """How the rows of a file are written."""

    CSV = "csv"
    NDJSON = "ndjson"
    PARQUET = "parquet"


SUFFIXES = {
    ".csv": Format.CSV,
    ".ndjson": Format.NDJSON,
    ".jsonl": Format.NDJSON,
    ".json": Format.NDJSON,
    ".parquet": Format.PARQUET,
}


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """One request's bytes, the file's line of each of its rows, and how far the file is read."""

    content: bytes
    lines: list[int]
    done: int


class Reject(msgspec.Struct, frozen=True, kw_only=True):
    """One row that the server did not take."""

    line: int
    reason: str


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a batch, or of a whole file."""

    rows: int = 0
    imported: int = 0
    new_customers: int = 0
    changed_customers: int = 0
    traits: int = 0
    rejects: tuple[Reject, ...] = ()
    report: dict[str, Any] = {}
    """What the server tells of a whole file of customers: its columns, reasons and conflicts."""


class ImportOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a file of customers is imported."""

    source: str = "crm"
    dry_run: bool = False
    delete_missing: bool = False
    force: bool = False


class ImportFailedError(Exception):
    """A whole batch was refused; the rows before it are imported."""


def import_file(
    api: ApiClient,
    kind: Kind,
    path: Path,
    *,
    site: str,
    on_progress: Callable[[int], None] | None = None,
    options: ImportOptions | None = None,
) -> Imported:
    """Send a file batch by batch; `on_progress` hears how many units of `file_size` are done.

    The batches of a file of customers are one import to the server, which tells of all of it.
    """
    form = format_of(path)
    total = Imported()
    of_customers = kind is Kind.CUSTOMERS
    options = options or ImportOptions()
    params: dict[str, str | int | bool] = {"site": site, "format": form.value}
    import_id = secrets.token_hex(16)
    if of_customers:
        params |= {"import_id": import_id, "source": options.source, "dry_run": options.dry_run}
    if kind is Kind.TRAITS:
        params["source"] = options.source
    rows_max = CUSTOMERS_PER_REQUEST_MAX if of_customers else ROWS_PER_REQUEST_MAX
    for number, batch in enumerate(batches(path, form, rows_max)):
        if of_customers:
            params["part"] = number
        part = _send(api, kind, path, batch, params)
        total = _added(total, part, _rejects_of_file(part, batch, form))
        if on_progress is not None:
            on_progress(batch.done)
    if of_customers and total.rows:
        report = _finish(api, path, import_id, site, options)
        total = msgspec.structs.replace(total, report=report)
    return total


def format_of(path: Path) -> Format:
    """Tell a file's format by its name."""
    form = SUFFIXES.get(path.suffix.lower())
    if form is None:
        raise ImportFailedError(
            f"{path}: the ending {path.suffix!r} says no known format; "
            f"rename it to one of {', '.join(SUFFIXES)}"
        )
    return form


def file_size(path: Path) -> int:
    """Measure a file in the units of `Batch.done`: bytes of text, rows of Parquet."""
    if format_of(path) is Format.PARQUET:
        return int(pq.ParquetFile(path).metadata.num_rows)
    return path.stat().st_size


def batches(path: Path, form: Format, rows_max: int = ROWS_PER_REQUEST_MAX) -> Iterator[Batch]:
    """Cut a file into requests of at most `rows_max` rows."""
    if form is Format.PARQUET:
        return _parquet_batches(path, rows_max)
    return _text_batches(path, rows_max, has_header=form is Format.CSV)


def write_rejects(source: Path, rejects: Iterable[Reject]) -> Path:
    """Write the rejected lines with their reasons beside the file."""
    path = Path(f"{source}.rejects.csv")
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["line", "reason"])
        writer.writerows((reject.line, reject.reason) for reject in rejects)
    return path


def _added(total: Imported, part: Imported, rejects: tuple[Reject, ...]) -> Imported:
    return Imported(
        rows=total.rows + part.rows,
        imported=total.imported + part.imported,
        new_customers=total.new_customers + part.new_customers,
        changed_customers=total.changed_customers + part.changed_customers,
        traits=total.traits + part.traits,
        rejects=total.rejects + rejects,
    )


def _finish(
    api: ApiClient, path: Path, import_id: str, site: str, options: ImportOptions
) -> dict[str, Any]:
    params: dict[str, str | bool] = {
        "site": site,
        "import_id": import_id,
        "delete_missing": options.delete_missing,
        "force": options.force,
    }
    try:
        report: dict[str, Any] = api.post("/api/customers/import/finish", params=params)
    except ApiError as error:
        raise ImportFailedError(
            f"{path}: all rows were sent, but the import was not finished ({error}). "
            "Importing the file again is safe."
        ) from error
    return report


def _send(
    api: ApiClient, kind: Kind, path: Path, batch: Batch, params: dict[str, str | int | bool]
) -> Imported:
    try:
        answer = api.upload(f"/api/{kind}/import", batch.content, params)
    except ApiError as error:
        raise ImportFailedError(
            f"{path}: lines {batch.lines[0]} to {batch.lines[-1]} were refused ({error}); the "
            "lines before are imported. Importing the file again is safe."
        ) from error
    return msgspec.convert(answer, Imported)


def _rejects_of_file(part: Imported, batch: Batch, form: Format) -> tuple[Reject, ...]:
    first = 2 if form is Format.CSV else 1
    return tuple(
        Reject(line=batch.lines[reject.line - first], reason=reject.reason)
        for reject in part.rejects
    )


def _text_batches(path: Path, rows_max: int, *, has_header: bool) -> Iterator[Batch]:
    with path.open("rb") as file:
        records = _records(file, quoted=has_header)
        header = next(records, (1, b""))[1] if has_header else b""
        rows: list[bytes] = []
        lines: list[int] = []
        size = 0
        for line, record in records:
            if rows and (len(rows) >= rows_max or size + len(record) > BYTES_PER_REQUEST_MAX):
                yield Batch(content=header + b"".join(rows), lines=lines, done=file.tell())
                rows, lines, size = [], [], 0
            rows.append(record)
            lines.append(line)
            size += len(record)
        if rows:
            yield Batch(content=header + b"".join(rows), lines=lines, done=file.tell())


def _records(file: io.BufferedReader, *, quoted: bool) -> Iterator[tuple[int, bytes]]:
    """Give each record with its first line; a CSV record ends where its quotes are closed."""
    record = b""
    first = 1
    for number, text in enumerate(iter(file.readline, b""), start=1):
        if not record:
            first = number
            # Why: nearly all lines are a record each.
            if b'"' not in text and text.endswith(b"\n"):
                if not text.isspace():
                    yield first, text
                continue
        record += text
        # Why: a quote that is never closed must not swallow the rest of the file.
        if quoted and record.count(b'"') % 2 and len(record) < RECORD_BYTES_MAX:
            continue
        if record.strip():
            yield first, record if record.endswith(b"\n") else record + b"\n"
        record = b""
    if record.strip():
        yield first, record


def _parquet_batches(path: Path, rows_max: int) -> Iterator[Batch]:
    done = 0
    for rows in pq.ParquetFile(path).iter_batches(batch_size=rows_max):
        sink = io.BytesIO()
        pq.write_table(pa.Table.from_batches([rows]), sink)
        lines = list(range(done + 1, done + rows.num_rows + 1))
        done += rows.num_rows
        yield Batch(content=sink.getvalue(), lines=lines, done=done)
