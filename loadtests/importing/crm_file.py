"""A made-up CRM's file: customers with two contacts, two aliases and eight traits.

A number of customers comes in, a CSV or Parquet file goes out; the same number gives the same file.
"""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from matching.crm.columns import CrmColumns, TraitColumn
from matching.crm.values import TraitType

COLUMNS: Final = CrmColumns(
    aliases={"loyalty_card": "card", "till_number": "till"},
    traits={
        "age": TraitColumn(column="age", type=TraitType.NUMBER),
        "score": TraitColumn(column="score", type=TraitType.NUMBER),
        "city": TraitColumn(column="city", type=TraitType.TEXT),
        "zip": TraitColumn(column="zip", type=TraitType.TEXT),
        "segment": TraitColumn(column="segment", type=TraitType.TEXT),
        "since": TraitColumn(column="since", type=TraitType.DATE),
        "vip": TraitColumn(column="vip", type=TraitType.BOOLEAN),
        "likes": TraitColumn(column="likes", type=TraitType.SET, separator="|"),
    },
)
HEADER: Final = (
    *("crm_id", "email", "phone", "opt_in", "card", "till"),
    *("age", "score", "city", "zip", "segment", "since", "vip", "likes"),
)
DOMAINS: Final = ("gmail.com", "example.com", "example.org", "mail.example", "example.net")
LIKES: Final = ("cycling", "running", "cycling|running", "garden|kitchen", "", "books")
ROWS_AT_ONCE: Final = 50_000


def write_csv(path: Path, customers: int, *, changed: float = 0.0) -> None:
    """Write the file; of `changed` of the customers the score is another one."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADER)
        for rows in _rows(customers, changed):
            writer.writerows(rows)


def write_parquet(path: Path, customers: int) -> None:
    """Write the same as Parquet, every column a text."""
    schema = pa.schema([(name, pa.string()) for name in HEADER])
    with pq.ParquetWriter(path, schema) as writer:
        for rows in _rows(customers, 0.0):
            columns = [pa.array(list(column)) for column in zip(*rows, strict=True)]
            writer.write_table(pa.table(columns, schema=schema))


def _rows(customers: int, changed: float) -> Iterator[list[tuple[Any, ...]]]:
    for begin in range(0, customers, ROWS_AT_ONCE):
        count = min(ROWS_AT_ONCE, customers - begin)
        random = np.random.default_rng(begin)
        draws = {
            name: random.integers(0, below, count).tolist()
            for name, below in (
                *(("age", 80), ("score", 1_000_000), ("city", 5_000), ("zip", 30_000)),
                *(("segment", 9), ("day", 28), ("year", 12), ("like", 6)),
            )
        }
        other = (random.random(count) < changed).tolist()
        yield [
            (
                f"c{begin + row}",
                f"first.last{begin + row}@{DOMAINS[(begin + row) % 5]}",
                f"+336{begin + row:08d}",
                "yes" if row % 3 else "no",
                f"K{begin + row:09d}",
                f"T{(begin + row) * 7:010d}",
                str(18 + draws["age"][row]),
                f"{draws['score'][row] / 1000 + other[row]:.3f}",
                f"Town {draws['city'][row]}",
                f"{draws['zip'][row] + 10_000}",
                f"segment {draws['segment'][row]}",
                f"{2010 + draws['year'][row]}-01-{draws['day'][row] + 1:02d}",
                "true" if row % 7 == 0 else "false",
                LIKES[draws["like"][row]],
            )
            for row in range(count)
        ]
