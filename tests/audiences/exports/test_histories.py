"""Random histories of a seat, whatever its way of removing, against a plain account of what is due.

The files are read as the partner would read them: what they change on the last state must be the
next one in full. The account below knows pairs of id and segment and nothing of bitmaps or files.
"""

from collections.abc import Callable
from itertools import count
from typing import Any, Final

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from seat_world import AT_MS, DAY_MS, VISITORS, Killed, World, dies_at, freeze, id_text

from audiences.exports.run_steps import RunStep
from audiences.exports.seat import Removal
from audiences.exports.seat_state import ExportRow
from audiences.exports.seats import Seat

pytestmark = [pytest.mark.clickhouse, pytest.mark.embedded]

SEATS: Final = {
    Removal.SENTINEL: "ttd_demo",
    Removal.SECTION: "xandr_958",
    Removal.PREFIX: "adobe_audience_manager",
    Removal.FLAG: "pixel_csv",
    Removal.FILE: "beeswax",
    Removal.REPLACE: "liveramp",
    Removal.NONE: "adform",
}
SEGMENTS: Final = {"buyers": "10", "lookers": "11"}
MIN_SIZE: Final = 2
RUNS: Final = count(1)
EXAMPLES: Final = max(3, settings.default.max_examples // 8)  # type: ignore[union-attr]

Pairs = set[tuple[str, str]]
some_visitors = st.sets(st.integers(0, 7))
a_step = st.fixed_dictionaries(
    {
        "buyers": some_visitors,
        "lookers": st.none() | some_visitors,
        "denied": st.sets(st.integers(0, 7), max_size=2),
        "renamed": st.none() | st.integers(0, 7),
        "erased": st.none() | st.integers(0, 7),
        "days": st.integers(0, 7),
        "lifetime": st.sampled_from([0, 20]),
        "crash": st.none() | st.sampled_from(RunStep),
        "same_run": st.booleans(),
    }
)


class Account:
    """What a seat should hold, told pair by pair."""

    def __init__(self, removal: Removal) -> None:
        self.pairs: Pairs = set()
        self._removal = removal

    def run(self, world: World) -> None:
        """Follow one run; a segment with too few people only loses."""
        due: Pairs = set()
        for each in world.activations:
            wanted = {pair for pair in world.wanted() if pair[1] == each.segment}
            if len(wanted) < MIN_SIZE:
                wanted &= set() if self._removal is Removal.REPLACE else self.pairs
            due |= wanted
        self.pairs = due


def change(world: World, step: dict[str, Any], run: int) -> None:
    """Let happen what a step says."""
    world.activations.clear()
    for audience, segment in SEGMENTS.items():
        if step[audience] is not None:
            world.activate(audience, segment, step[audience], days=step["lifetime"])
    world.allowed = set(range(VISITORS)) - step["denied"]
    if step["erased"] in world.carried:
        freeze(world, step["erased"])
    if step["renamed"] in world.carried:
        world.carried[step["renamed"]] = id_text(world.seat, 1000 + 10 * run)


def seat_that_removes_by(removal: Removal, seats: dict[str, Seat]) -> Seat:
    """Give a seat with this way of removing."""
    seat = seats[SEATS[removal]]
    membership = msgspec.structs.replace(seat.membership, removal=removal)
    return msgspec.structs.replace(
        seat, membership=membership, min_size=MIN_SIZE, partner_min_size=0
    )


@pytest.mark.parametrize("removal", Removal)
@settings(
    max_examples=EXAMPLES,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(story=st.lists(a_step, min_size=2, max_size=4))
def test_a_partner_who_applies_every_file_holds_what_is_due(
    make_world: Callable[..., World],
    every_seat: dict[str, Seat],
    tmp_path_factory: Any,
    removal: Removal,
    story: list[dict[str, Any]],
) -> None:
    """After each run partner, ledger and account agree; after a crash the partner has old or new.

    Where nothing removes, the partner may hold more. What is due never expires between runs.
    """
    world = make_world(SEATS[removal])
    world.seat = seat_that_removes_by(removal, every_seat)
    world.out_dir = tmp_path_factory.mktemp("exports")
    _empty(world)
    account = Account(removal)
    day = 0
    for step in story:
        day += step["days"]
        run = next(RUNS)
        change(world, step, run)
        before = world.content()
        account.run(world)
        if step["crash"] is not None:
            _crash(world, run, step["crash"], day)
            assert world.content() in (before, account.pairs) or removal is Removal.NONE
            run = run if step["same_run"] else next(RUNS)
        world.export(run, day=day)
        _check(world, account, day)


def _empty(world: World) -> None:
    """Let a run that holds nothing stand before the story."""
    run = next(RUNS)
    world.store.put_held(world.seat.key, run, {}, {})
    world.store.put_export(_published(world.seat, run))
    for removal in world.store.frozen_removals(world.seat.key):
        done = _published(world.seat, run, removal.removal)
        world.store.put_export(done)


def _published(seat: Seat, run: int, *removals: int) -> Any:
    return ExportRow(
        run=run, seat=seat.key, status="published", report="{}", removals=tuple(removals)
    )


def _crash(world: World, run: int, step: RunStep, day: int) -> None:
    try:
        world.export(run, day=day, on_step=dies_at(step))
    except Killed:
        return


def _check(world: World, account: Account, day: int) -> None:
    assert world.held() == account.pairs
    partner = world.partner()
    if account._removal is Removal.NONE:
        assert account.pairs <= partner.keys()
    else:
        assert partner.keys() == account.pairs
    now_ms = AT_MS + day * DAY_MS
    assert all(partner[pair] > now_ms for pair in account.pairs)
