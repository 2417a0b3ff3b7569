"""The sync cookie holds attempts, small, and nothing that it cannot read."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matching.partners import Partner, known_facts
from service.tag.request import Caller, TagRequest
from service.tag.sync_cookie import EPOCH_S, CookieMarks, read_attempts, write_attempts
from service.tag.tag_state import Site

NOW_S = 1_795_000_000
SITE = Site(key="shop", write_key="w")
PIXEL = known_facts("pixel") | {"name": "P", "enabled": True}
LONG = "a_partner_with_a_long_key"


def partner(key: str) -> Partner:
    """Make a partner of this key."""
    return msgspec.convert(PIXEL | {"key": key, "id_space": key}, Partner)


PARTNERS = [partner(f"{LONG}_{number}") for number in range(200)]
MARKS = CookieMarks(PARTNERS)


def request(cookie: str = "") -> TagRequest:
    """Make a request that brings this cookie."""
    return TagRequest(
        method="POST",
        path="/cookie_sync",
        query="",
        caller=Caller(headers={"cookie": cookie}),
        received_us=NOW_S * 1_000_000,
    )


def written(attempts: dict[str, int], partners: list[Partner]) -> str:
    """Give the cookie's pair."""
    return write_attempts(request(), SITE, attempts, CookieMarks(partners)).partition(";")[0]


def test_forty_partners_fit_into_a_kilobyte() -> None:
    """The whole line for forty partners of the longest keys stays far below 1,024 bytes."""
    marks = CookieMarks(PARTNERS[:40])
    line = write_attempts(request(), SITE, dict.fromkeys(marks.of_key, NOW_S), marks)
    assert len(line) < 450
    assert len(read_attempts(request(line.partition(";")[0]), marks)) == 40


def test_however_many_partners_the_cookie_stays_small() -> None:
    """Of two hundred partners the newest attempts stay, and the line below 1,100 bytes."""
    attempts = {each.key: NOW_S - 60 * number for number, each in enumerate(PARTNERS)}
    line = write_attempts(request(), SITE, attempts, MARKS)
    found = read_attempts(request(line.partition(";")[0]), MARKS)
    assert len(line) < 1_100
    assert set(found) == {each.key for each in PARTNERS[:120]}


@given(
    st.dictionaries(
        st.integers(0, 59), st.integers(NOW_S - 7 * 86_400 + 1, NOW_S + 60), max_size=40
    )
)
def test_attempts_come_back_to_the_minute(ages: dict[int, int]) -> None:
    """What is written is read again, cut to the minute."""
    attempts = {PARTNERS[number].key: moment for number, moment in ages.items()}
    found = read_attempts(request(written(attempts, PARTNERS)), MARKS)
    assert found == {key: moment - (moment - EPOCH_S) % 60 for key, moment in attempts.items()}


def test_attempts_that_bar_nothing_are_forgotten() -> None:
    """Older than the partner's refresh, or of a partner that is gone."""
    known = partner("known")
    attempts = {"known": NOW_S - 8 * 86_400, "gone": NOW_S}
    assert written(attempts, [known]) == "jml_sync="


@pytest.mark.parametrize("text", ["xandr.99999999999!x", "AAAA", "A" * 4000, "%%", "=", "é", ""])
def test_what_is_no_attempt_is_none(text: str) -> None:
    """Cookies of other shapes, cut or swollen ones, count as never attempted."""
    assert read_attempts(request(f"jml_sync={text}"), MARKS) == {}
