"""The token bucket: a steady rate, a burst of two seconds, nothing taken when it is too much."""

from hypothesis import given
from hypothesis import strategies as st

from service.tag.rate import BURST_S, Bucket, Rates

NAME = ("shop", False)


def test_a_burst_of_two_seconds_is_taken_at_once() -> None:
    """A full bucket holds two seconds' worth, and then asks for patience."""
    bucket = Bucket(10, now_s=0)
    assert [bucket.take(1, now_s=0) for _ in range(21)] == [0.0] * 20 + [0.1]


def test_waiting_as_told_is_enough() -> None:
    """After the seconds that were asked for, the same messages are taken."""
    bucket = Bucket(10, now_s=0)
    bucket.take(20, now_s=0)
    wait_s = bucket.take(15, now_s=0)
    assert wait_s == 1.5
    assert bucket.take(15, now_s=wait_s) == 0.0


def test_a_refusal_takes_nothing() -> None:
    """What is refused does not push the next one away."""
    bucket = Bucket(10, now_s=0)
    bucket.take(15, now_s=0)
    assert bucket.take(10, now_s=0) > 0
    assert bucket.take(5, now_s=0) == 0.0


def test_a_batch_larger_than_the_bucket_passes_when_it_is_full() -> None:
    """A batch of any size comes through in the end, and is paid for afterwards."""
    bucket = Bucket(10, now_s=0)
    assert bucket.take(100, now_s=0) == 0.0
    assert bucket.take(1, now_s=8) > 0
    assert bucket.take(1, now_s=8.2) == 0.0


def test_a_clock_set_back_takes_nothing_away() -> None:
    """An earlier moment than the last leaves what is there."""
    bucket = Bucket(10, now_s=1000)
    bucket.take(10, now_s=1000)
    assert bucket.take(10, now_s=0) == 0.0
    assert bucket.take(10, now_s=1) == 0.0


def test_zero_is_no_limit() -> None:
    """A site without limit takes everything."""
    rates = Rates()
    assert {rates.take(NAME, 1_000, rate_max=0, now_s=0) for _ in range(100)} == {0.0}


def test_names_have_buckets_of_their_own() -> None:
    """One name's flood leaves another its whole rate; a changed limit counts from now."""
    rates = Rates()
    assert rates.take(NAME, 2, rate_max=1, now_s=0) == 0.0
    assert rates.take(NAME, 1, rate_max=1, now_s=0) > 0
    assert rates.take(("other", False), 2, rate_max=1, now_s=0) == 0.0
    assert rates.take(NAME, 20, rate_max=10, now_s=0) == 0.0


@given(
    rate=st.integers(1, 50),
    asked=st.lists(st.tuples(st.integers(1, 20), st.integers(0, 3000)), max_size=60),
)
def test_no_window_holds_more_than_burst_and_rate(rate: int, asked: list[tuple[int, int]]) -> None:
    """From any moment on, what is taken stays within burst, rate and one batch of credit."""
    bucket, now_ms, taken = Bucket(rate, now_s=0), 0, []
    for count, later_ms in asked:
        now_ms += later_ms
        if bucket.take(count, now_s=now_ms / 1000) == 0.0:
            taken.append((now_ms, count))
    for start, _ in taken:
        for end, _ in taken:
            within = sum(count for at, count in taken if start <= at <= end)
            assert within <= rate * (BURST_S + max(end - start, 0) / 1000) + 20 + 1e-6
