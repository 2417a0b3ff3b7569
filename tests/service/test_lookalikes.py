"""Lookalikes over a running service: what is known, what is kept back, whom seats reach."""

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from running_service import SERVER_KEY

pytestmark = [pytest.mark.clickhouse, pytest.mark.slow]

PEOPLE: Final = 900
CYCLISTS: Final = 300
JOINED: Final = 150
LEFT: Final = 3
"""The first customers are cyclists, aged 20 to 40 and fond of bikes; half of them joined."""
TRAITS: Final = """[traits]
age = {column = "age", type = "number"}
city = {column = "city", type = "text"}
religion = {column = "religion", type = "text"}
"""


@pytest.fixture(scope="module")
def served(serve: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Serve the example configuration with a crowd of customers and their events."""
    with serve(tmp_path_factory.mktemp("lookalikes"), _declare_traits) as running:
        running.call("POST", "/api/customers/import", content=_customers())
        _send(running)
        running.loads()
        rule = {"type": "did", "event": "Joined"}
        running.call("PUT", "/api/audiences/joined", json={"name": "Joined", "rule": rule})
        late = {"type": "did", "event": "Joined", "within_days": 30}
        running.call("PUT", "/api/audiences/late", json={"name": "Joined of late", "rule": late})
        for key in ("joined", "late"):
            running.runs(f"/api/audiences/{key}/build")
        yield running


def _declare_traits(config: Path) -> None:
    (config / "customers.toml").write_text(TRAITS)


def _customers() -> str:
    rng = random.Random(1)
    lines = ["crm_id,age,city,religion"]
    for i in range(PEOPLE):
        age = rng.randint(20, 40) if i < CYCLISTS else rng.randint(18, 80)
        lines.append(f"{i + 1},{age},city {i % 7},faith {i % 3}")
    return "\n".join(lines)


def _send(running: Any) -> None:
    """Let customers view products at the till's own word, and some of them join."""
    rng = random.Random(2)
    messages = []
    for i in range(PEOPLE):
        likes_bikes = rng.random() < (0.8 if i < CYCLISTS else 0.1)
        categories = ["bikes" if likes_bikes else "books", f"shelf {rng.randint(0, 5)}"]
        messages += [_viewed(i, category) for category in categories]
        if i < JOINED:
            messages.append({"type": "track", "event": "Joined", "userId": str(i + 1)})
        if i < LEFT:
            messages.append({"type": "track", "event": "Left", "userId": str(i + 1)})
    for first in range(0, len(messages), 400):
        batch = [{**m, "messageId": f"m{first + j}"} for j, m in enumerate(messages[first:][:400])]
        answer = httpx.post(
            f"{running.url}/v1/batch", json={"batch": batch}, auth=(SERVER_KEY, ""), timeout=30
        )
        assert answer.status_code == httpx.codes.OK, answer.text


def _viewed(customer: int, category: str) -> dict[str, Any]:
    product = {"product_id": "p", "category": category}
    properties = {"products": [product]}
    return {
        "type": "track",
        "event": "Product Viewed",
        "userId": str(customer + 1),
        "properties": properties,
        "timestamp": _days_ago(60),
    }


def _days_ago(days: int) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).isoformat()


def preview(served: Any, **asked: Any) -> Any:
    return served.call("POST", "/api/lookalikes/preview", json={"seed": "joined", **asked})


def test_what_is_known_tells_and_what_defines_does_not(served: Any) -> None:
    """Bins and categories rank people; the seed's own event and faith are not among the traits."""
    report = preview(served, size=100)
    names = {each["trait"] for each in report["traits"]}
    assert "category:bikes" in names
    assert any(name.startswith("age=") and " to below " in name for name in names)
    assert not any("religion" in name or "faith" in name for name in names)
    assert report["traits_left_out"] == ["event:Joined=7d"]
    assert report["seed"] == JOINED
    assert report["hold_out"][0]["auc"]["mean"] > 0.7
    assert report["verdict"] == "distinctive"
    assert all(each["reasons"] for each in report["examples"])


def test_each_point_of_the_curve_tells_what_seats_reach(served: Any) -> None:
    """Every seat has a number at 1 to 10 percent; nobody here has an id, so nobody is reached."""
    report = preview(served)
    assert [point["percent"] for point in report["curve"]] == list(range(1, 11))
    assert all(point["seats"] for point in report["curve"])
    assert {count for point in report["curve"] for count in point["seats"].values()} == {0}
    assert report["size"] == round(report["base"] * 0.05)


def test_a_seed_of_late_events_is_known_from_before(served: Any) -> None:
    """Nothing of the days in which the seed's events happened is used, and the report says so."""
    report = preview(served, seed="late")
    assert report["cut"] is not None
    assert "cut_at_seed_event" in {each["code"] for each in report["warnings"]}
    early = preview(served, cut="2020-01-01")
    assert early["cut"] == "2020-01-01"
    assert not any("category:" in each["trait"] for each in early["traits"])
    assert "cut_at_seed_event" not in {each["code"] for each in early["warnings"]}


def test_small_differences_of_seeds_are_not_told(served: Any) -> None:
    """Who may not see people gets one report for two seeds that differ by three people."""
    rule = {
        "type": "all",
        "of": [
            {"type": "did", "event": "Joined"},
            {"type": "not", "rule": {"type": "did", "event": "Left"}},
        ],
    }
    served.call("PUT", "/api/audiences/nearly", json={"name": "Nearly all", "rule": rule})
    served.runs("/api/audiences/nearly/build")
    exact = {key: preview(served, seed=key)["seed"] for key in ("joined", "nearly")}
    assert exact == {"joined": JOINED, "nearly": JOINED - LEFT}
    key = served.call("POST", "/api/keys", json={"name": "r", "scopes": ["audiences:read"]})["key"]
    headers = {"Authorization": f"Bearer {key}"}

    def asked(seed: str) -> Any:
        answer = httpx.post(
            f"{served.url}/api/lookalikes/preview",
            json={"seed": seed, "method": "iv", "size": 100},
            headers=headers,
            timeout=30,
        )
        return answer.json()

    first, second = asked("joined"), asked("nearly")
    assert first["hold_out"] == second["hold_out"]
    assert first["traits"] == second["traits"]
    assert first["curve"] == second["curve"]
    assert first["examples"] == []
    small = httpx.post(
        f"{served.url}/api/lookalikes/preview",
        json={"seed": "joined", "allow_small": True},
        headers=headers,
    )
    assert small.status_code == httpx.codes.BAD_REQUEST


REFUSED: Final = [
    pytest.param({"seed": "nobody"}, 404, "nobody", id="unknown seed"),
    pytest.param({"exclude": ["nobody"]}, 404, "nobody", id="unknown exclusion"),
    pytest.param({"size": 5, "likeness": 0.5}, 422, "give one of them", id="two sizes"),
    pytest.param({"percent": 0}, 422, "more than 0", id="no percent"),
    pytest.param({"exclude": ["joined", "everyone"]}, 422, "nobody is left", id="nobody left"),
    pytest.param({"seed": "everyone"}, 422, "is everybody", id="seed is the base"),
    pytest.param({"methode": "iv"}, 400, "methode", id="misspelt"),
    pytest.param({"method": "magic"}, 400, "magic", id="unknown method"),
]


@pytest.mark.parametrize(("asked", "status", "said"), REFUSED)
def test_what_cannot_be_is_said(served: Any, asked: dict[str, Any], status: int, said: str) -> None:
    """Each mistake has its status and names what was wrong, in previews and when saved."""
    everyone = {"name": "Everyone", "rule": {"type": "everyone"}}
    if "everyone" in json.dumps(asked):
        served.call("PUT", "/api/audiences/everyone", json=everyone)
        served.runs("/api/audiences/everyone/build")
    answer = served.api.post("/api/lookalikes/preview", json={"seed": "joined", **asked})
    assert (answer.status_code, said in answer.text) == (status, True), answer.text


def test_saved_twins_are_an_audience_like_any_other(served: Any) -> None:
    """Saved, they are counted and compared; without a size they are 5 percent."""
    body = {"name": "Twins", "seed": "joined"}
    saved = served.call("PUT", "/api/lookalikes/twins", json=body)
    base = preview(served)["base"]
    assert saved["size"] == saved["report"]["size"] == round(base * 0.05)
    assert served.call("GET", "/api/lookalikes/twins") == saved["report"]
    rule = {"type": "in_audience", "audience": "twins"}
    assert served.call("POST", "/api/preview", json={"rule": rule})["size"] == saved["size"]
    both = {"audiences": ["twins", "joined"]}
    assert served.api.get("/api/lookalikes/joined").status_code == httpx.codes.NOT_FOUND
    (pair,) = served.call("POST", "/api/overlap", json=both)["pairs"]
    assert pair["jaccard"] == 0


def test_alike_audiences_are_paired(served: Any) -> None:
    """Audiences that share most people are named with their likeness."""
    pairs = served.call("GET", "/api/lookalikes/alike?least=0.5")["pairs"]
    same = [each for each in pairs if {each["first"], each["second"]} == {"joined", "late"}]
    assert [each["jaccard"] for each in same] == [1.0]


def test_a_sketch_of_few_is_refused(served: Any) -> None:
    """No sketch is made of fewer people than it needs, of a seat that is not, or of contacts."""
    asked = {"audience": "joined", "seat": "xandr_958", "salt": "a salt agreed upon"}
    answer = served.api.post("/api/lookalikes/sketch", json=asked)
    assert (answer.status_code, "2,560" in answer.text) == (422, True), answer.text
    assert served.api.post("/api/lookalikes/sketch", json=asked | {"seat": "gone"}).status_code == (
        404
    )


def test_twins_are_saved_by_likeness(served: Any) -> None:
    """As an audience, likeness stays the size: all who are so alike, and each can be explained."""
    body = {"name": "Alike", "seed": "joined", "likeness": 0.6, "cut": "2030-01-01"}
    saved = served.call("PUT", "/api/lookalikes/alike-enough", json=body)
    assert saved["size"] == saved["report"]["size"] > 0
    assert saved["report"]["likeness"] >= 0.6
    kept = served.call("GET", "/api/audiences/alike-enough")
    assert kept["lookalike"]["likeness"] == 0.6
    lines = served.api.get("/api/audiences/alike-enough/members?format=ndjson").text.splitlines()
    crm_id = json.loads(lines[0])["crm_id"]
    why = served.call("GET", f"/api/audiences/alike-enough/people/{crm_id}")
    assert why["member"]
    assert 1 <= len(why["alike_by"]) <= 3
