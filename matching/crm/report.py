"""What became of the rows of a CRM file: batches are added up, one report of all comes out."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from matching.crm.aliases import AliasConflict
from matching.crm.missing import Missing
from matching.crm.rows import CrmBatch
from matching.crm.statistics import ColumnStatistics

LINES_SHOWN_MAX: Final = 10_000
_SHOWN: Final = re.compile(r"'.*'|\"[^\"]*\"|\d+(?= (fields|characters|members))")


class BatchReport(msgspec.Struct, frozen=True, kw_only=True):
    """What became of some rows; a warning is about a row that was imported nonetheless."""

    rows: int = 0
    imported: int = 0
    new_customers: int = 0
    changed_customers: int = 0
    traits: int = 0
    rejects: list[tuple[int, str]] = []
    warnings: list[tuple[int, str]] = []


class ImportReport(BatchReport, frozen=True, kw_only=True):
    """What became of a whole file.

    `rejects_by_reason` and `warnings_by_reason` count all of them, also where a file has more than
    are listed.
    """

    rejects_by_reason: dict[str, int] = {}
    warnings_by_reason: dict[str, int] = {}
    columns: list[ColumnStatistics] = []
    moved_aliases: list[AliasConflict] = []
    refused_aliases: list[AliasConflict] = []
    shared_contacts: dict[str, tuple[int, int]] = {}
    missing: Missing | None = None
    dry_run: bool = False


class Tally:
    """Adds up what became of the batches of one file."""

    def __init__(self) -> None:
        self.total = BatchReport()
        self._rejected: Counter[str] = Counter()
        self._warned: Counter[str] = Counter()

    def add(
        self,
        batch: CrmBatch,
        refusals: Mapping[int, str],
        warnings: Sequence[tuple[int, str]],
        counts: tuple[int, int, int],
    ) -> BatchReport:
        """Tell of a batch: `counts` are new customers, changed ones and values of traits."""
        rejects = [
            *((line, f"unreadable: {why}") for line, why in batch.unreadable),
            *((batch.lines[row], reason) for row, reason in refusals.items()),
        ]
        new, changed, traits = counts
        told = BatchReport(
            rows=len(batch) + len(batch.unreadable),
            imported=len(batch) - len(refusals),
            new_customers=new,
            changed_customers=changed,
            traits=traits,
            rejects=sorted(rejects),
            warnings=sorted((batch.lines[row], text) for row, text in warnings),
        )
        self._rejected.update(_kind_of(reason) for _, reason in told.rejects)
        self._warned.update(_kind_of(text) for _, text in told.warnings)
        self.total = sum_of([self.total, told], lines_max=LINES_SHOWN_MAX)
        return told

    def report(self, **more: Any) -> ImportReport:
        """Tell of the whole file."""
        return ImportReport(
            **{name: getattr(self.total, name) for name in BatchReport.__struct_fields__},
            rejects_by_reason=dict(self._rejected.most_common()),
            warnings_by_reason=dict(self._warned.most_common()),
            **more,
        )


def sum_of(parts: Sequence[BatchReport], *, lines_max: int | None = None) -> BatchReport:
    """Put reports together; of more lines than `lines_max` the first are listed."""
    return BatchReport(
        rows=sum(each.rows for each in parts),
        imported=sum(each.imported for each in parts),
        new_customers=sum(each.new_customers for each in parts),
        changed_customers=sum(each.changed_customers for each in parts),
        traits=sum(each.traits for each in parts),
        rejects=[line for each in parts for line in each.rejects][:lines_max],
        warnings=[line for each in parts for line in each.warnings][:lines_max],
    )


def _kind_of(reason: str) -> str:
    """Give a reason without the value that it shows, so that equal ones are counted together."""
    return _SHOWN.sub("...", reason)
