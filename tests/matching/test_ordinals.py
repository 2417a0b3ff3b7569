"""Ordinals: one key one ordinal for ever, against a plain dict that cannot be wrong."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from numpy.typing import NDArray

from matching.ordinals import (
    Ordinals,
    OrdinalsExhaustedError,
    bytes_of_keys,
    keys_of_bytes,
    keys_of_text,
)

FIRST = 1 << 29
LAST = (1 << 32) - 2
SEED = b"a seed of this test"

Key = tuple[int, int]

# Few values per half, so that keys share a half, repeat, and differ in one bit only.
HALVES = st.sampled_from(
    [0, 1, 2, 3, 1 << 32, (1 << 32) + 1, 1 << 63, (1 << 64) - 1, (1 << 64) - 2]
) | st.integers(0, (1 << 64) - 1)
KEYS = st.lists(st.tuples(HALVES, HALVES), max_size=40)


def array_of(keys: list[Key]) -> NDArray[np.uint64]:
    """Turn pairs of halves into the array that `Ordinals` takes."""
    return np.array(keys, dtype=np.uint64).reshape(-1, 2)


def fresh(*, first: int = FIRST, last: int = LAST) -> Ordinals:
    """Make an empty cache."""
    return Ordinals(first=first, last=last, seed=SEED)


class Oracle:
    """The same promises kept by a dict."""

    def __init__(self) -> None:
        self.given: dict[Key, int] = {}
        self.next_ordinal = FIRST

    def assign(self, keys: list[Key]) -> tuple[list[int], list[int]]:
        """Give ordinals one key at a time."""
        new = []
        for row, key in enumerate(keys):
            if key not in self.given and key != (0, 0):
                self.given[key] = self.next_ordinal
                self.next_ordinal += 1
                new.append(row)
        return [self.given.get(key, 0) for key in keys], new


class OrdinalsMachine(RuleBasedStateMachine):
    """Any order of assign, find, forget, forget_from and load leaves cache and dict equal."""

    def __init__(self) -> None:
        super().__init__()
        self.ordinals = fresh()
        self.oracle = Oracle()
        self.burned: set[int] = set()

    @rule(keys=KEYS)
    def assign(self, keys: list[Key]) -> None:
        """Give ordinals to a batch with repeats."""
        expected, new = self.oracle.assign(keys)
        actual = self.ordinals.assign(array_of(keys))
        assert actual.ordinals.tolist() == expected
        assert actual.new.tolist() == new
        assert not set(expected) & self.burned

    @rule(keys=KEYS)
    def find(self, keys: list[Key]) -> None:
        """Find known and unknown keys alike."""
        expected = [self.oracle.given.get(key, 0) for key in keys]
        assert self.ordinals.find(array_of(keys)).tolist() == expected

    @rule(data=st.data())
    def forget(self, data: st.DataObject) -> None:
        """Forget some keys and burn their ordinals."""
        known = sorted(self.oracle.given)
        chosen = data.draw(st.lists(st.sampled_from(known), unique=True) if known else st.just([]))
        gone = [self.oracle.given.pop(key) for key in chosen]
        self.burned.update(gone)
        self.ordinals.forget(gone)

    @rule(tail=st.integers(0, 30))
    def forget_from(self, tail: int) -> None:
        """Take back the newest ordinals, as after an insert that failed."""
        limit = max(self.oracle.next_ordinal - tail, FIRST)
        if any(ordinal >= limit for ordinal in self.burned):
            return
        self.oracle.given = {k: o for k, o in self.oracle.given.items() if o < limit}
        self.oracle.next_ordinal = limit
        self.ordinals.forget_from(limit)

    @rule(keys=KEYS, gap=st.integers(0, 5))
    def load(self, keys: list[Key], gap: int) -> None:
        """Take over pairs with gaps, in any order, some of them known already."""
        pairs: dict[int, Key] = {}
        for key in keys:
            if key == (0, 0):
                continue
            self.oracle.next_ordinal += gap
            pairs[self.oracle.next_ordinal] = key
            self.oracle.given[key] = self.oracle.next_ordinal
            self.oracle.next_ordinal += 1
        shuffled = sorted(pairs.items(), key=lambda pair: pair[1])
        self.ordinals.load(
            np.array([ordinal for ordinal, _ in shuffled], dtype=np.uint32),
            array_of([key for _, key in shuffled]),
        )

    @invariant()
    def all_known(self) -> None:
        """Every key stands, with its ordinal and back again."""
        keys = array_of(list(self.oracle.given))
        ordinals = self.ordinals.find(keys)
        assert ordinals.tolist() == list(self.oracle.given.values())
        assert (self.ordinals.keys_of(ordinals) == keys).all()
        assert self.ordinals.next_ordinal == self.oracle.next_ordinal
        assert len(self.ordinals) == len(self.oracle.given)


TestOrdinals = OrdinalsMachine.TestCase


@pytest.mark.parametrize("share", ["low", "high"])
def test_keys_that_share_a_half_stay_apart(share: str) -> None:
    """Keys equal in one half get an ordinal each, also within one batch and while growing."""
    keys = np.full((20_000, 2), 7, dtype=np.uint64)
    keys[:, 0 if share == "high" else 1] = np.arange(1, 20_001, dtype=np.uint64)
    ordinals = fresh()
    given = ordinals.assign(np.repeat(keys, 2, axis=0)).ordinals
    assert given.tolist() == np.repeat(np.arange(FIRST, FIRST + 20_000), 2).tolist()


@pytest.mark.parametrize("shift", [0, 16, 32, 44])
def test_forged_keys_do_not_pile_up(shift: int) -> None:
    """Keys that agree in their low bits spread over the slots, since the home slot is keyed."""
    ordinals = fresh()
    keys = np.zeros((50_000, 2), dtype=np.uint64)
    keys[:, 0] = np.arange(1, 50_001, dtype=np.uint64) << np.uint64(shift)
    keys[:, 1] = np.uint64(1 << 63)
    ordinals.assign(keys)
    slots = ordinals._slots.size
    homes = ordinals._home(keys, slots)
    assert np.bincount(homes, minlength=slots).max() < 12
    walked = (ordinals._locate(keys)[1] - homes) % slots
    assert walked.mean() < 2.5


def test_two_seeds_use_different_homes() -> None:
    """A forger who knows one installation's homes knows nothing of another's."""
    keys = np.arange(2_000, dtype=np.uint64).reshape(-1, 2)
    one, other = (Ordinals(first=1, last=9, seed=seed) for seed in (b"one", b"other"))
    assert (one._home(keys, 1 << 20) == other._home(keys, 1 << 20)).sum() < 5


def test_a_large_history_equals_a_dict() -> None:
    """Half a million returning and new ids in growing batches get what a dict would give."""
    random = np.random.default_rng(3)
    universe = random.integers(1, 1 << 63, size=(60_000, 2), dtype=np.uint64)
    ordinals, oracle = fresh(), Oracle()
    for size in (10, 1_000, 40_000, 50_000, 150_000):
        keys = universe[random.integers(0, len(universe), size)]
        expected, new = oracle.assign([(int(a), int(b)) for a, b in keys.tolist()])
        actual = ordinals.assign(keys)
        assert actual.ordinals.tolist() == expected
        assert actual.new.tolist() == new


def test_a_full_range_gives_nothing_and_says_so() -> None:
    """A batch that does not fit raises, and leaves the known ones as they were."""
    ordinals = fresh(first=1, last=4)
    ordinals.assign(array_of([(1, 1), (2, 2), (3, 3)]))
    with pytest.raises(OrdinalsExhaustedError, match=r"2 new keys, 1 free"):
        ordinals.assign(array_of([(3, 3), (4, 4), (5, 5)]))
    assert ordinals.find(array_of([(3, 3), (4, 4)])).tolist() == [3, 0]
    assert ordinals.assign(array_of([(4, 4)])).ordinals.tolist() == [4]


def test_an_erased_row_keeps_its_ordinal() -> None:
    """A pair loaded with the all-zero key is nobody's, and its ordinal is never given."""
    ordinals = fresh()
    ordinals.load(np.array([FIRST + 5], dtype=np.uint32), array_of([(0, 0)]))
    assert ordinals.assign(array_of([(0, 0), (9, 9)])).ordinals.tolist() == [0, FIRST + 6]


def test_an_ordinal_of_two_keys_is_refused() -> None:
    """A damaged table, in which one ordinal stands for two ids, is not taken over."""
    twice = np.array([FIRST, FIRST], dtype=np.uint32)
    with pytest.raises(ValueError, match="stands for two keys"):
        fresh().load(twice, array_of([(1, 1), (2, 2)]))
    known = fresh()
    known.assign(array_of([(1, 1)]))
    with pytest.raises(ValueError, match="stands for two keys"):
        known.load(twice[:1], array_of([(2, 2)]))


@pytest.mark.parametrize("ordinal", [FIRST - 1, LAST + 1], ids=["below", "above"])
def test_an_ordinal_of_another_range_is_refused(ordinal: int) -> None:
    """Customers' ordinals cannot be loaded as visitors', nor the reverse."""
    with pytest.raises(ValueError, match="outside"):
        fresh().load(np.array([ordinal], dtype=np.uint32), array_of([(1, 1)]))


@given(st.lists(st.binary(min_size=16, max_size=16)))
def test_ids_survive_as_keys(ids: list[bytes]) -> None:
    """Ids with zero bytes at either end come back whole."""
    assert bytes_of_keys(keys_of_bytes(ids)) == ids


def test_ids_of_another_length_are_refused() -> None:
    """Two wrong lengths whose sum is right do not slip through."""
    with pytest.raises(ValueError, match="16 bytes, found one of 15"):
        keys_of_bytes([b"a" * 15, b"b" * 17])


def test_text_keys() -> None:
    """Equal texts have equal keys, others do not, and the empty text is nobody."""
    keys = keys_of_text(["123456", "123457", "123456", ""])
    assert (keys[0] == keys[2]).all()
    assert (keys[0] != keys[1]).any()
    assert not keys[3].any()


def test_keys_that_mix_equally_stay_apart() -> None:
    """Two keys of one batch whose 64-bit mixes collide still get two ordinals."""
    ordinals = fresh()
    ordinals._multiply = np.array([0, 0], dtype=np.uint64)  # every key mixes to the same
    given = ordinals.assign(array_of([(1, 2), (1, 3), (2, 2), (1, 2)]))
    assert given.ordinals.tolist() == [FIRST, FIRST + 1, FIRST + 2, FIRST]
