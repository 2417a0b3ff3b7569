"""The catalogue over HTTP: counts by site, what the properties hold, and the tagging plan."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from running_service import SERVER_KEY, RunningService, serving

pytestmark = [pytest.mark.clickhouse, pytest.mark.slow]

PLAN = """
[events."Order Completed".properties]
total = {type = "number"}
currency = {type = "text"}
coupon = {}

[events.Searched]
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """Serve an installation with a tagging plan; thirty orders and a page have come."""
    with serving(tmp_path_factory.mktemp("catalogue"), _add_a_plan) as service:
        batch = [_order(n) for n in range(30)] + [{"type": "page", "anonymousId": "a"}]
        sent = httpx.post(f"{service.url}/v1/batch", json={"batch": batch}, auth=(SERVER_KEY, ""))
        assert sent.status_code == httpx.codes.OK
        service.loads()
        yield service


def _add_a_plan(folder: Path) -> None:
    (folder / "tagging_plans").mkdir()
    (folder / "tagging_plans" / "demo.toml").write_text(PLAN)


def _order(number: int) -> dict[str, Any]:
    total = "12.50" if number == 0 else 10 + number % 2
    return {
        "type": "track",
        "event": "Order Completed",
        "userId": "1",
        "messageId": f"o{number}",
        "properties": {"total": total, "currency": "USD", "extra": True},
    }


def test_events_are_counted_by_site(running: RunningService) -> None:
    """Each event has its count and times in all and by site."""
    (order,) = [
        each
        for each in running.call("GET", "/api/events/catalogue")["events"]
        if each["event"] == "Order Completed"
    ]
    assert order["count"] == 30
    assert [(each["site"], each["count"]) for each in order["sites"]] == [("demo", 30)]
    assert order["first_at_ms"] == order["sites"][0]["first_at_ms"] <= order["last_at_ms"]


def test_a_sites_properties_stand_to_its_plan(running: RunningService) -> None:
    """Types, fill and frequent values are told, and what stands otherwise than planned."""
    found = running.call("GET", "/api/events/catalogue?site=demo&days=2")["site"]
    (order,) = [each for each in found["events"] if each["event"] == "Order Completed"]
    assert (order["count"], order["looked_at"], order["is_exact"]) == (30, 30, True)
    total = next(each for each in order["properties"] if each["path"] == "total")
    assert total["types"] == {"number": 0.9667, "text": 0.0333}
    assert (total["fill"], total["distinct"]) == (1.0, 3)
    assert total["top"][0] == {"value": "11", "count": 15}
    assert {
        (each["event"], each["property"], each["status"])
        for each in found["checks"]
        if each["status"] != "ok"
    } >= {
        ("Order Completed", "total", "wrong_type"),
        ("Order Completed", "coupon", "missing_property"),
        ("Order Completed", "extra", "unexpected_property"),
        ("Searched", "", "missing_event"),
    }
    assert {
        "event": "Order Completed",
        "property": "currency",
        "status": "ok",
        "text": "",
    } in found["checks"]


def test_rare_values_are_hidden(running: RunningService) -> None:
    """Without `people:read` no value is shown that few events have, and no exact count."""
    made = running.call("POST", "/api/keys", json={"name": "", "scopes": ["audiences:read"]})
    with httpx.Client(
        base_url=running.url, headers={"Authorization": f"Bearer {made['key']}"}
    ) as few:
        found = few.get("/api/events/catalogue?site=demo").json()["site"]
    (order,) = [each for each in found["events"] if each["event"] == "Order Completed"]
    tops = {each["path"]: each["top"] for each in order["properties"]}
    assert tops["total"] == []
    assert tops["currency"] == [{"value": "USD", "count": 30}]


@pytest.mark.parametrize(
    ("query", "status", "says"),
    [
        pytest.param("site=nowhere", 404, "nowhere", id="no such site"),
        pytest.param("site=demo&days=0", 400, "", id="no days"),
        pytest.param("site=demo&days=91", 400, "", id="too many days"),
    ],
)
def test_what_cannot_be_described_is_refused(
    running: RunningService, query: str, status: int, says: str
) -> None:
    """An unknown site and days out of bounds are the caller's faults."""
    answer = running.api.get(f"/api/events/catalogue?{query}")
    assert answer.status_code == status, answer.text
    assert says in answer.text


def test_a_faulty_plan_is_named_with_its_file(running: RunningService) -> None:
    """A plan that cannot be read is told with its file and path; mending it needs no restart."""
    path = running.data / "config" / "tagging_plans" / "demo.toml"
    path.write_text("[events.Page]\nrequired = true\n")
    answer = running.api.get("/api/events/catalogue?site=demo")
    assert answer.status_code == 400
    assert "demo.toml" in answer.json()["detail"]
    path.write_text(PLAN)
    assert running.api.get("/api/events/catalogue?site=demo").status_code == 200
