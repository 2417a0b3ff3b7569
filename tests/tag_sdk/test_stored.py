"""The tag in a real browser before the real service: each test ends with what ClickHouse holds.

One page of `pages/` per behaviour. Where consent, partners or customers matter, the identity card
tells what was stored; what must not be stored is missing from all counts.
"""

import time
from collections.abc import Iterator
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from real_browser import wait_until
from running_service import SECRET
from tag_world import OUTLET, PARTNERS, World, page_url

from service.tag.tokens import make_identify

pytestmark = [pytest.mark.browser, pytest.mark.clickhouse, pytest.mark.slow]

PAUL: Final = "123456"
KEPT: Final = "Object.keys(localStorage).filter(key => key.startsWith('jumelle'))"
NO_THIRD_PARTY: Final = {
    "enableThirdPartyCookieRestriction": True,
    "disableThirdPartyCookieMetadata": True,
    "disableThirdPartyCookieHeuristics": True,
}


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """Give a fresh browser profile; the test fails if any of its pages throws."""
    opened = browser.new_context()
    errors: list[str] = []
    opened.on("weberror", lambda each: errors.append(str(each.error)))
    yield opened
    opened.close()
    assert errors == []


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """Give a tab of that profile."""
    return context.new_page()


def arrive(page: Page, address: str) -> str:
    """Open a page and give the reference by which its browser is known."""
    page.goto(address)
    reference: str = page.evaluate("jumelle.anonymousId()")
    return reference


def events(card: dict[str, Any]) -> list[str]:
    """Name what is stored of a person, in order."""
    return [each["event"] for each in reversed(card["events"])]


def paths(card: dict[str, Any]) -> list[str]:
    """Give the pages that a person saw, in order."""
    found = [each["properties"].get("path") for each in reversed(card["events"])]
    return [each for each in found if each]


def urls(card: dict[str, Any]) -> list[str]:
    """Give the addresses of the pages that a person saw, in order."""
    found = [each["properties"].get("url") for each in reversed(card["events"])]
    return [each for each in found if each]


def the_browser(card: dict[str, Any]) -> dict[str, Any]:
    """Give what a card says of its one browser."""
    (found,) = card["visitors"]
    return dict(found)


def uses(card: dict[str, Any]) -> dict[str, bool]:
    """Give what a person's one browser permits now."""
    newest = the_browser(card)["consent"][0]["uses"]
    return {use: said["allowed"] for use, said in newest.items()}


def token() -> str:
    """Sign Paul's login, as the shop's backend does."""
    return make_identify(SECRET, site="demo", crm_id=PAUL, now_s=int(time.time()))


def test_a_returning_browser_is_the_same_visitor(page: Page, world: World) -> None:
    """A first and a returning visit are two page views of one visitor, with the page's facts."""
    first = arrive(page, page_url("first_visit") + "?from=mail#top")
    page.goto("about:blank")
    assert arrive(page, page_url("first_visit")) == first
    page.evaluate("jumelle.track('Came Back')")
    card = world.card(first)
    assert events(card) == ["page", "page", "Came Back"]
    assert card["events"][2]["properties"]["url"] == page_url("first_visit") + "?from=mail"
    assert card["events"][2]["properties"]["title"] == "First visit"


def test_pages_of_an_application_are_stored(page: Page, world: World) -> None:
    """Each new address of an application is one page view, before what happens on it."""
    reference = arrive(page, page_url("single_page_app"))
    page.evaluate("go('/pages/bikes', 'Bikes')")
    page.evaluate("location.hash = 'details'")
    page.evaluate("go('/pages/helmets', 'Helmets'); jumelle.track('Product Viewed')")
    page.evaluate("history.go(-2)")
    page.wait_for_url("**/bikes")
    page.wait_for_timeout(50)
    page.evaluate("jumelle.track('Done')")
    card = world.card(reference)
    assert paths(card) == [
        "/pages/single_page_app.html",
        "/pages/bikes",
        "/pages/helmets",
        "/pages/bikes",
    ]
    assert events(card)[-3:] == ["Product Viewed", "page", "Done"]
    bikes = card["events"][-2]["properties"]
    assert (bikes["title"], bikes["referrer"]) == ("Bikes", page_url("single_page_app"))


def test_a_page_out_of_the_browsers_cache_counts_again(page: Page, world: World) -> None:
    """A page that the browser kept alive is one more view when the visitor goes back to it."""
    reference = arrive(page, page_url("first_visit"))
    page.evaluate("window.kept = true")
    page.wait_for_load_state("networkidle")
    arrive(page, page_url("single_page_app"))
    page.go_back(wait_until="commit")
    assert page.evaluate("window.kept"), "the browser loaded the page anew"
    page.evaluate("jumelle.track('Back')")
    card = world.card(reference)
    assert paths(card) == [
        f"/pages/{each}.html" for each in ("first_visit", "single_page_app", "first_visit")
    ]
    assert events(card)[-1] == "Back"


def test_twenty_events_of_a_page_that_is_left_are_stored(page: Page, world: World) -> None:
    """Events queued in the moment of leaving are all stored, each once."""
    reference = arrive(page, page_url("unload"))
    before = world.received()
    page.evaluate("leave()")
    page.wait_for_url("**/without_tag.html")
    world.until_received(before + 20)
    stored = [each for each in world.card(reference)["events"] if each["event"] == "Step"]
    assert sorted(each["properties"]["n"] for each in stored) == list(range(20))


def test_events_made_offline_are_stored(context: BrowserContext, world: World) -> None:
    """What happens without a network is stored once it is back, also from a page that is gone."""
    page = context.new_page()
    reference = arrive(page, page_url("first_visit"))
    context.set_offline(offline=True)
    page.evaluate("void jumelle.track('Underground')")
    page.wait_for_timeout(100)
    other = context.new_page()
    page.close()
    context.set_offline(offline=False)
    arrive(other, page_url("first_visit"))
    context.set_offline(offline=True)
    other.evaluate("void (window.told = jumelle.track('In a tunnel'))")
    other.wait_for_timeout(100)
    context.set_offline(offline=False)
    assert other.evaluate("told") is True
    wait_until(lambda: "Underground" in events(world.card(reference)), lambda: "no Underground")
    assert sorted(events(world.card(reference))) == ["In a tunnel", "Underground", "page", "page"]


def test_denied_storage_loses_nothing(page: Page, world: World) -> None:
    """A browser that denies storage has its events stored all the same."""
    reference = arrive(page, page_url("storage_denied"))
    before = world.received()
    page.evaluate("jumelle.track('From memory')")
    page.evaluate("void jumelle.track('Last word'); location.assign('/pages/without_tag.html')")
    world.until_received(before + 2)
    assert events(world.card(reference)) == ["page", "From memory", "Last word"]


def test_two_tabs_are_one_visitor(context: BrowserContext, world: World) -> None:
    """Two tabs are one visitor, one of them sends what a third left, and nothing goes twice."""
    gone, first, second = (context.new_page() for _ in range(3))
    reference = arrive(gone, page_url("first_visit"))
    context.set_offline(offline=True)
    gone.evaluate("void jumelle.track('Left over')")
    gone.close()
    context.set_offline(offline=False)
    world.counts()  # all that was sent until now is loaded
    doubled = world.service.balance()["duplicates"]
    sent: list[str] = []
    for tab in (first, second):
        tab.on("request", lambda request: sent.append(request.post_data or ""))
        tab.goto(page_url("first_visit"), wait_until="commit")
    for tab in (first, second):
        tab.wait_for_function("window.jumelle && jumelle.version")
        tab.evaluate("jumelle.track('In a tab')")
    wait_until(
        lambda: "Left over" in events(world.card(reference)), lambda: str(world.card(reference))
    )
    second.wait_for_timeout(1_000)  # by now the other one would have sent it too
    world.counts()
    events_of_all = events(world.card(reference))
    assert sorted(events_of_all) == ["In a tab", "In a tab", "Left over", "page", "page", "page"]
    assert sum("Left over" in body for body in sent) == 1
    assert world.service.balance()["duplicates"] == doubled


def test_a_strict_policy_stops_nothing(page: Page, world: World) -> None:
    """Nonces, no inline script, no eval and named hosts: nothing is violated, all is stored."""
    page.goto(page_url("strict_csp"))
    page.wait_for_function("jumelle.version")
    reference = page.evaluate("jumelle.anonymousId()")
    page.evaluate("jumelle.track('Under policy')")
    wait_until(lambda: the_browser(world.card(reference))["ids"], lambda: "no partner's id")
    assert events(world.card(reference)) == ["page", "Under policy"]
    assert page.evaluate("violations") == []


def test_nothing_is_stored_before_consent(page: Page, world: World) -> None:
    """Where consent is asked, nothing is kept anywhere before it, and all of it after."""
    before = world.counts()
    page.goto(page_url("consent_late"))
    page.evaluate("void jumelle.track('Early')")
    page.wait_for_timeout(300)
    assert world.counts() == before
    assert (page.evaluate(KEPT), page.context.cookies()) == ([], [])
    page.evaluate("jumelle.consent({store: true, audiences: true, sync: false})")
    reference = page.evaluate("jumelle.anonymousId()")
    card = world.card(reference)
    assert events(card) == ["page", "Early"]
    assert {use: uses(card)[use] for use in ("store", "audiences", "sync", "personalise")} == {
        "store": True,
        "audiences": True,
        "sync": False,
        "personalise": False,
    }


def test_a_refusal_is_stored_nowhere(page: Page, world: World) -> None:
    """After a refusal neither this page nor the next one has anything stored."""
    before = world.counts()
    page.goto(page_url("consent_late"))
    page.evaluate("jumelle.consent('denied')")
    page.evaluate("jumelle.track('Refused')")
    page.reload()
    page.evaluate("jumelle.track('Refused')")
    page.wait_for_timeout(300)
    assert world.counts() == before
    assert (page.evaluate(KEPT), page.context.cookies()) == (["jumelle:strict:consent"], [])


def test_a_withdrawal_is_stored_as_such(page: Page, world: World) -> None:
    """Who takes permission back is known to have done so, and nothing after it is stored."""
    reference = arrive(
        page,
        page_url("first_visit"),
    )
    page.evaluate("jumelle.track('Allowed')")
    before = world.received()
    page.evaluate("jumelle.consent('denied')")
    world.until_received(before + 1)
    page.evaluate("jumelle.track('Forbidden')")
    assert page.evaluate(KEPT) == ["jumelle:demo:consent"]
    page.goto(page_url("first_visit"))
    page.wait_for_timeout(300)
    card = world.card(reference)
    assert events(card) == ["page", "Allowed"]
    assert uses(card)["store"] is False


def test_privacy_control_keeps_partners_away(context: BrowserContext, world: World) -> None:
    """Under Global Privacy Control the visit is stored with it, and no partner is met."""
    context.set_extra_http_headers({"Sec-GPC": "1"})
    page = context.new_page()
    reference = arrive(page, page_url("privacy_control"))
    page.wait_for_timeout(500)
    card = world.card(reference)
    assert the_browser(card)["ids"] == []
    assert '"gpc":true' in the_browser(card)["consent"][0]["signals"]
    assert uses(card)["sync"] is False
    assert not {each["domain"] for each in context.cookies()} & set(PARTNERS.values())


def test_partners_ids_are_stored(context: BrowserContext, world: World) -> None:
    """Partners on other sites meet the browser, and their cookies' ids are stored as its own."""
    page = context.new_page()
    reference = arrive(page, page_url("first_visit"))
    wait_until(
        lambda: len(the_browser(world.card(reference))["ids"]) == 2,
        lambda: str(world.card(reference)),
    )
    ids = {each["partner"]: each["id"] for each in the_browser(world.card(reference))["ids"]}
    cookies = {each["domain"]: each["value"] for each in context.cookies()}
    assert ids == {key: cookies[domain] for key, domain in PARTNERS.items()}


def test_blocked_third_party_cookies_store_no_id(context: BrowserContext, world: World) -> None:
    """Where the browser blocks third-party cookies partners are asked, and no id is stored."""
    page = context.new_page()
    session = context.new_cdp_session(page)
    session.send("Network.enable")
    session.send("Network.setCookieControls", NO_THIRD_PARTY)
    bounces = {f"https://{domain}/{key}/bounce" for key, domain in PARTNERS.items()}
    asked: list[str] = []
    page.on("request", lambda each: asked.append(each.url))
    reference = arrive(page, page_url("first_visit"))
    while not all(any(each.startswith(url) for each in asked) for url in bounces):
        page.wait_for_timeout(20)
    page.wait_for_timeout(200)
    found = the_browser(world.card(reference))
    assert found["ids"] == []
    assert [each["domain"] for each in context.cookies()] == ["t.shop.example"] * len(
        context.cookies()
    )


def test_a_login_is_stored_with_its_proof(page: Page, world: World) -> None:
    """A signed login links the browser to Paul; a name without proof is only a claim."""
    arrive(page, page_url("first_visit"))
    page.evaluate("token => jumelle.identify('123456', {plan: 'gold'}, {token})", token())
    page.evaluate("jumelle.identify('777')")
    card = world.card(PAUL)
    links = [
        (link["crm_id"], link["method"]) for each in card["visitors"] for link in each["links"]
    ]
    assert (PAUL, "login") in links
    assert card["person"] == "customer"


def test_a_purchase_is_stored_as_the_customers(page: Page, world: World) -> None:
    """A proven order is Paul's, with its lines, and proves whose browser this is."""
    arrive(page, page_url("first_visit"))
    page.evaluate("token => jumelle.identify('123456', {}, {token})", token())
    line = {"product_id": "c-102", "category": "cycling", "price": 59.9, "quantity": 1}
    order = {"order_id": "A-17", "total": 59.9, "currency": "USD", "products": [line]}
    page.evaluate("order => jumelle.track('Order Completed', order)", order)
    card = world.card(PAUL)
    stored = next(each for each in card["events"] if each["event"] == "Order Completed")
    assert stored["properties"] == order
    methods = {link["method"] for each in card["visitors"] for link in each["links"]}
    assert "purchase" in methods


def test_a_click_is_stored_once_a_page_follows(page: Page, world: World) -> None:
    """A newsletter's link leads to the clean page, and the view of it makes the browser Paul's."""
    page.goto(world.click_link(PAUL, page_url("first_visit")))
    expect(page).to_have_url(page_url("first_visit"))
    page.evaluate("jumelle.track('Read')")
    card = world.card(PAUL)
    assert "Read" in events(card)
    links = [
        (link["method"], link["crm_id"]) for each in card["visitors"] for link in each["links"]
    ]
    assert ("click", PAUL) in links


def test_the_other_domains_cookie_is_the_same_visitors(page: Page, world: World) -> None:
    """A link to the site's other domain takes the visitor along, and leaves a clean address."""
    reference = arrive(page, page_url("linker"))
    page.hover("a")
    page.wait_for_load_state("networkidle")
    page.click("a")
    page.wait_for_url(f"{OUTLET}/**")
    expect(page).to_have_url(f"{page_url('first_visit', OUTLET)}?size=m")
    assert page.evaluate("jumelle.track('At the outlet')")
    found = the_browser(world.card(reference))
    card = world.card(found["visitor"])
    assert [urls(card)[0], *events(card)] == [page_url("linker"), "page", "page", "At the outlet"]
    assert {each["domain"] for each in page.context.cookies()} >= {
        "t.shop.example",
        "t.outlet.example",
    }


def test_a_token_from_elsewhere_takes_nobody_along(page: Page, world: World) -> None:
    """An address that no page of the site led to brings nobody: its token may be a stranger's."""
    reference = arrive(page, page_url("linker"))
    with page.expect_response(lambda answer: "link=new" in answer.url) as asked:
        page.hover("a")
    token = asked.value.header_value("Jumelle-Link")
    other = arrive(page, f"{page_url('first_visit', OUTLET)}?jml_link={token}")
    expect(page).to_have_url(page_url("first_visit", OUTLET))
    browsers = [the_browser(world.card(each))["visitor"] for each in (reference, other)]
    assert browsers[0] != browsers[1]


def test_the_versioned_file_and_attributes_need_no_script(page: Page, world: World) -> None:
    """A file under its integrity, set up by attributes, counts what elements say."""
    reference = arrive(page, page_url("versioned_file"))
    before = world.received()
    page.click("button")
    world.until_received(before + 1)
    card = world.card(reference)
    assert events(card) == ["page", "Product Added"]
    assert card["events"][0]["properties"] == {"product_id": "c-102", "price": 59.9}


def test_a_nameless_visit_is_nobodys(page: Page, world: World) -> None:
    """In anonymous mode a visit without an answer is counted, and names nobody and sets nothing."""
    page.goto(page_url("anonymous"))
    page.evaluate("void jumelle.identify('123456')")
    page.evaluate("void jumelle.track('Looked Around')")
    wait_until(lambda: "Looked Around" in world.counts(), lambda: str(world.counts()))
    assert (page.evaluate(KEPT), page.context.cookies()) == ([], [])
    assert page.evaluate("jumelle.anonymousId()") is None
    assert "Looked Around" not in world.service.api.get(f"/api/identity/{PAUL}").text


def test_googles_consent_mode_is_an_answer(page: Page, world: World) -> None:
    """What a banner says through `dataLayer` holds all back, then permits, and is stored."""
    before = world.counts()
    page.goto(page_url("google_consent"))
    page.wait_for_timeout(200)
    assert world.counts() == before
    page.evaluate("gtag('consent', 'update', {analytics_storage: 'granted', ad_storage: 'denied'})")
    card = world.card(page.evaluate("jumelle.anonymousId()"))
    assert events(card) == ["page"]
    assert (uses(card)["store"], uses(card)["sync"]) == (True, False)
