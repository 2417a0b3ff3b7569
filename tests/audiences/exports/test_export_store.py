"""What the database keeps about seats."""

import datetime as dt

import pytest
from pyroaring import BitMap

from audiences.exports.export_store import ExportStore, SegmentTaken
from audiences.exports.seat_state import (
    PREPARED,
    PUBLISHED,
    Activation,
    ExportRow,
    HeldIds,
    IdText,
)

pytestmark = pytest.mark.clickhouse

DAY = dt.date(2026, 11, 21)
SEAT = "xandr_958"


def activation(audience: str, segment: str, seat: str = SEAT, days: int = 0) -> Activation:
    """Make an activation."""
    return Activation(seat=seat, audience=audience, segment=segment, expires_days=days)


def state(run: int, status: str, removals: tuple[int, ...] = ()) -> ExportRow:
    """Make a row of a run on the seat."""
    return ExportRow(run=run, seat=SEAT, status=status, report="{}", removals=removals)


def test_the_newest_activation_stands(store: ExportStore) -> None:
    """An audience's activation on a seat can be changed, taken back and put again."""
    store.put_activation(activation("champions", "10"))
    store.put_activation(activation("cyclists", "11"))
    store.put_activation(activation("cyclists", "11", seat="ttd_demo"))
    store.put_activation(activation("champions", "12", days=7))
    assert store.activations(SEAT) == [
        activation("cyclists", "11"),
        activation("champions", "12", days=7),
    ]
    assert store.remove_activation(SEAT, "champions")
    assert not store.remove_activation(SEAT, "champions")
    assert store.activations() == [
        activation("cyclists", "11", seat="ttd_demo"),
        activation("cyclists", "11"),
    ]


def test_a_segment_has_one_audience(store: ExportStore) -> None:
    """A second audience on the same segment of a seat is refused."""
    store.put_activation(activation("champions", "10"))
    store.put_activation(activation("champions", "10", days=3))
    with pytest.raises(SegmentTaken, match="champions"):
        store.put_activation(activation("cyclists", "10"))


@pytest.mark.parametrize("size", [1, 31, 32, 33, 70_000])
def test_held_ids_come_back(store: ExportStore, size: int) -> None:
    """Bitmaps of every form of the engine's states survive the table, segment by segment."""
    days = {
        "10": {DAY: BitMap(range(1, size + 1)), DAY - dt.timedelta(days=1): BitMap([9, 2**32 - 2])},
        "é": {DAY: BitMap([7])},
    }
    store.put_held(SEAT, 3, days, {"10": 30})
    assert store.held(SEAT).days == {}
    store.put_export(state(3, PUBLISHED))
    held = store.held(SEAT)
    assert (held.run, held.days, held.expires_days) == (3, days, {"10": 30, "é": 0})
    assert store.held("another").days == {}


def test_writing_a_run_again_replaces_it(store: ExportStore) -> None:
    """The state of an attempt that was cut short leaves nothing in the next attempt's."""
    store.put_held(SEAT, 3, {"10": {DAY: BitMap([1])}}, {})
    store.put_held(SEAT, 3, {"10": {DAY: BitMap([2])}}, {})
    store.put_export(state(3, PUBLISHED))
    assert store.held(SEAT).days == {"10": {DAY: BitMap([2])}}


def test_a_published_run_that_holds_nothing_is_the_state(store: ExportStore) -> None:
    """After everything was removed the seat holds nothing, not what it held before."""
    store.put_held(SEAT, 3, {"10": {DAY: BitMap([1])}}, {})
    store.put_export(state(3, PUBLISHED))
    store.put_held(SEAT, 4, {}, {})
    store.put_export(state(4, PUBLISHED))
    assert (store.held(SEAT).run, store.held(SEAT).days) == (4, {})


def test_runs_stand_where_they_ended(store: ExportStore) -> None:
    """A published row stands for its run whatever came after; others by time."""
    store.put_export(state(3, PREPARED))
    store.put_export(state(3, PUBLISHED))
    store.put_export(state(3, "failed"))
    store.put_export(state(4, PREPARED))
    store.put_export(state(4, "failed"))
    assert [(row.run, row.status) for row in store.exports()] == [(4, "failed"), (3, PUBLISHED)]
    assert [row.run for row in store.exports(run=3)] == [3]
    assert [row.run for row in store.exports(limit=1)] == [4]
    assert [row.run for row in store.prepared(SEAT)] == [4]


def test_who_holds_an_id_is_known(store: ExportStore) -> None:
    """The card and erasure learn which seat holds which of a person's ids since when."""
    for run, ids in ((3, [1, 2, 3]), (4, [2, 3])):
        store.put_held(SEAT, run, {"10": {DAY: BitMap(ids)}, "11": {DAY: BitMap([9])}}, {})
        store.put_export(state(run, PUBLISHED))
    assert store.held_ids_of([1, 3]) == [
        HeldIds(seat=SEAT, segment="10", sent_on=DAY, id_ordinals=(3,))
    ]
    assert store.held_ids_of([]) == []


def test_frozen_removals_wait_for_a_published_run(store: ExportStore) -> None:
    """A frozen removal is told until a published run names it, and is then wiped."""
    paul = IdText(id_space="xandr", id="X7", id_ordinal=7)
    store.freeze_removals(SEAT, "10", [paul])
    store.freeze_removals(SEAT, "11", [paul])
    first, second = store.frozen_removals(SEAT)
    assert (first.segment, first.ids) == ("10", (paul,))
    store.put_export(state(3, PREPARED, removals=(first.removal,)))
    assert len(store.frozen_removals(SEAT)) == 2
    store.put_export(state(3, PUBLISHED, removals=(first.removal,)))
    assert store.frozen_removals(SEAT) == [second]
    store.prune(SEAT)
    texts = store._client.query("select removals from ledger where kind = 'removal'").result_rows
    assert len(texts) == 1


def test_pruning_keeps_the_state(store: ExportStore) -> None:
    """Only states before the newest published one go; a state being written stays."""
    for run in (3, 4, 5):
        store.put_held(SEAT, run, {"10": {DAY: BitMap([run])}}, {})
        store.put_export(state(run, PUBLISHED if run < 5 else PREPARED))
    store.prune(SEAT)
    assert store.held(SEAT).days == {"10": {DAY: BitMap([4])}}
    rows = store._client.query("select distinct run from ledger order by run").result_rows
    assert [run for (run,) in rows] == [4, 5]
