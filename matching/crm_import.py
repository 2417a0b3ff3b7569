"""From a CRM file to customers: batches come in one after the other, a report goes out.

A row is taken whole or refused with its line and a reason. Only what changed is stored, so that the
same file twice changes nothing. Which names were erased, the caller knows.
"""

import re
from collections.abc import Callable, Iterable
from hashlib import blake2b
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from matching.bitmaps import bitmap_of
from matching.contact_hashes import Seal
from matching.crm.aliases import AliasConflict, settle_aliases
from matching.crm.changes import Changes, changes_of, fresh_rows
from matching.crm.columns import CrmColumns, TraitColumn
from matching.crm.contacts import SealAll
from matching.crm.missing import take_missing
from matching.crm.pieces import ReadRows, Rows
from matching.crm.reading import CrmReader, Refused
from matching.crm.report import BatchReport, ImportReport, Tally
from matching.crm.rows import (
    CrmBatch,
    CrmFileError,
    CrmFormat,
    Row,
    batches_of_rows,
    read_batches,
    read_rows,
)
from matching.crm.rows_store import DIGEST_FIRST, LOOK_AGAIN
from matching.crm.statistics import FileStatistics
from matching.crm.values import TraitType
from matching.customer_store import CustomerStore
from matching.ids import NOBODY

__all__ = [
    "CrmColumns",
    "CrmFileError",
    "CrmFormat",
    "CrmImport",
    "ImportReport",
    "TraitColumn",
    "TraitType",
    "import_customers",
    "read_batches",
    "read_rows",
]

SOURCE: Final = "crm"
SOURCES: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")
SOURCES_OF_OURS: Final = frozenset({"browser", "message", "server", "computed", "erasure"})
DUPLICATE: Final = "duplicate: this customer stands in an earlier row"
UNKNOWN_CUSTOMER: Final = "unknown: there is no such customer; import the customers first"


def import_customers(
    rows: Iterable[Row],
    columns: CrmColumns,
    *,
    customers: CustomerStore,
    seal: Seal,
    refused: Refused,
    now_ms: int,
    computed: frozenset[str] = frozenset(),
) -> ImportReport:
    """Import every good row; `computed` are the traits that no file may write."""
    whole = CrmImport(
        columns, customers=customers, seal=seal, refused=refused, at_ms=now_ms, computed=computed
    )
    for batch in batches_of_rows(rows):
        whole.take(batch)
    return whole.finish()


class CrmImport:
    """One import of one file, in however many batches."""

    def __init__(
        self,
        columns: CrmColumns,
        *,
        customers: CustomerStore,
        seal: Seal,
        refused: Refused,
        at_ms: int,
        refuses_some: Callable[[], bool] = lambda: True,
        seal_all: SealAll | None = None,
        computed: frozenset[str] = frozenset(),
        source: str = SOURCE,
        rules: str = "",
        must_exist: bool = False,
        dry_run: bool = False,
    ) -> None:
        if not SOURCES.fullmatch(source) or source in SOURCES_OF_OURS:
            raise CrmFileError(f"The source {source!r} cannot be taken; use one such as crm.")
        self._columns = columns
        self._customers = customers
        self._at_ms = at_ms
        self._source = source
        self._must_exist = must_exist
        self._dry_run = dry_run
        self._reader = CrmReader(
            columns,
            seal=seal,
            seal_all=seal_all or (lambda hashes: [seal(each.hex()) for each in hashes]),
            refused=refused,
            refuses_some=refuses_some,
            computed=computed,
        )
        # Why all of this: what was read under other rules must be read again.
        key = seal(blake2b(b"row of a CRM file", digest_size=32).hexdigest())
        meant = msgspec.json.encode([key, msgspec.to_builtins(columns), sorted(computed), rules])
        self._key = blake2b(meant, digest_size=32).digest()
        self._statistics = FileStatistics(columns)
        self._seen = BitMap()
        self._named = BitMap()
        self._unborn: set[str] = set()
        self._unnamed = 0
        self._tally = Tally()

    @property
    def has_changed(self) -> bool:
        """Whether anything was stored so far."""
        total = self._tally.total
        return not self._dry_run and bool(total.new_customers or total.changed_customers)

    def take(self, batch: CrmBatch) -> BatchReport:
        """Import the good rows of a batch."""
        crm_ids, refusals = self._reader.crm_ids(batch)
        self._unnamed += len(batch.unreadable) + len(refusals)
        self._statistics.note(batch)
        digests = self._digests(batch)
        known = self._customers.find_customers(crm_ids)
        before = self._customers.crm.digests_of(self._source, known)
        same = (before == digests) & (known != NOBODY)
        rows = self._rows_to_read(refusals, same)
        said = self._reader.read(_taken(batch, rows), [crm_ids[row] for row in rows.tolist()])
        refusals |= {int(rows[row]): reason for row, reason in said.refusals.items()}
        self._refuse_others(crm_ids, known, refusals)
        kept = np.flatnonzero([int(row) not in refusals for row in rows.tolist()])
        ordinals = known.copy()
        counts = self._store(said, kept, rows, ordinals, digests)
        good = np.ones(len(batch), np.bool_)
        good[list(refusals)] = False
        self._seen |= bitmap_of(ordinals[good & (ordinals != NOBODY)])
        self._named |= bitmap_of(ordinals[ordinals != NOBODY])
        warnings = [(int(rows[row]), text) for row, text in said.warnings]
        kept_warnings = [each for each in warnings if each[0] not in refusals]
        return self._tally.add(batch, refusals, kept_warnings, counts)

    def finish(self, *, delete_missing: bool = False, force: bool = False) -> ImportReport:
        """Settle whose alias is whose, take away who is missing if asked to, and tell of it all."""
        crm = self._customers.crm
        moved: list[AliasConflict] = []
        left: list[AliasConflict] = []
        if self.has_changed:
            moved, left = settle_aliases(
                self._customers,
                sorted(self._columns.aliases),
                seen=self._seen,
                since_ms=self._at_ms,
            )
        missing = None
        if delete_missing:
            missing = take_missing(
                self._customers,
                self._source,
                seen=self._named,
                unnamed=self._unnamed,
                at_ms=self._at_ms,
                force=force,
                dry_run=self._dry_run,
            )
        crm.forget_digests()
        return self._tally.report(
            columns=self._statistics.told(),
            moved_aliases=moved,
            refused_aliases=left,
            shared_contacts=crm.shared_contacts(),
            missing=missing,
            dry_run=self._dry_run,
        )

    def _digests(self, batch: CrmBatch) -> NDArray[np.uint64]:
        """Give every row's keyed digest; it is never 0."""
        header = msgspec.json.encode(list(batch.columns))
        start = blake2b(header, digest_size=8, key=self._key)
        texts = batch.texts
        if texts is None:
            columns = (each.texts() for each in batch.columns.values())
            texts = list(map("\1".join, zip(*columns, strict=True)))
        found = []
        for text in texts:
            row = start.copy()
            row.update(text.encode(errors="surrogatepass"))
            found.append(row.digest())
        read = np.frombuffer(b"".join(found), "<u8").astype(np.uint64)
        return np.maximum(read, np.uint64(DIGEST_FIRST))

    def _rows_to_read(self, refusals: dict[int, str], same: NDArray[np.bool_]) -> Rows:
        """Give the rows that are not known word for word."""
        if refusals:
            same = same.copy()
            same[list(refusals)] = True
        return np.flatnonzero(~same)

    def _refuse_others(
        self, crm_ids: list[str], known: NDArray[np.uint32], refusals: dict[int, str]
    ) -> None:
        """Refuse unknown customers where they must exist, and whoever was in the file before."""
        if self._must_exist:
            for row in np.flatnonzero(known == NOBODY).tolist():
                refusals.setdefault(row, UNKNOWN_CUSTOMER)
        again = [row for row, each in enumerate(known.tolist()) if each and each in self._seen]
        for row in again:
            refusals.setdefault(row, DUPLICATE)
        if len(set(crm_ids)) == len(crm_ids) and not self._unborn:
            return
        # Why in order: a good row after a refused one of the same customer is no duplicate.
        there: set[str] = set()
        for row, crm_id in enumerate(crm_ids):
            if row in refusals:
                continue
            if crm_id in there or crm_id in self._unborn:
                refusals[row] = DUPLICATE
            there.add(crm_id)

    def _store(
        self,
        said: ReadRows,
        kept: Rows,
        rows: Rows,
        ordinals: NDArray[np.uint32],
        digests: NDArray[np.uint64],
    ) -> tuple[int, int, int]:
        """Store good rows, digests last; count new and changed customers and values of traits.

        Those of `rows` that are `kept` are stored; new customers get their ordinals.
        """
        is_new = ordinals[rows] == NOBODY
        fresh = kept[is_new[kept]]
        if not self._dry_run:
            ordinals[rows[fresh]] = self._customers.customer_ordinals(
                [said.crm_ids[row] for row in fresh.tolist()],
                source=self._source,
                at_ms=self._at_ms,
            )
        mine = ordinals[rows]
        added = fresh_rows(said, fresh, mine)
        changes = changes_of(said, kept[~is_new[kept]], mine, self._customers.crm, self._source)
        if self._dry_run:
            self._unborn.update(said.crm_ids[row] for row in fresh.tolist())
        else:
            self._write(added)
            self._write(changes)
            self._put_digests(said, kept, mine, digests[rows])
        return fresh.size, changes.customers, added.traits + changes.traits

    def _put_digests(
        self, said: ReadRows, kept: Rows, ordinals: NDArray[np.uint32], digests: NDArray[np.uint64]
    ) -> None:
        # Why not those with a warning: the next import must say it again.
        digests = digests.copy()
        digests[[row for row, _ in said.warnings]] = LOOK_AGAIN
        self._customers.crm.put_rows(self._source, ordinals[kept], digests[kept], self._at_ms)

    def _write(self, changes: Changes) -> None:
        crm = self._customers.crm
        where = {"source": self._source, "at_ms": self._at_ms}
        crm.put_names("customers", changes.names, **where)  # type: ignore[arg-type]
        crm.put_names("contact_forms", changes.forms, **where)  # type: ignore[arg-type]
        crm.put_traits(changes.trait_rows, **where)  # type: ignore[arg-type]


def _taken(batch: CrmBatch, rows: Rows) -> CrmBatch:
    """Keep some rows of a batch."""
    if rows.size == len(batch):
        return batch
    return CrmBatch(
        lines=[batch.lines[row] for row in rows.tolist()],
        columns={name: cells.take(rows) for name, cells in batch.columns.items()},
    )
