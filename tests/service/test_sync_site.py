"""What a site gives to the sync: how many partners a page may meet, and whether in frames."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from matching.ids import VisitorId
from matching.partner_facts import Transport
from matching.partners import load_partners
from service.tag import visitor_cookie
from service.tag.collect import Collector
from service.tag.request import Caller, TagRequest
from service.tag.routes import handle
from service.tag.tag_state import Site, SyncSettings, TagState
from service.tag.tokens import Keys

NOW_S = 1_790_000_000
KEYS = Keys({1: bytes(32)})
COOKIE = "jml=" + visitor_cookie.write_cookie(KEYS, VisitorId(bytes(range(16))), now_s=NOW_S)
SHOP = "https://shop.example"
PARTNERS = tuple(load_partners(Path(__file__).parents[2] / "service" / "example_config"))
IN_FRAMES = tuple(
    msgspec.structs.replace(
        each, sync=msgspec.structs.replace(each.sync, transports=(Transport.IFRAME,))
    )
    for each in PARTNERS
)


def offered(body: Any, sync: SyncSettings, partners: tuple[Any, ...] = PARTNERS) -> list[str]:
    site = Site(key="s", write_key="w", origins=(SHOP,), consent_default="allow", sync=sync)
    state = TagState(
        published_s=NOW_S, sites=(site,), partners=partners, callback_base="https://t.example"
    )
    headers = {"host": "t.example", "origin": SHOP, "cookie": COOKIE, "user-agent": "Firefox/145.0"}
    request = TagRequest(
        method="POST",
        path="/cookie_sync",
        query="account=w",
        caller=Caller(headers=headers),
        body=json.dumps(body).encode(),
        received_us=NOW_S * 1_000_000,
    )
    answer = handle(Collector(state=lambda: state, keys=KEYS), request).answer
    return [each["usersync"]["type"] for each in json.loads(answer.body)["bidder_status"]]


@pytest.mark.parametrize(
    ("asked", "limit", "expected"),
    [
        pytest.param(None, 2, 2, id="the site's, when the page says nothing"),
        pytest.param(8, 2, 2, id="the site's, when the page asks for more"),
        pytest.param(1, 2, 1, id="the page's, when it asks for less"),
        pytest.param(3, 0, 0, id="none"),
        pytest.param(-1, 8, 3, id="nonsense is nothing said"),
    ],
)
def test_a_page_meets_at_most_the_site_s_budget(
    asked: int | None, limit: int, expected: int
) -> None:
    """The smaller of the two limits holds."""
    body = {} if asked is None else {"limit": asked}
    assert len(offered(body, SyncSettings(page_limit=limit))) == expected


def test_frames_are_the_site_s_to_allow() -> None:
    """A site without frames meets in images those who can, and the others not at all."""
    assert offered({}, SyncSettings(), IN_FRAMES) == ["iframe"] * 3
    assert offered({}, SyncSettings(iframes=False), IN_FRAMES) == []
    assert offered({}, SyncSettings(iframes=False)) == ["redirect"] * 3
    own = {"filterSettings": {"image": {"bidders": "*", "filter": "exclude"}}}
    assert offered(own, SyncSettings(iframes=False)) == []
