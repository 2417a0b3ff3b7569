"""What changes on a seat, against a seat that simply applies the files it gets."""

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroaring import BitMap

from audiences.exports.ledger import Changes, diff, everything, keep_held
from audiences.exports.seat import Mode, Removal

DAY = dt.date(2026, 11, 21)
X7, X9 = 7, 9
SEGMENTS = ("101", "102")


def changes_of(held: Any, wanted: Any, **options: Any) -> Changes:
    """Compare with the options that most tests share."""
    settings: dict[str, Any] = {
        "mode": Mode.DELTA,
        "today": DAY,
        "refresh_before_days": 7,
        "expires_days": dict.fromkeys(SEGMENTS, 30),
        "forced_removals": {},
    }
    return diff(held, wanted, **(settings | options))


def test_a_new_id_takes_the_place_of_the_old() -> None:
    """When a visitor's X7 becomes X9, X7 is removed and X9 added."""
    changes = changes_of({"101": {DAY: BitMap([X7])}}, {"101": BitMap([X9])})
    assert changes.removes == {"101": BitMap([X7])}
    assert changes.adds == {"101": BitMap([X9])}
    assert changes.next_held == {"101": {DAY: BitMap([X9])}}


def test_an_unchanged_id_is_not_sent_again() -> None:
    """What the seat holds and should hold stays, with the day it was sent."""
    held = {"101": {DAY - dt.timedelta(days=3): BitMap([X7])}}
    changes = changes_of(held, {"101": BitMap([X7])})
    assert not any([*changes.adds.values(), *changes.removes.values(), *changes.refreshes.values()])
    assert changes.next_held == held


@pytest.mark.parametrize(
    ("age_days", "expires_days", "refreshed"),
    [(22, 30, False), (23, 30, True), (40, 30, True), (400, 0, False), (0, 5, True)],
    ids=["fresh", "a week before", "expired", "never expires", "shorter than a week"],
)
def test_ids_are_sent_again_before_they_expire(
    age_days: int, expires_days: int, *, refreshed: bool
) -> None:
    """An id is refreshed `refresh_before_days` before its lifetime ends."""
    held = {"101": {DAY - dt.timedelta(days=age_days): BitMap([X7])}}
    changes = changes_of(held, {"101": BitMap([X7])}, expires_days={"101": expires_days})
    assert changes.refreshes["101"] == BitMap([X7] if refreshed else [])
    sent_on = DAY if refreshed else DAY - dt.timedelta(days=age_days)
    assert changes.next_held == {"101": {sent_on: BitMap([X7])}}


def test_a_segment_without_activation_is_emptied() -> None:
    """What no audience fills any more is removed."""
    changes = changes_of({"101": {DAY: BitMap([X7])}}, {})
    assert changes.removes == {"101": BitMap([X7])}
    assert changes.next_held == {"101": {}}


def test_a_forced_removal_beats_a_wish() -> None:
    """An id frozen for removal leaves although it is wanted, and although it is not held."""
    changes = changes_of(
        {"101": {DAY: BitMap([X7])}},
        {"101": BitMap([X7, X9])},
        forced_removals={"101": BitMap([X7, 3])},
    )
    assert changes.removes == {"101": BitMap([X7, 3])}
    assert changes.next_held == {"101": {DAY: BitMap([X9])}}


def test_a_blocked_segment_only_loses_ids() -> None:
    """A segment below the minimum adds and refreshes nothing but removes what must go."""
    old = DAY - dt.timedelta(days=29)
    changes = changes_of(
        {"101": {old: BitMap([1, X7])}}, {"101": BitMap([1, X9])}, no_adds={"101"}, mode=Mode.FULL
    )
    assert (changes.adds["101"], changes.refreshes["101"]) == (BitMap(), BitMap())
    assert changes.removes == {"101": BitMap([X7])}
    assert changes.next_held == {"101": {old: BitMap([1])}}


def test_what_cannot_be_named_stays_held() -> None:
    """A removal that is taken back leaves the seat's state as it was."""
    old = DAY - dt.timedelta(days=3)
    held = {"101": {old: BitMap([X7, 8])}}
    changes = keep_held(changes_of(held, {}), held, BitMap([X7]))
    assert changes.removes == {"101": BitMap([8])}
    assert changes.next_held == {"101": {old: BitMap([X7])}}


class NaiveSeat:
    """A seat that applies files: it knows pairs of id and segment, and the day they came."""

    def __init__(self, removal: Removal, lifetime: int) -> None:
        self.pairs: dict[tuple[int, str], dt.date] = {}
        self.removal = removal
        self.lifetime = lifetime

    def apply(self, changes: Changes, today: dt.date) -> None:
        if self.removal is Removal.REPLACE:
            self.pairs.clear()
        for segment, ids in changes.removes.items():
            for each in ids if self.removal is not Removal.REPLACE else ():
                self.pairs.pop((each, segment), None)
        for kind in (changes.adds, changes.refreshes):
            self.pairs |= {(each, segment): today for segment in kind for each in kind[segment]}

    def held(self, today: dt.date) -> set[tuple[int, str]]:
        return {
            pair
            for pair, day in self.pairs.items()
            if not self.lifetime or (today - day).days < self.lifetime
        }


ids_of_a_segment = st.builds(BitMap, st.sets(st.integers(1, 12)))
a_run = st.tuples(
    st.integers(0, 12),
    st.dictionaries(st.sampled_from(SEGMENTS), ids_of_a_segment),
    st.dictionaries(
        st.sampled_from(SEGMENTS), st.builds(BitMap, st.sets(st.integers(1, 12), max_size=2))
    ),
)


@pytest.mark.parametrize("removal", Removal)
@given(runs=st.lists(a_run, max_size=6), lifetime=st.sampled_from([0, 10]))
def test_delta_on_the_last_state_equals_full(
    removal: Removal, runs: list[Any], lifetime: int
) -> None:
    """Whatever runs come, a seat fed with changes holds what one fed with everything holds.

    Runs are at most 3 days apart where ids expire, as the refresh promises.
    """
    modes = [Mode.FULL] if removal is Removal.REPLACE else [Mode.DELTA, Mode.FULL]
    naive = {mode: NaiveSeat(removal, lifetime) for mode in modes}
    held: dict[Mode, Any] = {mode: {} for mode in modes}
    today = DAY
    for gap, wanted, forced in runs:
        today += dt.timedelta(days=min(gap, 3) if lifetime else gap)
        expected = {
            (each, segment)
            for segment, ids in wanted.items()
            for each in ids - forced.get(segment, BitMap())
        }
        for mode in modes:
            changes = changes_of(
                held[mode],
                wanted,
                mode=mode,
                today=today,
                refresh_before_days=3,
                expires_days=dict.fromkeys(SEGMENTS, lifetime),
                forced_removals=forced,
            )
            naive[mode].apply(changes, today)
            held[mode] = changes.next_held
            assert naive[mode].held(today) == expected
            state = {(i, name) for name, days in held[mode].items() for i in everything(days)}
            assert state == expected
            for segment in changes.adds:
                assert changes.adds[segment].isdisjoint(changes.removes[segment])
