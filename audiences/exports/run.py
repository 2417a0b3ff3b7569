"""One export of one seat, from its activations to a published file and the seat's next state.

Files appear whole, the manifest last; the state moves on only once they are there. A crash at any
point leaves the old state or the new one. Delivery to the partner is not done here.
"""

import datetime as dt
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from pyroaring import BitMap

from audiences.exports.export_store import ExportStore
from audiences.exports.formats.parts import discard
from audiences.exports.formats.rows import UnwritableRow
from audiences.exports.id_rows import Opened, Texts, as_they_rest
from audiences.exports.label import Definitions
from audiences.exports.ledger import keep_held
from audiences.exports.manifest import Staging, drop_staged, drop_unpublished, manifest_name
from audiences.exports.plan import Before, Plan, plan_export
from audiences.exports.publication import Work, publish, with_parts, write_parts
from audiences.exports.report import ExportReport, ExportStatus, SegmentStatus
from audiences.exports.run_steps import OnStep, RunStep
from audiences.exports.seat import Removal, Seat
from audiences.exports.seat_state import PUBLISHED, Activation, Asked, ExportRow
from audiences.exports.wanted import Who
from matching.bitmaps import bitmap_of

log: Final = logging.getLogger("jumelle.exports")


def export_seat(
    seat: Seat,
    *,
    activations: Sequence[Activation],
    who: Who,
    texts: Texts,
    store: ExportStore,
    out_dir: Path,
    run: int,
    now_ms: int,
    asked: Asked = Asked(),  # noqa: B008 - a frozen value
    time_zone: dt.tzinfo = dt.UTC,
    definitions: Definitions = lambda _: None,
    on_step: OnStep | None = None,
    opened: Opened = as_they_rest,
) -> ExportReport:
    """Send a seat what changed since its newest published run; a published run stands as it is.

    Runs of a seat have growing numbers and never overlap, nor do they overlap with an erasure.
    """
    folder = out_dir / seat.key
    _settle(seat, folder, store)
    if (done := _published(seat, run, store)) is not None:
        return done
    before = Before(
        held=store.held(seat.key),
        frozen=store.frozen_removals(seat.key),
        hold=store.hold(seat.key),
    )
    work = Work(
        seat=seat,
        run=run,
        now_ms=now_ms,
        folder=folder,
        live=who.live,
        texts=texts,
        opened=opened,
        before=before,
        store=store,
        definitions=definitions,
        on_step=on_step or _log_step(seat, run),
    )
    try:
        _check_run(work)
        plan = plan_export(
            seat,
            activations=[each for each in activations if each.seat == seat.key],
            who=who,
            texts=texts,
            opened=opened,
            before=before,
            today=dt.datetime.fromtimestamp(now_ms / 1000, time_zone).date(),
            asked=asked,
        )
        return _carry_out(work, plan, dry_run=asked.dry_run)
    except (UnwritableRow, OSError) as error:
        Staging(folder, run).drop()
        failed = ExportReport(seat=seat.key, run=run, status=ExportStatus.FAILED, reason=str(error))
        return _note(work, failed)


def _log_step(seat: Seat, run: int) -> OnStep:
    return lambda step: log.debug("export %s of seat %s: %s", run, seat.key, step)


def _settle(seat: Seat, folder: Path, store: ExportStore) -> None:
    """Finish or undo what a crash interrupted: the manifest tells which."""
    for row in store.prepared(seat.key):
        if (folder / manifest_name(seat.key, row.run)).exists():
            store.put_export(msgspec.structs.replace(row, status=PUBLISHED))
        else:
            report = msgspec.json.decode(row.report, type=ExportReport)
            drop_unpublished(folder, seat, row.run, report.files)
    drop_staged(folder)


def _published(seat: Seat, run: int, store: ExportStore) -> ExportReport | None:
    for row in store.exports(run=run):
        if row.seat == seat.key and row.status == PUBLISHED:
            return msgspec.json.decode(row.report, type=ExportReport)
    return None


def _check_run(work: Work) -> None:
    newest = work.before.held.run
    if work.run <= newest:
        raise UnwritableRow(
            f"seat {work.seat.key}: run {work.run} comes after run {newest} was published; "
            "start a new run"
        )


def _carry_out(work: Work, plan: Plan, *, dry_run: bool) -> ExportReport:
    removed_texts, unnamed = _removed_texts(work, plan)
    changes = keep_held(plan.changes, work.before.held.days, unnamed)
    plan = msgspec.structs.replace(plan, changes=changes)
    work.on_step(RunStep.PLANNED)
    report = _report(work, plan, unnamed)
    if not report.adds + report.removes + report.refreshes:
        return _note(work, report)
    if dry_run:
        parts = write_parts(work, plan, removed_texts, discard)
        report = msgspec.structs.replace(with_parts(report, parts), status=ExportStatus.DRY_RUN)
        return _note(work, report)
    return publish(work, plan, report, removed_texts)


def _removed_texts(work: Work, plan: Plan) -> tuple[dict[int, tuple[str, str]], BitMap]:
    """Find what erased ids were called that leave now, and removed ids that nobody can name."""
    gone = BitMap.union(BitMap(), *plan.changes.removes.values())
    live = BitMap.union(BitMap(), *(bitmap_of(each.id_ordinals) for each in work.live))
    frozen = {
        each.id_ordinal: (each.id_space, each.id)
        for removal in work.before.frozen
        for each in removal.ids
        if each.id_space in work.seat.id_spaces and each.id_ordinal not in live
    }
    left = gone - live - BitMap(frozen)
    return frozen, left - work.texts.named(work.seat.id_spaces, left) if left else left


def _report(work: Work, plan: Plan, unnamed: BitMap) -> ExportReport:
    changes = plan.changes
    adds, removes, refreshes = (
        sum(map(len, kind.values())) for kind in (changes.adds, changes.removes, changes.refreshes)
    )
    return ExportReport(
        seat=work.seat.key,
        run=work.run,
        status=_status(plan, is_change=bool(adds + removes + refreshes)),
        previous_run=work.before.held.run,
        mode=plan.mode,
        adds=adds,
        removes=removes,
        refreshes=refreshes,
        refused_ids=plan.refused_ids,
        unnamed_ids=len(unnamed),
        segments=plan.segments,
        reason="; ".join(_reasons(work.seat, plan, removes, unnamed)),
    )


def _status(plan: Plan, *, is_change: bool) -> ExportStatus:
    if plan.waits:
        return ExportStatus.HELD
    if is_change:
        return ExportStatus.PUBLISHED
    if not plan.segments:
        return ExportStatus.NO_ACTIVATIONS
    is_below = any(each.status is SegmentStatus.BELOW_MINIMUM for each in plan.segments)
    return ExportStatus.BELOW_MINIMUM if is_below else ExportStatus.NOTHING_TO_SEND


def _reasons(seat: Seat, plan: Plan, removes: int, unnamed: BitMap) -> list[str]:
    reasons = [f"held: {each}; only removals go out until it is released" for each in plan.waits]
    reasons += [
        f"segment {each.segment} ({each.audience}) reaches {each.people} people, fewer than "
        f"{seat.min_size}: nothing added"
        for each in plan.segments
        if each.status is SegmentStatus.BELOW_MINIMUM
    ]
    if removes and seat.membership.removal is Removal.NONE:
        reasons.append(f"{removes} removals cannot be said to the partner: lifetimes end them")
    if unnamed:
        reasons.append(f"{len(unnamed)} ids to remove have no text any more and stay on the seat")
    return reasons


def _note(work: Work, report: ExportReport) -> ExportReport:
    text = msgspec.json.encode(report).decode()
    work.store.put_export(
        ExportRow(run=work.run, seat=work.seat.key, status=report.status, report=text)
    )
    return report
