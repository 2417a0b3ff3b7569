"""Denials in odd words are denials still: keys in other letters, doubled headers, odd sections."""

from typing import Any

import pytest

from service.tag.request import Caller, TagRequest
from service.tag.signal_text import explicit_choices
from service.tag.sync_offer import SECTIONS_MAX, UNKNOWN_SECTION, sections_of


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (None, None),
        ({}, {}),
        ({"store": True, "sync": False}, {"store": True, "sync": False}),
        ({"Store": True, "SYNC": True}, {}),
        ({"Store": False, " sync ": False}, {"store": False, "sync": False}),
        ({"store": True, "STORE": False}, {"store": False}),
        ({"store": False, "STORE": True}, {"store": False}),
        ({"personalize": False}, {"personalise": False}),
        ({"personalize": True}, {}),
        ({"Ad_User_Data": False, "paul@example.com": False}, {"ad_user_data": False}),
    ],
)
def test_a_key_in_other_letters_only_denies(given: Any, kept: Any) -> None:
    """What a page denies in any letters is denied; it permits by the right key alone."""
    assert explicit_choices(given) == kept


@pytest.mark.parametrize(
    ("text", "sections"),
    [
        ("", ()),
        ("7", (7,)),
        (" 2, 7,", (2, 7)),
        ("-1", (-1,)),
        ("7abc,2", (UNKNOWN_SECTION, 2)),
        ("\uff17", (UNKNOWN_SECTION,)),
        ("7.0", (UNKNOWN_SECTION,)),
        ("123456", (UNKNOWN_SECTION,)),
        (",".join(["7"] * 99), (7,) * SECTIONS_MAX + (UNKNOWN_SECTION,)),
    ],
)
def test_what_is_no_section_is_one_that_nobody_knows(text: str, sections: tuple[int, ...]) -> None:
    """No entry of the list is dropped: the section that refuses could have been it."""
    assert sections_of(text) == sections


@pytest.mark.parametrize(
    ("word", "expected"),
    [("", False), ("0", False), ("1", True), (" 1", True), ("1, 1", True), ("?1", True)],
)
def test_gpc_is_heard_through_proxies(word: str, *, expected: bool) -> None:
    """Whatever is not 0 is the browser's word for GPC, however often a proxy repeats it."""
    caller = Caller(headers={"sec-gpc": word} if word else {})
    request = TagRequest(method="GET", path="/", query="", caller=caller, body=b"", received_us=0)
    assert request.has_gpc == expected
