"""The tag in a real browser: one page of `pages/` per behaviour, against the stand-in server."""

from typing import Any

import pytest
from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.slow]

OF_STORAGE = "Object.keys(localStorage)"


def names(messages: list[dict[str, Any]]) -> list[str]:
    """Say what happened, in order: an event's name or the message's type."""
    return [message.get("event", message["type"]) for message in messages]


def test_first_visit_sends_one_page_message(page: Page, server: Any) -> None:
    """A first visit sends exactly one page message, after the Segment spec."""
    page.goto(f"{server.url}/pages/first_visit.html?from=mail#top")
    [message] = server.wait_for_messages(1)
    assert message["type"] == "page"
    assert len(message["messageId"]) == 32
    assert message["timestamp"] <= message["sentAt"]
    assert message["properties"]["url"] == f"{server.url}/pages/first_visit.html?from=mail"
    assert message["context"]["page"]["path"] == "/pages/first_visit.html"
    assert message["context"]["page"]["title"] == "First visit"
    assert message["context"]["library"]["name"] == "jumelle-js"
    assert "userId" not in message
    assert "anonymousId" not in message
    assert server.stays_quiet("/t")


def test_messages_need_no_preflight(page: Page, server: Any) -> None:
    """Messages go as text with the write key in the address and the browser's cookies."""
    page.goto(f"{server.url}/pages/first_visit.html")
    server.wait_for_messages(1)
    page.evaluate("jumelle.track('Second')")
    server.wait_for_messages(2)
    [first, second] = server.heard("/t")
    assert first.query == {"key": "demo", "who": "1"}
    assert second.query == {"key": "demo"}
    assert first.headers["content-type"] == "text/plain"
    assert "cookie" not in first.headers
    assert second.headers["cookie"] == "jml=signed"


def test_calls_resolve_with_the_servers_answer(page: Page, server: Any) -> None:
    """A call's promise says whether the server has the message."""
    page.goto(f"{server.url}/pages/first_visit.html")
    server.wait_for_messages(1)
    assert page.evaluate("jumelle.track('Kept')") is True
    server.answers = [type("Refusal", (), {"status": 400, "headers": {}})]
    assert page.evaluate("jumelle.track('Refused')") is False
    assert page.evaluate("jumelle.track('Huge', {text: 'x'.repeat(40000)})") is False
    assert names(server.messages) == ["page", "Kept", "Refused"]


def test_consent_platform_is_waited_for(page: Page, server: Any) -> None:
    """With a TCF platform on the page its answer is awaited and sent with every message."""
    page.goto(f"{server.url}/pages/consent_platform.html")
    assert server.stays_quiet("/t")
    page.evaluate("tell('useractioncomplete', true)")
    [message] = server.wait_for_messages(1)
    assert message["context"]["consent"] == {"tcf": "CTCF", "gdpr": True}
    page.evaluate("tell('cmpuishown', true)")
    page.evaluate("tell('useractioncomplete', false)")
    assert names(server.wait_for_messages(2)) == ["page", "Consent Updated"]
    assert page.evaluate(OF_STORAGE) == []


def test_us_signals_are_sent_and_stop_the_sync(page: Page, server: Any) -> None:
    """GPP, US Privacy and Global Privacy Control travel along; with GPC no partner is met."""
    server.syncs = [{"url": f"{server.url}/pixel", "type": "redirect"}]
    page.goto(f"{server.url}/pages/us_privacy_signals.html")
    [message] = server.wait_for_messages(1)
    assert message["context"]["consent"] == {
        "gpp": "DBABL~1",
        "gpp_sid": [7],
        "us_privacy": "1YNN",
        "gpc": True,
    }
    assert server.stays_quiet("/cookie_sync")
    assert server.heard("/cookie_sync") == []


def test_unsent_messages_go_with_the_next_page(page: Page, server: Any) -> None:
    """What a page could not send rests without its token and is sent by the next page."""
    page.goto(f"{server.url}/pages/first_visit.html")
    server.wait_for_messages(1)
    # Why so long: until then this very page, which still has the token, does not try again.
    refused = {"status": 503, "headers": {"Retry-After": "4"}}
    server.answers = [type("Refusal", (), refused)]
    page.evaluate("void jumelle.identify('123456', {}, {token: 'a.b.c'})")
    server.wait_for_messages(2)
    kept = page.evaluate("JSON.stringify(localStorage)")
    assert "123456" in kept
    assert "a.b.c" not in kept
    page.goto(f"{server.url}/pages/without_tag.html")
    page.goto(f"{server.url}/pages/first_visit.html")
    messages = server.wait_for_messages(4)
    assert names(messages) == ["page", "identify", "identify", "page"]
    assert messages[1]["messageId"] == messages[2]["messageId"]
    assert "token" not in messages[2]["context"]


@pytest.mark.parametrize("status", [408, 503])
def test_temporary_failures_are_tried_again(page: Page, server: Any, status: int) -> None:
    """A server that is busy gets the same message again, with the same messageId."""
    server.answers = [type("Refusal", (), {"status": status, "headers": {}})]
    page.goto(f"{server.url}/pages/first_visit.html")
    [first, again] = server.wait_for_messages(2)
    assert first["messageId"] == again["messageId"]
    assert server.stays_quiet("/t")


def test_retry_after_is_honoured(page: Page, server: Any) -> None:
    """After `Retry-After: 3` nothing is sent for three seconds, also not by later calls."""
    server.answers = [type("Refusal", (), {"status": 429, "headers": {"Retry-After": "3"}})]
    page.goto(f"{server.url}/pages/first_visit.html")
    server.wait_for_messages(1)
    page.evaluate("void jumelle.track('Later')")
    assert server.stays_quiet("/t", seconds=1.5)
    assert names(server.wait_for_messages(3)) == ["page", "page", "Later"]


def test_syncs_are_fired_after_the_first_answer(page: Page, server: Any) -> None:
    """The partners that are due get an image or a sandboxed frame, once per half hour."""
    server.syncs = [
        {"url": f"{server.url}/pixel/x?id=1", "type": "redirect"},
        {"url": f"{server.url}/pixel/y?id=2", "type": "redirect", "hideReferrer": True},
        {"url": f"{server.url}/pixel/frame", "type": "iframe"},
        {"url": "javascript:alert(1)", "type": "iframe"},
    ]
    page.goto(f"{server.url}/pages/first_visit.html")
    server.wait_until(lambda: len([r for r in server.requests if "/pixel" in r.path]) == 3)
    [asked] = server.heard("/cookie_sync")
    assert asked.query == {"account": "demo"}
    assert asked.headers["cookie"] == "jml=signed"
    assert '"limit":5' in asked.body
    assert "referer" in server.heard("/pixel/x")[0].headers
    assert "referer" not in server.heard("/pixel/y")[0].headers
    assert page.get_attribute("iframe", "sandbox") == "allow-scripts allow-same-origin"
    page.reload()
    server.wait_for_messages(2)
    assert server.stays_quiet("/cookie_sync")
    assert len(server.heard("/cookie_sync")) == 1


def test_identify_proves_and_reset_forgets(page: Page, server: Any) -> None:
    """The token goes with identify and what follows, until `reset` or another page forgets it."""
    page.goto(f"{server.url}/pages/first_visit.html")
    server.wait_for_messages(1)
    page.evaluate("jumelle.identify(123456, {plan: 'gold'}, {token: 'a.b.c'})")
    page.evaluate("jumelle.track('Order Completed', {total: 5})")
    page.evaluate("jumelle.reset()")
    page.evaluate("jumelle.track('After')")
    [_, identify, order, signed_out, after] = server.wait_for_messages(5)
    assert identify["userId"] == "123456"
    assert identify["traits"] == {"plan": "gold"}
    assert [m["context"].get("token") for m in (identify, order, signed_out)] == ["a.b.c"] * 3
    assert signed_out["event"] == "Signed Out"
    assert order["userId"] == "123456"
    assert "userId" not in after
    assert "token" not in after["context"]


def test_a_logout_asks_for_consent_as_all_else_does(page: Page, server: Any) -> None:
    """`reset` waits for permission with what came before it; after a refusal it tells nobody."""
    server.settings = {"consent": "required"}
    page.goto(f"{server.url}/pages/first_visit.html")
    page.wait_for_function("window.jumelle && jumelle.version")
    page.evaluate("void jumelle.identify('123456', {}, {token: 'a.b.c'})")
    page.evaluate("void jumelle.reset()")
    assert server.stays_quiet("/t")
    page.evaluate("jumelle.consent({store: true})")
    messages = server.wait_for_messages(3)
    assert names(messages) == ["page", "identify", "Signed Out"]
    assert [message.get("userId") for message in messages[1:]] == ["123456"] * 2
    page.evaluate("jumelle.consent({store: false})")
    server.wait_for_messages(4)
    assert page.evaluate("jumelle.reset()") is False
    assert server.stays_quiet("/t")
    assert names(server.messages)[3:] == ["Consent Updated"]


def test_customer_stays_named_but_unproven_on_the_next_page(page: Page, server: Any) -> None:
    """The next page still names the customer, without the proof: the token is never stored."""
    page.goto(f"{server.url}/pages/first_visit.html")
    page.evaluate("jumelle.identify('123456', {}, {token: 'a.b.c'})")
    page.reload()
    message = server.wait_for_messages(3)[2]
    assert message["userId"] == "123456"
    assert "token" not in message["context"]


def test_stub_is_replayed_in_order(page: Page, server: Any) -> None:
    """Calls made before the tag is there run in order and keep their promises."""
    page.goto(f"{server.url}/pages/stub_first.html")
    messages = server.wait_for_messages(4)
    assert names(messages) == ["First", "identify", "Second", "page"]
    page.wait_for_function("answers.length === 2")
    assert page.evaluate("answers") == [["ready"], ["First", True]]


def test_including_the_tag_twice_is_safe(page: Page, server: Any) -> None:
    """Stub and tag included twice send every message once."""
    page.goto(f"{server.url}/pages/twice.html")
    page.evaluate("jumelle.track('Once')")
    server.wait_for_messages(2)
    assert server.stays_quiet("/t")
    assert names(server.messages) == ["page", "Once"]


def test_other_calls_follow_the_segment_spec(page: Page, server: Any) -> None:
    """`group`, `alias` and a named `page` carry the fields of the Segment spec."""
    server.settings = {"autoPage": False}
    page.goto(f"{server.url}/pages/first_visit.html")
    page.wait_for_function("window.jumelle && jumelle.version")
    page.evaluate("jumelle.page('Home', {theme: 'dark'})")
    page.evaluate("jumelle.group('household-7', {size: 3})")
    page.evaluate("jumelle.alias('123456', 'guest-9')")
    [view, group, alias] = server.wait_for_messages(3)
    assert (view["name"], view["properties"]["theme"]) == ("Home", "dark")
    assert (group["groupId"], group["traits"]) == ("household-7", {"size": 3})
    assert (alias["userId"], alias["previousId"]) == ("123456", "guest-9")


def test_global_can_have_another_name(page: Page, server: Any) -> None:
    """The setting `global` gives the tag another name."""
    server.settings = {"global": "shopTag"}
    page.goto(f"{server.url}/pages/first_visit.html")
    page.wait_for_function("window.shopTag && shopTag.version")
    assert page.evaluate("typeof window.jumelle") == "undefined"
