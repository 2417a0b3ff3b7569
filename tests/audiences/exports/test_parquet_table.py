"""Parquet files: what a reader sees in them, in row groups of a fixed size."""

import io
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from written_files import Written, changed

from audiences.exports.formats.rows import IdRow
from audiences.exports.seat import Mode
from audiences.exports.seats import Seat

COLUMNS = [{"header": each, "value": each} for each in ("id", "segment", "action", "days")]


@pytest.fixture
def seat(seats: dict[str, Seat]) -> Seat:
    """Give a seat of Parquet files, two rows a group, five a file."""
    options = {"kind": "parquet", "columns": COLUMNS, "row_group_rows": 2}
    changes: dict[str, Any] = {"format": options, "file.name": "{run}_{part}.parquet"}
    return changed(seats["pixel_csv"], {**changes, "file.max_rows": 5})


def rows(number: int) -> list[IdRow]:
    """Make rows of one addition and one removal each."""
    return [
        IdRow(id=f"é{each}", id_space="pixel", adds=[("s1", 1440)], removes=["s2"])
        for each in range(number)
    ]


def test_a_reader_sees_columns_and_types(seat: Seat) -> None:
    """Texts are texts, lifetimes are numbers, what is not known is null."""
    (data,) = Written(rows(1), seat).plain().values()
    table = pq.read_table(io.BytesIO(data))
    assert table.schema.field("days").type == pa.int64()
    assert table.to_pylist() == [
        {"id": "é0", "segment": "s1", "action": "add", "days": 1},
        {"id": "é0", "segment": "s2", "action": "remove", "days": None},
    ]


def test_files_are_split_by_rows(seat: Seat) -> None:
    """Five rows are a file of three row groups, the sixth begins another."""
    written = Written(rows(3), seat)
    assert [part.counts.rows for part in written.parts] == [5, 1]
    first = pq.ParquetFile(io.BytesIO(next(iter(written.plain().values()))))
    assert first.num_row_groups == 3


def test_the_same_rows_give_the_same_bytes(seat: Seat) -> None:
    """A retry writes what the first attempt wrote."""
    assert Written(rows(7), seat).plain() == Written(rows(7), seat).plain()


def test_an_empty_file_can_empty_a_seat(seat: Seat) -> None:
    """Where absence removes, no rows are a file with the columns alone."""
    other = changed(seat, {"membership.removal": "replace", "membership.mode": "full"})
    written = Written([], other, mode=Mode.FULL, even_empty=True)
    (data,) = written.plain().values()
    assert pq.read_table(io.BytesIO(data)).num_rows == 0
    assert [part.counts.rows for part in written.parts] == [0]


def test_a_segment_that_all_left_has_an_empty_file(seat: Seat) -> None:
    """Where a file is one segment and replaces it, nobody in it is a good file without rows."""
    other = changed(
        seat,
        {
            "membership": {
                "mode": "full",
                "grouping": "audience",
                "removal": "replace",
                "expiry": {"unit": "none"},
            },
            "format.columns": COLUMNS[:1],
            "file.per": ["segment"],
            "file.name": "{segment}_{run}_{part}.parquet",
        },
    )
    written = Written([IdRow(id="a", id_space="pixel", adds=[], removes=["s2"])], other)
    assert list(written.files) == ["s2_5_0001.parquet"]
    (data,) = written.plain().values()
    assert pq.read_table(io.BytesIO(data)).column_names == ["id"]
    assert written.read() == []
