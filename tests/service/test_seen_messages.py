"""Messages that were seen: against a plain dict that cannot be wrong."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.engine.seen_messages import DAY_MS, DAYS_KEPT, SLOTS_MIN, SeenMessages

# Few values, so that hashes repeat; some differ only in the bits that hold the day.
HASHES = st.lists(
    st.one_of(
        st.integers(0, 24), st.integers(0, (1 << 64) - 1), st.integers(0, 3).map(lambda n: n << 61)
    ),
    max_size=30,
)


@given(st.lists(st.tuples(st.sampled_from([0, 0, 1, 1, 2, 6, 7, 8, 9, 40]), HASHES), max_size=12))
def test_a_hash_is_new_once_in_seven_days(steps: list[tuple[int, list[int]]]) -> None:
    """Batches with repeats on later and later days tell new from seen as a dict would."""
    seen, oracle, day = SeenMessages(seed=b"seed"), {}, 20_000
    for days, hashes in steps:
        day += days
        seen.forget_old(day * DAY_MS + 5)
        oracle = {key: put for key, put in oracle.items() if day - put <= DAYS_KEPT}
        expected = []
        for each in hashes:
            key = each >> 3 or 1  # 61 bits are kept, and zero is the lowest of them
            expected.append(key not in oracle)
            oracle.setdefault(key, day)
        assert seen.first_times(np.array(hashes, dtype=np.uint64)).tolist() == expected
        assert len(seen) == len(oracle)


def test_a_large_set_grows_and_keeps_all() -> None:
    """Half a million hashes in growing batches are each new once, also after the day changed."""
    random, seen = np.random.default_rng(5), SeenMessages(seed=b"seed")
    hashes = random.integers(0, 1 << 64, 500_000, dtype=np.uint64)
    for begin, end in ((0, 10), (10, SLOTS_MIN), (SLOTS_MIN, 200_000), (200_000, 500_000)):
        assert seen.first_times(hashes[begin:end]).all()
    seen.forget_old(DAY_MS)
    assert not seen.first_times(hashes).any()
    assert len(seen) == 500_000


def test_what_is_in_the_table_is_seen() -> None:
    """Hashes that were loaded from the table are new no more."""
    seen = SeenMessages(seed=b"seed")
    seen.load(np.array([1 << 10, 2 << 10], dtype=np.uint64))
    found = seen.first_times(np.array([2 << 10, 3 << 10], dtype=np.uint64))
    assert found.tolist() == [False, True]


@pytest.mark.parametrize("change", ["site", "visitor", "id", "seed"])
def test_a_message_is_named_by_site_visitor_and_id(change: str) -> None:
    """Each part of a message's name counts, and one installation's hashes are no other's."""

    def hashed(changed: str) -> int:
        seen = SeenMessages(seed=b"other" if changed == "seed" else b"seed")
        site = seen.hash_of_site("blog" if changed == "site" else "shop")
        visitor = np.array([[1, 2 + (changed == "visitor")]], dtype=np.uint64)
        named = ["m2" if changed == "id" else "m1"]
        return int(seen.hashes_of(np.array([site], dtype=np.uint64), visitor, named)[0])

    assert hashed("") == hashed("")
    assert hashed("") != hashed(change)
