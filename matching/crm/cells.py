"""One column of a batch of a CRM file: its values, and which one every row has.

Why: most columns hold few values, and what a value means is then found out once, not row by row.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

ABSENT: Final = -1
"""Code of a row that has no such column."""

SAMPLES: Final = (1_000, 8_000)
"""Rows by which it is guessed whether most values of a column are different."""

Codes = NDArray[np.int32]
_Read = TypeVar("_Read")


class Cells(msgspec.Struct, frozen=True, kw_only=True):
    """The values of a column, hardly any of them twice, and their places by row."""

    values: list[Any]
    codes: Codes

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def is_as_it_is(self) -> bool:
        """Whether each row has a value of its own, in order."""
        return len(self.values) == len(self.codes) and bool(
            (self.codes == np.arange(len(self.codes), dtype=np.int32)).all()
        )

    def take(self, rows: NDArray[Any]) -> "Cells":
        """Keep these rows, and the values that they have."""
        codes = self.codes[rows]
        used = np.zeros(len(self.values) + 1, np.bool_)
        used[codes] = True
        kept = np.flatnonzero(used[:-1])
        places = np.full(len(used), ABSENT, np.int32)
        places[kept] = np.arange(kept.size, dtype=np.int32)
        return Cells(values=[self.values[each] for each in kept.tolist()], codes=places[codes])

    def texts(self) -> list[str]:
        """Write every row's value so that different ones are written differently."""
        shown = [value if isinstance(value, str) else f"\2{value!r}" for value in self.values]
        shown.append("\3")
        return [shown[code] for code in self.codes.tolist()]

    def read(self, read: Callable[[Any], _Read]) -> list[_Read]:
        """Read each value once."""
        return [read(value) for value in self.values]


def cells_of_distinct(values: list[Any]) -> Cells:
    """Take a column as it is, each row with a value of its own."""
    return Cells(values=values, codes=np.arange(len(values), dtype=np.int32))


def cells_of_arrow(column: Any) -> Cells:
    """Code a column of Arrow's; an empty cell is None."""
    if not pa.types.is_nested(column.type) and all(
        len(column) > sample and len(column.slice(0, sample).unique()) * 2 > sample
        for sample in SAMPLES
    ):
        return cells_of_distinct(column.to_pylist())
    if pa.types.is_nested(column.type) or pa.types.is_dictionary(column.type):
        return cells_of_values(column.to_pylist())
    coded = column.combine_chunks().dictionary_encode()
    if isinstance(coded, pa.ChunkedArray):
        coded = (
            coded.chunk(0) if coded.num_chunks else pa.array([], column.type).dictionary_encode()
        )
    values = coded.dictionary.to_pylist()
    codes = coded.indices.fill_null(len(values)).to_numpy(zero_copy_only=False)
    if coded.indices.null_count:
        values.append(None)
    return Cells(values=values, codes=codes.astype(np.int32))


def cells_of_values(values: Sequence[Any], absent: object = None) -> Cells:
    """Code values of any kind; the very object `absent` stands for a row without the column."""
    places: dict[Any, int] = {}
    found: list[Any] = []
    codes = np.empty(len(values), np.int32)
    for row, value in enumerate(values):
        if value is absent and absent is not None:
            codes[row] = ABSENT
            continue
        # Why the type: 1, 1.0 and True are one key, and three values.
        key = (type(value), value) if isinstance(value, str | int | float) else None
        place = places.get(key) if key is not None else None
        if place is None:
            place = len(found)
            found.append(value)
            if key is not None:
                places[key] = place
        codes[row] = place
    return Cells(values=found, codes=codes)
