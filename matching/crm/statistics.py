"""What a CRM file looks like column by column, so that its faults are seen before they are sold.

Batches come in, one after the other; fill rates, distinct values, least and greatest ones and the
most frequent come out. Contacts are counted and never shown; a value of few rows is not either.
"""

import math
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from matching.crm.cells import ABSENT, Cells
from matching.crm.columns import CrmColumns, TraitColumn
from matching.crm.rows import CrmBatch
from matching.crm.trait_values import trait_values
from matching.crm.values import TraitType, is_blank

EXACT_MAX: Final = 65_536
"""Up to so many different values are counted exactly; beyond, to about half a per cent."""
LISTED_MAX: Final = 1_000
"""Of a column with more different values none is shown."""
TOP: Final = 10
SHOWN_FROM: Final = 20
"""A value of fewer rows could name a person."""
TRAIT: Final = "trait"
UNREADABLE: Final = "unreadable"
_HASHES: Final = float(1 << 64)


class TopValue(msgspec.Struct, frozen=True, kw_only=True):
    """A frequent value."""

    value: str
    count: int


class ColumnStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """One column; `distinct_exact` says whether `distinct` is counted or estimated."""

    column: str
    meaning: str
    type: str
    rows: int
    filled: int
    fill_rate: float
    distinct: int
    distinct_exact: bool
    least: str | None = None
    greatest: str | None = None
    top: list[TopValue] = []


class FileStatistics:
    """Gathers the columns of one file over its batches."""

    def __init__(self, columns: CrmColumns) -> None:
        self._columns = columns
        self._found: dict[str, _Column] = {}
        self._rows = 0

    def note(self, batch: CrmBatch) -> None:
        """Look at the rows of a batch, whatever becomes of them."""
        self._rows += len(batch)
        for name, cells in batch.columns.items():
            if name not in self._found:
                self._found[name] = self._new(name, batch.columns)
            self._found[name].note(cells)

    def told(self) -> list[ColumnStatistics]:
        """Give the columns in the file's order."""
        return [column.told(self._rows) for column in self._found.values()]

    def _new(self, name: str, columns: Iterable[str]) -> "_Column":
        named = self._columns.named_columns().get(name)
        if named is not None:
            return _Column(name, named, None)
        for trait, wanted in self._columns.trait_columns(columns).items():
            if wanted.column == name:
                return _Column(name, f"{TRAIT} {trait}", wanted)
        return _Column(name, "not imported", None)


class _Column:
    """One column, so far."""

    def __init__(self, name: str, meaning: str, trait: TraitColumn | None) -> None:
        self._name = name
        self._meaning = meaning
        self._trait = trait
        self._filled = 0
        self._sketch = _Distinct()
        self._top: Counter[str] | None = Counter() if trait is not None else None
        self._kinds: Counter[str] = Counter()
        self._least: Any = None
        self._greatest: Any = None

    def note(self, cells: Cells) -> None:
        """Look at a column of a batch."""
        counts = np.bincount(cells.codes[cells.codes != ABSENT], minlength=len(cells.values))
        values = cells.values
        blank = _blanks(values)
        if blank:
            counts[blank] = 0
            gone = set(blank)
            values = [value for place, value in enumerate(values) if place not in gone]
            counts = np.delete(counts, blank)
        self._filled += int(counts.sum())
        self._sketch.add(values)
        if self._trait is not None:
            self._note_top(values, counts)
            self._note_types(self._trait, values, counts)

    def told(self, rows: int) -> ColumnStatistics:
        top = self._top.most_common(TOP) if self._top is not None else []
        kinds = [kind for kind, _ in self._kinds.most_common()]
        return ColumnStatistics(
            column=self._name,
            meaning=self._meaning,
            type=" or ".join(kinds),
            rows=rows,
            filled=self._filled,
            fill_rate=round(self._filled / rows, 4) if rows else 0.0,
            distinct=self._sketch.count(),
            distinct_exact=self._sketch.is_exact,
            least=_shown(self._least),
            greatest=_shown(self._greatest),
            top=[TopValue(value=value, count=n) for value, n in top if n >= SHOWN_FROM],
        )

    def _note_top(self, values: list[Any], counts: NDArray[np.int64]) -> None:
        if self._top is None:
            return
        if len(values) > LISTED_MAX:
            self._top = None
            return
        for value, count in zip(values, counts.tolist(), strict=True):
            self._top[value if isinstance(value, str) else str(value)] += count
        if len(self._top) > LISTED_MAX:
            self._top = None

    def _note_types(
        self, wanted: TraitColumn, values: list[Any], counts: NDArray[np.int64]
    ) -> None:
        """Tell the type of each value, and the least and greatest of numbers and days."""
        if not values:
            return
        if wanted.type is TraitType.TEXT:
            self._kinds[TraitType.TEXT.value] += int(counts.sum())
            return
        read = trait_values(values, wanted.column, wanted.type, separator=wanted.separator)
        if len(set(read.kinds)) == 1:
            self._kinds[read.kinds[0] or UNREADABLE] += int(counts.sum())
        else:
            for kind, count in zip(read.kinds, counts.tolist(), strict=True):
                self._kinds[kind or UNREADABLE] += count
        for kind, some in ((TraitType.NUMBER, read.numbers), (TraitType.DATE, read.texts)):
            if kind.value in read.kinds:
                both: Iterable[tuple[Any, str]] = zip(some, read.kinds, strict=True)
                of_kind = [each for each, its in both if its == kind.value]
                self._widen(min(of_kind), max(of_kind))

    def _widen(self, least: Any, greatest: Any) -> None:
        if self._least is None or type(self._least) is not type(least):
            self._least, self._greatest = least, greatest
            return
        self._least = min(self._least, least)
        self._greatest = max(self._greatest, greatest)


class _Distinct:
    """Counts different values: the least of their hashes, exactly as long as they are few."""

    def __init__(self) -> None:
        self._least: NDArray[np.uint64] = np.zeros(0, np.uint64)
        self.is_exact = True

    def add(self, values: list[Any]) -> None:
        if not values:
            return
        hashes = _hashes(values)
        if not self.is_exact:
            hashes = hashes[hashes < self._least[-1]]
        together = np.sort(np.concatenate([self._least, hashes]))
        self._least = together[np.append(True, together[1:] != together[:-1])[: together.size]]
        if self._least.size > EXACT_MAX:
            self._least = self._least[:EXACT_MAX]
            self.is_exact = False

    def count(self) -> int:
        if self.is_exact:
            return int(self._least.size)
        return round((EXACT_MAX - 1) * _HASHES / float(self._least[-1]))


def _hashes(values: list[Any]) -> NDArray[np.uint64]:
    """Hash values well: Python's own hash, mixed."""
    try:
        plain = np.fromiter(map(hash, values), np.int64, len(values))
    except TypeError:
        plain = np.fromiter((hash(str(each)) for each in values), np.int64, len(values))
    mixed = plain.view(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))


def _blanks(values: list[Any]) -> list[int]:
    """Give the places of empty cells."""
    # Why: nearly all columns are texts without any.
    if set(map(type, values)) == {str} and "" not in values and not any(map(str.isspace, values)):
        return []
    return [place for place, value in enumerate(values) if is_blank(value)]


def _shown(value: Any) -> str | None:
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and math.fabs(value) < 1e15 else str(value)
    return value if value is None else str(value)
