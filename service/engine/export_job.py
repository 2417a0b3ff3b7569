"""One run over seats: each seat's activations become its file, its manifest and its next state."""

from collections.abc import Mapping, Sequence

from pyroaring import BitMap

from audiences.build import NotBuiltError
from audiences.exports.report import ExportReport
from audiences.exports.run import export_seat
from audiences.exports.seats import Seat
from matching.people import People
from service.engine.engine import Engine


def run_exports(
    engine: Engine, run: int, seats: Sequence[Seat], *, dry_run: bool = False
) -> list[ExportReport]:
    """Export these seats; loading and erasure wait meanwhile, so that preview equals export."""
    with engine.changing:
        engine.reaches.forget()
        return [_export(engine, run, seat, dry_run=dry_run) for seat in seats]


def _export(engine: Engine, run: int, seat: Seat, *, dry_run: bool) -> ExportReport:
    def members(key: str) -> tuple[People, BitMap] | None:
        report = engine.builder.report(key)
        if report is None:
            return None
        try:
            return engine.criteria.people(report.identity), engine.builder.members(key)
        except NotBuiltError:
            return None

    def texts(ordinals: BitMap) -> Mapping[int, tuple[str, str]]:
        return engine.stores.partner_ids.ids_of(list(ordinals))

    return export_seat(
        seat,
        activations=engine.stores.exports.activations(seat.key),
        members=members,
        live=engine.reaches.live(seat),
        allowed=engine.reaches.allowed(seat),
        suppressed=engine.suppressed,
        texts=texts,
        store=engine.stores.exports,
        out_dir=engine.environment.data / "exports",
        run=run,
        now_ms=engine.now_ms(),
        dry_run=dry_run,
        time_zone=engine.environment.timezone,
    )
