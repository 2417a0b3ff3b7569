"""How long cookies live: counted by family of browsers, from visits and offers alone."""

import datetime as dt
from typing import Any

import pytest

from service.api.cookies import short_lived
from service.engine.cookie_lives_store import CookieLives, CookieLivesStore
from service.engine.event_rows import Flag

VISITOR = 1 << 29
DAY_MS = 86_400_000
NOW = dt.datetime.now(dt.UTC).replace(hour=12, minute=0, second=0, microsecond=0)
SINCE_MS = int(NOW.timestamp() * 1000) - 90 * DAY_MS
BOT, SERVER = int(Flag.BOT), int(Flag.SERVER)
# Each visitor: its browser, the days (back from now) of its visits, the flags, the site.
VISITORS: tuple[tuple[str, tuple[int, ...], int, str], ...] = (
    ("safari", (0,), 0, "shop"),
    ("safari", (1, 0), 0, "shop"),
    ("safari", (5, 3, 0), 0, "shop"),
    ("chrome", (60, 55, 0), 0, "shop"),
    ("chrome", (20, 14, 8, 2), 0, "books"),
    ("", (40, 0), 0, "shop"),
    ("chrome", (80, 0), BOT, "shop"),
    ("chrome", (80, 0), SERVER, "shop"),
    ("chrome", (200, 0), 0, "books"),
)


@pytest.fixture
def store(engine: Any) -> CookieLivesStore:
    """Give the store over the visits of `VISITORS`."""
    client = engine.clickhouse.client()
    visits, offers = [], []
    for number, (browser, days, flags, site) in enumerate(VISITORS):
        owner = VISITOR + number
        for day in days:
            at = NOW - dt.timedelta(days=day)
            visits += [(at, owner, at, site, owner, flags)] * 2
        if browser:
            offers.append((NOW, browser, owner, "offered"))
    names = ["received_at", "owner", "at", "site", "visitor", "flags"]
    client.insert("events_by_visitor", visits, column_names=names)
    names = ["received_at", "browser", "visitor", "action"]
    client.insert("partner_ids", offers, column_names=names)
    return CookieLivesStore(client)


def lives(browser: str, *counts: int) -> CookieLives:
    names = CookieLives.__struct_fields__[1:]
    return CookieLives(browser=browser, **dict(zip(names, counts, strict=True)))


@pytest.mark.clickhouse
def test_visitors_are_counted_by_family(store: CookieLivesStore) -> None:
    """Bots, servers and what is too old count for nobody; without an offer a family is unknown."""
    assert store.lives(since_ms=SINCE_MS) == [
        lives("chrome", 3, 2, 2, 2, 1, 1),
        lives("safari", 3, 2, 1, 0, 0, 0),
        lives("unknown", 1, 1, 1, 1, 1, 1),
    ]
    assert store.lives(since_ms=SINCE_MS, site="books") == [lives("chrome", 2, 1, 1, 1, 0, 0)]


def test_a_family_is_short_lived_beside_a_better_one() -> None:
    """Half as many old cookies as the best family's is short; few visitors say nothing."""
    found = [
        lives("chrome", 900, 500, 400, 250, 90, 100),
        lives("edge", 900, 200, 190, 60, 20, 20),
        lives("safari", 900, 300, 200, 30, 1, 0),
        lives("firefox", 90, 50, 20, 1, 0, 0),
        lives("unknown", 900, 400, 20, 1, 0, 0),
    ]
    assert short_lived(found) == {"safari"}
    assert short_lived([]) == set()


def test_the_route_gives_shares_of_those_who_came_back(serve: Any, tmp_path: Any) -> None:
    """The operator's route answers on a running service, also where nobody came back yet."""
    with serve(tmp_path / "data", lambda _: None) as service:
        service.api.post(
            "/t?key=demo",
            json=[{"type": "page", "messageId": "m1"}],
            headers={"user-agent": "Edg/1"},
        ).raise_for_status()
        service.loads()
        answer = service.call("GET", "/api/cookies?days=30&site=demo")
    assert answer["days"] == 30
    [family] = answer["cookies"]
    assert family == {
        "browser": "unknown",
        "visitors": 1,
        "returned": 0,
        "older_than_1_day": None,
        "older_than_7_days": None,
        "older_than_30_days": None,
        "returned_after_7_days": None,
        "advice": "",
    }
