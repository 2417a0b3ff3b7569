"""The demo shop in a real browser, under its content security policy: Paul plays his story."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]

VISITOR = "9f3ac1d27be04d5c8a61f0b3e4d2a7c9"
CARD = {
    "visitor": VISITOR,
    "person": "customer",
    "crm_id": "123456",
    "traits": {"age": 26, "rfm_segment": "champion"},
    "visitors": [
        {
            "visitor": VISITOR,
            "first_seen": "2026-05-04T10:00:00Z",
            "last_seen": "2026-05-04T10:05:00Z",
            "links": [
                {
                    "crm_id": "123456",
                    "method": "login",
                    "at": "2026-05-04T10:02:00Z",
                    "site": "demo",
                    "status": "linked",
                }
            ],
            "ids": [
                {"partner": "x", "id_space": "x", "id": "X7", "seen": "2026-05-04T10:01:00Z"},
                {"partner": "y", "id_space": "y", "id": "Y9", "seen": "2026-05-04T10:01:00Z"},
            ],
            "consent": [
                {"at": "2026-05-04T10:00:00Z", "signals": '{"explicit":{"sync":true}}'},
            ],
        }
    ],
    "partners": [{"partner": "x", "status": "addressable"}],
    "audiences": ["champions_who_cycle"],
    "me_audiences": ["champions_who_cycle"],
    "events": [
        {
            "at": "2026-05-04T10:03:00Z",
            "event": "Order Completed",
            "site": "demo",
            "properties": {"total": 649, "currency": "USD"},
        }
    ],
    "exports": [{"seat": "seat_x", "segment": "s1", "held_since": "2026-05-04"}],
}


@pytest.fixture
def shop(page: Page, server: Any) -> Iterator[Page]:
    """Open the shop where consent is required; the test fails if the console complains."""
    server.settings = {"consent": "required"}
    complaints: list[str] = []
    page.on("console", lambda line: complaints.append(f"{line.type}: {line.text}"))
    page.goto(f"{server.url}/demo/shop")
    yield page
    assert complaints == []


def test_paul_plays_his_story(shop: Page, server: Any) -> None:
    """Accepting, logging in, looking, buying and leaving send what the spec names."""
    assert server.stays_quiet("/t")
    shop.get_by_role("button", name="Accept").click()
    server.wait_for_messages(1)
    shop.get_by_role("button", name="Log in as Paul").click()
    expect(shop.get_by_text("Paul, customer 123456")).to_be_visible()
    shop.get_by_role("link", name="Tourer 28").click()
    expect(shop.get_by_role("heading", name="Tourer 28")).to_be_focused()
    shop.get_by_label("Quantity").select_option("2")
    shop.get_by_role("button", name="Buy now").click()
    shop.get_by_role("button", name="Log out").click()
    messages = server.wait_for_messages(6)
    assert [message.get("event", message["type"]) for message in messages] == [
        "page",
        "identify",
        "page",
        "Product Viewed",
        "Order Completed",
        "Signed Out",
    ]
    order = messages[4]
    assert order["userId"] == "123456"
    assert order["context"]["token"] == "signed.by.shop"
    assert order["properties"]["total"] == 1298
    assert order["properties"]["currency"] == "USD"
    assert order["properties"]["products"] == [
        {
            "product_id": "c-101",
            "name": "Tourer 28",
            "category": "cycling",
            "price": 649,
            "quantity": 2,
        }
    ]


def test_refusing_sends_nothing(shop: Page, server: Any) -> None:
    """Refusing in the banner keeps the shop usable and sends nothing, now and later."""
    shop.get_by_role("button", name="Refuse").click()
    expect(shop.get_by_role("button", name="Refuse")).to_be_hidden()
    shop.get_by_role("link", name="House espresso").click()
    shop.reload()
    expect(shop.get_by_role("button", name="Refuse")).to_be_hidden()
    assert server.stays_quiet("/t")
    assert server.messages == []


def test_newsletter_follows_the_click_link(shop: Page, server: Any) -> None:
    """The newsletter's button goes to the click link that the shop's backend gave."""
    shop.get_by_role("button", name="Read the offer").click()
    shop.wait_for_url("**/demo/shop?from=newsletter")


def test_panel_draws_the_card(shop: Page, server: Any) -> None:
    """The panel draws nobody before any cookie, then the whole card, and the offer it allows."""
    panel = shop.get_by_role("complementary", name="What Jumelle knows")
    expect(panel.get_by_text("Nothing yet.")).to_be_visible()
    expect(shop.locator("#offer")).to_be_hidden()
    server.card = {"visitor": VISITOR, "waiting": True}
    expect(panel.get_by_text("being loaded")).to_be_visible()
    server.card = CARD
    expect(panel.get_by_text("X7")).to_be_visible()
    for text in ["Y9", "123456", "by login", "champion", "sync: yes", "x: addressable"]:
        expect(panel.get_by_text(text).first).to_be_visible()
    expect(panel.get_by_text("champions who cycle")).to_be_visible()
    expect(panel.get_by_text("Order Completed")).to_be_visible()
    expect(shop.locator("#offer")).to_contain_text("champions_who_cycle")
    expect(shop.locator("[data-chapter=login]")).to_have_class("done")
    expect(shop.locator("[data-chapter=click]")).not_to_have_class("done")


def test_panel_can_be_paused(shop: Page, server: Any) -> None:
    """The live panel stops asking when it is paused."""
    shop.get_by_role("button", name="Pause").click()
    assert server.stays_quiet("/demo/shop/card", seconds=2.5)
    asked = len(server.heard("/demo/shop/card"))
    shop.get_by_role("button", name="Resume").click()
    server.wait_until(lambda: len(server.heard("/demo/shop/card")) > asked)
