"""One export of one seat, from its activations to a published file and the seat's next state.

Files appear whole, the manifest last; the state moves on only once they are there. A crash at any
point leaves the old state or the new one. Delivery to the partner is not done here.
"""

import datetime as dt
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec
from pyroaring import BitMap

from audiences.exports.export_store import ExportStore
from audiences.exports.formats.choose import writer_of
from audiences.exports.formats.parts import Part, Parts, discard
from audiences.exports.formats.rows import Counts, UnwritableRow
from audiences.exports.id_rows import id_rows
from audiences.exports.ledger import keep_held
from audiences.exports.manifest import (
    Manifest,
    SegmentLine,
    Staging,
    drop_staged,
    drop_unpublished,
    manifest_name,
)
from audiences.exports.plan import Members, Plan, Texts, plan_export
from audiences.exports.report import ExportReport, ExportStatus, SegmentStatus
from audiences.exports.seat import Removal, Seat
from audiences.exports.seat_state import (
    PREPARED,
    PUBLISHED,
    Activation,
    ExportRow,
    FrozenRemoval,
    Held,
)
from matching.partner_ids_store import LiveIds


class _Run(msgspec.Struct, frozen=True, kw_only=True):
    """What one run works on."""

    seat: Seat
    run: int
    now_ms: int
    folder: Path
    live: Sequence[LiveIds]
    held: Held
    frozen: Sequence[FrozenRemoval]
    store: ExportStore


def export_seat(
    seat: Seat,
    *,
    activations: Sequence[Activation],
    members: Members,
    live: Sequence[LiveIds],
    allowed: BitMap,
    suppressed: BitMap,
    texts: Texts,
    store: ExportStore,
    out_dir: Path,
    run: int,
    now_ms: int,
    dry_run: bool = False,
    time_zone: dt.tzinfo = dt.UTC,
) -> ExportReport:
    """Send a seat what changed since its newest published run; a published run stands as it is.

    `live` goes in parallel to the seat's id spaces. Runs of a seat have growing numbers and never
    overlap, nor do they overlap with an erasure.
    """
    folder = out_dir / seat.key
    _settle(seat, folder, store)
    if (done := _published(seat, run, store)) is not None:
        return done
    work = _Run(
        seat=seat,
        run=run,
        now_ms=now_ms,
        folder=folder,
        live=live,
        held=store.held(seat.key),
        frozen=store.frozen_removals(seat.key),
        store=store,
    )
    try:
        _check_run(work)
        plan = plan_export(
            seat,
            activations=[each for each in activations if each.seat == seat.key],
            members=members,
            live=live,
            allowed=allowed,
            suppressed=suppressed,
            held=work.held,
            frozen=work.frozen,
            today=dt.datetime.fromtimestamp(now_ms / 1000, time_zone).date(),
        )
        return _carry_out(work, plan, texts, dry_run=dry_run)
    except (UnwritableRow, OSError) as error:
        Staging(folder, run).drop()
        failed = ExportReport(seat=seat.key, run=run, status=ExportStatus.FAILED, reason=str(error))
        return _note(work, failed)


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


def _check_run(work: _Run) -> None:
    if work.run <= work.held.run:
        raise UnwritableRow(
            f"seat {work.seat.key}: run {work.run} comes after run {work.held.run} was published; "
            "start a new run"
        )


def _carry_out(work: _Run, plan: Plan, texts: Texts, *, dry_run: bool) -> ExportReport:
    removed_texts, unnamed = _removed_texts(work, plan, texts)
    changes = keep_held(plan.changes, work.held.days, unnamed)
    plan = msgspec.structs.replace(plan, changes=changes)
    report = _report(work, plan, unnamed)
    if report.status is not ExportStatus.PUBLISHED:
        return _note(work, report)
    if dry_run:
        parts = _write(work, plan, removed_texts, discard)
        report = msgspec.structs.replace(_with_parts(report, parts), status=ExportStatus.DRY_RUN)
        return _note(work, report)
    return _publish(work, plan, report, removed_texts)


def _removed_texts(
    work: _Run, plan: Plan, texts: Texts
) -> tuple[dict[int, tuple[str, str]], BitMap]:
    """Find what the removed ids are called, and those that nobody can name to the seat any more."""
    gone = BitMap.union(BitMap(), *plan.changes.removes.values())
    named = {
        each.id_ordinal: (each.id_space, each.id) for removal in work.frozen for each in removal.ids
    }
    if unfrozen := gone - BitMap(named):
        named |= texts(unfrozen)
    sayable = {ordinal: name for ordinal, name in named.items() if name[0] in work.seat.id_spaces}
    return sayable, gone - BitMap(sayable)


def _report(work: _Run, plan: Plan, unnamed: BitMap) -> ExportReport:
    changes = plan.changes
    adds, removes, refreshes = (
        sum(map(len, kind.values())) for kind in (changes.adds, changes.removes, changes.refreshes)
    )
    below = [each for each in plan.segments if each.status is SegmentStatus.BELOW_MINIMUM]
    reasons = [
        f"segment {each.segment} ({each.audience}) reaches {each.people} people, fewer than "
        f"{work.seat.min_size}: nothing added"
        for each in below
    ]
    if removes and work.seat.membership.removal is Removal.NONE:
        reasons.append(f"{removes} removals cannot be said to the partner: lifetimes end them")
    if unnamed:
        reasons.append(f"{len(unnamed)} ids to remove have no text any more and stay on the seat")
    status = ExportStatus.PUBLISHED
    if not adds + removes + refreshes:
        status = ExportStatus.BELOW_MINIMUM if below else ExportStatus.NOTHING_TO_SEND
        status = status if plan.segments else ExportStatus.NO_ACTIVATIONS
    return ExportReport(
        seat=work.seat.key,
        run=work.run,
        status=status,
        previous_run=work.held.run,
        mode=plan.mode,
        adds=adds,
        removes=removes,
        refreshes=refreshes,
        refused_ids=plan.refused_ids,
        unnamed_ids=len(unnamed),
        segments=plan.segments,
        reason="; ".join(reasons),
    )


def _write(
    work: _Run,
    plan: Plan,
    removed_texts: dict[int, tuple[str, str]],
    open_file: Callable[[str], BinaryIO],
) -> list[Part]:
    out = Parts(
        seat=work.seat, run=work.run, mode=plan.mode, at_ms=work.now_ms, open_file=open_file
    )
    rows = id_rows(
        work.seat,
        changes=plan.changes,
        live=work.live,
        expires_days=plan.expires_days,
        removed_texts=removed_texts,
    )
    writer_of(work.seat).write(rows, work.seat, out)
    # Why: where absence removes, an empty file is how a seat is emptied.
    return out.finish(even_empty=work.seat.membership.removal is Removal.REPLACE)


def _with_parts(report: ExportReport, parts: Sequence[Part]) -> ExportReport:
    total = _total(parts)
    return msgspec.structs.replace(report, rows=total.rows, ids=total.ids)


def _publish(
    work: _Run, plan: Plan, report: ExportReport, removed_texts: dict[int, tuple[str, str]]
) -> ExportReport:
    """Write, keep the next state aside, rename into sight, and only then let the state count."""
    staging = Staging(work.folder, work.run)
    staging.begin()
    parts = _write(work, plan, removed_texts, staging.open_file)
    staging.sync(parts)
    files = [str(work.folder / part.name) for part in parts]
    report = msgspec.structs.replace(
        _with_parts(report, parts), path=next(iter(files), ""), files=files
    )
    key = work.seat.key
    work.store.put_held(key, work.run, plan.changes.next_held, plan.expires_days)
    row = ExportRow(
        run=work.run,
        seat=key,
        status=PREPARED,
        report=msgspec.json.encode(report).decode(),
        removals=_sent_removals(work),
    )
    work.store.put_export(row)
    staging.publish(_manifest(work, plan, parts))
    work.store.put_export(msgspec.structs.replace(row, status=PUBLISHED))
    work.store.prune(key)
    return report


def _sent_removals(work: _Run) -> tuple[int, ...]:
    spaces = set(work.seat.id_spaces)
    return tuple(
        each.removal for each in work.frozen if {said.id_space for said in each.ids} <= spaces
    )


def _manifest(work: _Run, plan: Plan, parts: list[Part]) -> Manifest:
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
        previous_run=work.held.run,
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


def _note(work: _Run, report: ExportReport) -> ExportReport:
    text = msgspec.json.encode(report).decode()
    work.store.put_export(
        ExportRow(run=work.run, seat=work.seat.key, status=report.status, report=text)
    )
    return report
