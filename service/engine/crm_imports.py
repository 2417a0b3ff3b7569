"""Imports of CRM files that come in many requests: bytes come in, reports go out.

One import is known by a name that the caller chose. The engine's lock is held for one batch at a
time, so that ticks and answers go on in between; of what changed the engine hears at the end, and
twice a minute.
"""

import re
import threading
import time
from typing import Final

import msgspec

from audiences.rfm import RFM_TRAITS
from matching.contact_hashes import seal
from matching.crm.report import BatchReport, ImportReport, sum_of
from matching.crm_import import CrmImport, read_batches
from matching.sealing import Sealer
from service.engine.engine import Engine

IMPORT_ID: Final = re.compile(r"[A-Za-z0-9_-]{8,64}")
OPEN_MAX: Final = 16
IDLE_S_MAX: Final = 3600.0
TELL_S: Final = 30.0
ROWS_UNDER_LOCK: Final = 25_000
PAUSE_S: Final = 0.005
"""Why a pause: a lock that is taken again at once is never had by who waits for it."""


class ImportOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a file is imported; all requests of one import give the same."""

    format: str = "csv"
    source: str = "crm"
    dry_run: bool = False


class ImportProblem(Exception):
    """A request that fits no import."""


class _Open:
    """One import that may go on."""

    def __init__(self, running: CrmImport, options: ImportOptions) -> None:
        self.running = running
        self.options = options
        self.lock = threading.Lock()
        self.used_s = time.monotonic()
        self.parts = 0


class CrmImports:
    """The imports of one engine that are not finished."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._open: dict[str, _Open] = {}
        self._telling: threading.Timer | None = None

    def whole(
        self, body: bytes, options: ImportOptions, *, delete_missing: bool, force: bool
    ) -> ImportReport:
        """Import a file that one request holds."""
        running = self._begin(options)
        self._take(running, body, options.format)
        return self._finish(running, delete_missing=delete_missing, force=force)

    def part(
        self, import_id: str, body: bytes, options: ImportOptions, *, part: int
    ) -> BatchReport:
        """Import some more rows of a file; part 0 opens the import, the others follow in order."""
        known = self._find_or_open(import_id, options, part)
        with known.lock:
            if part != known.parts:
                raise ImportProblem(f"import {import_id!r} waits for part {known.parts}")
            known.parts += 1
            parts = self._take(known.running, body, options.format)
            known.used_s = time.monotonic()
        return sum_of(parts)

    def finish(self, import_id: str, *, delete_missing: bool, force: bool) -> ImportReport:
        """End an import and tell of the whole file."""
        with self._lock:
            known = self._open.pop(import_id, None)
        if known is None:
            raise ImportProblem(f"there is no import {import_id!r} to finish; begin it anew")
        with known.lock:
            return self._finish(known.running, delete_missing=delete_missing, force=force)

    def _find_or_open(self, import_id: str, options: ImportOptions, part: int) -> _Open:
        if not IMPORT_ID.fullmatch(import_id):
            raise ImportProblem(f"import={import_id!r}: give 8 to 64 letters, digits, - and _")
        with self._lock:
            self._forget_idle()
            known = self._open.get(import_id)
            if known is None:
                # Why: of an import that a restart has lost nobody knows who was in the file.
                if part:
                    raise ImportProblem(f"import {import_id!r} is not open; begin it anew")
                if len(self._open) >= OPEN_MAX:
                    raise ImportProblem(f"{OPEN_MAX} imports are open; finish one of them first")
                known = self._open[import_id] = _Open(self._begin(options), options)
        if known.options != options:
            raise ImportProblem(f"import {import_id!r} was begun with other options")
        return known

    def _begin(self, options: ImportOptions) -> CrmImport:
        engine = self._engine
        key = engine.keys.contact_key
        return CrmImport(
            engine.config.customers,
            customers=engine.stores.customers,
            seal=lambda hash_hex: seal(hash_hex, key),
            seal_all=Sealer(key).seal_all,
            refused=engine.tombstones.refuses_import,
            refuses_some=lambda: not engine.tombstones.forbid_nothing,
            at_ms=time.time_ns() // 1_000_000,
            computed=frozenset(RFM_TRAITS),
            source=options.source,
            # Why: a row that is the same as before may name somebody who was erased since.
            rules=str(len(engine.tombstones.lines)),
            dry_run=options.dry_run,
        )

    def _take(self, running: CrmImport, body: bytes, format_: str) -> list[BatchReport]:
        reports: list[BatchReport] = []
        for batch in read_batches(body, format_, ROWS_UNDER_LOCK):
            if reports:
                time.sleep(PAUSE_S)
            with self._engine.changing:
                reports.append(running.take(batch))
        if running.has_changed:
            self._tell_soon()
        return reports

    def _finish(self, running: CrmImport, *, delete_missing: bool, force: bool) -> ImportReport:
        with self._engine.changing:
            report = running.finish(delete_missing=delete_missing, force=force)
        if running.has_changed or (report.missing is not None and report.missing.taken_away):
            self._engine.imported()
        return report

    def _tell_soon(self) -> None:
        """Let the engine hear of changes even if nobody ever finishes the import."""
        with self._lock:
            if self._telling is None or not self._telling.is_alive():
                self._telling = threading.Timer(TELL_S, self._engine.imported)
                self._telling.daemon = True
                self._telling.start()

    def _forget_idle(self) -> None:
        now_s = time.monotonic()
        idle = [key for key, each in self._open.items() if now_s - each.used_s > IDLE_S_MAX]
        for key in idle:
            del self._open[key]
