"""Makes the files of one export and the seat's next state visible, in an order that a crash keeps.

In go a plan, its report and the texts of removed ids; files, a manifest and rows of the database
come out. What is sent was decided before.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from audiences.exports.export_store import ExportStore
from audiences.exports.formats.choose import writer_of
from audiences.exports.formats.parts import Part, Parts
from audiences.exports.formats.rows import Counts
from audiences.exports.id_rows import Opened, Texts, id_blocks
from audiences.exports.label import Definitions, labels_of
from audiences.exports.manifest import Manifest, SegmentLine, Staging
from audiences.exports.plan import Before, Plan
from audiences.exports.report import ExportReport
from audiences.exports.run_steps import OnStep, RunStep
from audiences.exports.seat import Removal, Seat
from audiences.exports.seat_state import PREPARED, PUBLISHED, ExportRow
from matching.partner_ids_store import CarriedIds

RemovedTexts = Mapping[int, tuple[str, str]]


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """What one run works on."""

    seat: Seat
    run: int
    now_ms: int
    folder: Path
    live: Sequence[CarriedIds]
    texts: Texts
    opened: Opened
    before: Before
    store: ExportStore
    definitions: Definitions
    on_step: OnStep


def publish(
    work: Work, plan: Plan, report: ExportReport, removed_texts: RemovedTexts
) -> ExportReport:
    """Write, keep the next state aside, rename into sight, and only then let the state count."""
    staging = Staging(work.folder, work.run)
    staging.begin()
    parts = write_parts(work, plan, removed_texts, staging.open_file)
    work.on_step(RunStep.FILES_WRITTEN)
    staging.sync(parts)
    work.on_step(RunStep.FILES_SYNCED)
    files = [str(work.folder / part.name) for part in parts]
    report = msgspec.structs.replace(
        with_parts(report, parts), path=next(iter(files), ""), files=files
    )
    key = work.seat.key
    work.store.put_held(key, work.run, plan.changes.next_held, plan.expires_days)
    work.on_step(RunStep.STATE_WRITTEN)
    row = ExportRow(
        run=work.run,
        seat=key,
        status=PREPARED,
        report=msgspec.json.encode(report).decode(),
        removals=_sent_removals(work),
    )
    work.store.put_export(row)
    work.on_step(RunStep.PREPARED)
    staging.publish(_manifest(work, plan, parts), work.on_step)
    work.on_step(RunStep.MANIFEST_VISIBLE)
    work.store.put_export(msgspec.structs.replace(row, status=PUBLISHED))
    work.on_step(RunStep.PUBLISHED)
    work.store.prune(key)
    work.on_step(RunStep.PRUNED)
    return report


def write_parts(
    work: Work, plan: Plan, removed_texts: RemovedTexts, open_file: Callable[[str], BinaryIO]
) -> list[Part]:
    """Write the rows of a plan, and what describes them, into files opened by `open_file`."""
    files: list[BinaryIO] = []

    def opened(name: str) -> BinaryIO:
        files.append(open_file(name))
        work.on_step(RunStep.FILE_OPENED)
        return files[-1]

    out = Parts(seat=work.seat, run=work.run, mode=plan.mode, at_ms=work.now_ms, open_file=opened)
    blocks = id_blocks(
        work.seat,
        changes=plan.changes,
        texts=work.texts,
        expires_days=plan.expires_days,
        removed_texts=removed_texts,
        opened=work.opened,
    )
    try:
        writer_of(work.seat).write_blocks(blocks, work.seat, out)
        # Why: where absence removes, an empty file is how a seat is emptied.
        parts = out.finish(even_empty=work.seat.membership.removal is Removal.REPLACE)
        return parts + labels_of(work.seat, parts, plan.segments, work.definitions, opened)
    finally:
        for file in files:
            file.close()


def with_parts(report: ExportReport, parts: Sequence[Part]) -> ExportReport:
    """Tell in the report what the files hold."""
    total = _total(parts)
    return msgspec.structs.replace(report, rows=total.rows, ids=total.ids)


def _sent_removals(work: Work) -> tuple[int, ...]:
    spaces = set(work.seat.id_spaces)
    return tuple(
        each.removal
        for each in work.before.frozen
        if {said.id_space for said in each.ids} <= spaces
    )


def _manifest(work: Work, plan: Plan, parts: list[Part]) -> Manifest:
    seat = work.seat
    lines = [
        SegmentLine(segment=each.segment, adds=each.adds + each.refreshes, removes=each.removes)
        for each in plan.segments
    ]
    return Manifest(
        seat=seat.key,
        partner=seat.partner,
        account=seat.account,
        id_spaces=seat.id_spaces,
        run=work.run,
        previous_run=work.before.held.run,
        mode=plan.mode,
        at_ms=work.now_ms,
        total=_total(parts),
        files=parts,
        segments=lines,
    )


def _total(parts: Sequence[Part]) -> Counts:
    return Counts(
        **{
            name: sum(getattr(part.counts, name) for part in parts)
            for name in Counts.__struct_fields__
        }
    )
