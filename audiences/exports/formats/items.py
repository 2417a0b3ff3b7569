"""Many items of one block end to end: what formats that pack items into requests or blocks cut up.

Texts of items in an Arrow array and what each item's change counts come in; bytes and counts of any
stretch of them go out, and how far a stretch may go.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from audiences.exports.formats.rows import IdBlock

NO_LIMIT: Final = 1 << 62


class Items:
    """The items of a block, in its order."""

    def __init__(self, block: IdBlock, items: Any) -> None:
        sizes = pc.binary_length(items).to_numpy().astype(np.int64)
        self.count = len(items)
        self._ends = _summed(sizes)
        self._adds = _summed(_by_change(block, [len(adds) for adds, _ in block.changes]))
        self._removes = _summed(_by_change(block, [len(removes) for _, removes in block.changes]))
        data = items.buffers()[2]
        first = int(np.frombuffer(items.buffers()[1], np.int32)[items.offset])
        self._data = memoryview(data)[first:] if data is not None else memoryview(b"")

    def bytes(self, begin: int, end: int) -> bytes:
        """Give the bytes of the items from `begin` to before `end`."""
        return self._data[int(self._ends[begin]) : int(self._ends[end])].tobytes()

    def adds(self, begin: int, end: int) -> int:
        """Count the additions in them."""
        return int(self._adds[end] - self._adds[begin])

    def removes(self, begin: int, end: int) -> int:
        """Count the removals in them."""
        return int(self._removes[end] - self._removes[begin])

    def within(self, begin: int, size: int) -> int:
        """Say where to stop so that the items from `begin` on are at most so many bytes."""
        found = np.searchsorted(self._ends, self._ends[begin] + size, side="right")
        return max(begin, int(found) - 1)

    def reaching(self, begin: int, size: int) -> int:
        """Say where to stop so that the items from `begin` on are that many bytes, or all."""
        found = np.searchsorted(self._ends, self._ends[begin] + size, side="left")
        return min(max(begin + 1, int(found)), self.count)


def joined_items(*columns: Any) -> Any:
    """Join columns of bytes row by row; one of them at least is an array."""
    return pc.binary_join_element_wise(*columns, pa.scalar(b"", pa.binary()))


def of_changes(block: IdBlock, texts: Sequence[bytes]) -> Any:
    """Give each row of a block what is said of its change."""
    column = pa.array(texts, type=pa.binary())
    return column[0] if len(texts) == 1 else column.take(pa.array(block.codes))


def _by_change(block: IdBlock, counts: Sequence[int]) -> NDArray[np.int64]:
    return np.array(counts, dtype=np.int64)[block.codes]


def _summed(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    found = np.zeros(numbers.size + 1, dtype=np.int64)
    np.cumsum(numbers, out=found[1:])
    return found
