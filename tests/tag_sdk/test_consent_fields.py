"""What `consent()` takes: the six answers, each true or false, as the types and the README say."""

import re
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Page

from service.tag.signal_text import EXPLICIT_KEYS

USES: Final = ("store", "audiences", "sync", "personalise")
KEPT: Final = (
    "JSON.parse(localStorage[Object.keys(localStorage).find(key => key.endsWith(':consent'))])"
)
TAG_SDK: Final = Path(__file__).parents[2] / "tag_sdk"
ANSWERS: Final = {
    "store": True,
    "audiences": True,
    "sync": False,
    "personalise": True,
    "ad_user_data": True,
    "ad_personalization": False,
}


def test_all_answers_go_with_the_next_message(page: Page, server: Any) -> None:
    """Google's two fields travel like our own; what is left out or `null` changes nothing."""
    page.goto(f"{server.url}/pages/first_visit.html")
    server.wait_for_messages(1)
    page.evaluate("answers => jumelle.consent(answers)", ANSWERS)
    page.evaluate("jumelle.consent({ad_personalization: null, sync: undefined})")
    page.evaluate("jumelle.track('Checked')")
    server.wait_until(lambda: any(each.get("event") == "Checked" for each in server.messages))
    (checked,) = [each for each in server.messages if each.get("event") == "Checked"]
    assert checked["context"]["consent"]["explicit"] == ANSWERS


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param("'denied'", dict.fromkeys(USES, False), id="one word"),
        pytest.param("false", dict.fromkeys(USES, False), id="one no"),
        pytest.param("'granted'", dict.fromkeys(USES, True), id="one yes"),
        pytest.param(
            "{sync: 'denied', store: 'granted'}", {"sync": False, "store": True}, id="words"
        ),
        pytest.param(
            "{sync: 'yes', audiences: 1}", {"sync": False, "audiences": False}, id="unknown"
        ),
    ],
)
def test_words_are_answers_and_unknown_ones_refuse(
    page: Page, server: Any, answer: str, expected: dict[str, bool]
) -> None:
    """`granted` and `denied` are understood as Google means them; anything else permits nothing."""
    page.goto(f"{server.url}/pages/first_visit.html")
    server.wait_for_messages(1)
    page.evaluate(f"jumelle.consent({answer})")
    assert page.evaluate(KEPT) == expected


@pytest.mark.parametrize("file", ["jumelle.d.ts", "README.md"])
def test_what_is_described_is_what_the_server_takes(file: str) -> None:
    """Every answer that the server reads is named where people look it up, and no other."""
    text = (TAG_SDK / file).read_text()
    if file.endswith(".ts"):
        (described,) = re.findall(r"interface Consent \{(.*?)\}", text, re.DOTALL)
        named = set(re.findall(r"^ +(\w+)\?: Answer;", described, re.MULTILINE))
    else:
        (row,) = re.findall(r"^\| `consent\(.*$", text, re.MULTILINE)
        named = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]*)`", row))))
        named -= {"consent", "true", "false"}
    assert named == EXPLICIT_KEYS == set(ANSWERS)
