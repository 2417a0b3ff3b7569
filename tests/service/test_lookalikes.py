"""Lookalikes over a running service: what is known, what is kept back, whom seats reach."""

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
import pytest
from click.testing import CliRunner
from running_service import SERVER_KEY

from audiences.lookalikes.sketches import make_sketch
from service.cli_lookalikes import lookalike

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


def test_numbers_stay_cut_where_they_were_when_saved(served: Any) -> None:
    """Bins are kept with what is saved, also after a new build; a new save takes those of today."""
    body = {"name": "By age", "seed": "joined", "method": "iv", "edges": {"age": [25, 41]}}
    kept = {"age=25 to below 41", "age=41 and more", "age=below 25"}

    def ages() -> set[str]:
        report = served.call("GET", "/api/lookalikes/by-age")
        return {each["trait"] for each in report["traits"] if each["trait"].startswith("age=")}

    served.call("PUT", "/api/lookalikes/by-age", json=body)
    assert ages() & kept
    served.runs("/api/audiences/by-age/build")
    assert ages() <= kept
    del body["edges"]
    served.call("PUT", "/api/lookalikes/by-age", json=body)
    edges = served.call("GET", "/api/audiences/by-age")["lookalike"]["edges"]["age"]
    assert len(edges) == 4
    assert not ages() <= kept


def test_people_like_a_person_are_named(served: Any) -> None:
    """A cyclist's nearest share what a cyclist has, and are named by CRM id with the likeness."""
    found = served.call("GET", "/api/lookalikes/like/7?most=5")
    assert len(found["people"]) == 5
    assert "7" not in {each["crm_id"] for each in found["people"]}
    likeness = [each["likeness"] for each in found["people"]]
    assert likeness == sorted(likeness, reverse=True)
    assert all(each["shared"] for each in found["people"])
    assert served.api.get("/api/lookalikes/like/nobody").status_code == httpx.codes.NOT_FOUND
    key = served.call("POST", "/api/keys", json={"name": "r", "scopes": ["audiences:read"]})["key"]
    refused = httpx.get(
        f"{served.url}/api/lookalikes/like/7", headers={"Authorization": f"Bearer {key}"}
    )
    assert refused.status_code == httpx.codes.FORBIDDEN


def test_the_command_line_finds_neighbours_and_compares_sketches(
    served: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`like` prints people, `overlap` an estimate with bounds, `sketch` why it refuses."""
    monkeypatch.setenv("JUMELLE_URL", served.url)
    monkeypatch.setenv(
        "JUMELLE_API_KEY", served.api.headers["Authorization"].removeprefix("Bearer ")
    )

    def said(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(lookalike, arguments)
        return result.exit_code, " ".join(result.output.split())

    code, text = said("like", "7", "--most", "3")
    assert (code, "people like 7" in text) == (0, True), text
    assert said("like", "nobody")[0] == 3
    ids = {name: range(first, first + 6_000) for name, first in (("ours", 0), ("theirs", 3_000))}
    for name, numbers in ids.items():
        sketch = make_sketch(map(str, numbers), id_space="xandr", salt="a salt agreed upon")
        (tmp_path / name).write_bytes(msgspec.json.encode(sketch))
    code, text = said("overlap", str(tmp_path / "ours"), str(tmp_path / "theirs"))
    assert (code, "people are in both" in text) == (0, True), text
    (tmp_path / "salt").write_text("a salt agreed upon\n")
    salt = ["--salt-file", str(tmp_path / "salt")]
    asked = ["sketch", "joined", "--seat", "xandr_958", *salt, "--out", str(tmp_path / "out")]
    code, text = said(*asked)
    assert (code, "needs 2,560 ids" in text) == (1, True), text
    assert not (tmp_path / "out").exists()
    assert said("overlap", str(tmp_path / "salt"), str(tmp_path / "ours"))[0] == 1
