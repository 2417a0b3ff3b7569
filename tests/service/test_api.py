"""The API over HTTP: every route answers, with the scopes that it asks for and nothing less."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

pytestmark = [pytest.mark.clickhouse, pytest.mark.slow]

ADMIN_KEY = "jk_the-admin-of-this-test"
RULE = {"type": "did", "event": "Order Completed"}
DEFINITION = {"name": "Buyers", "rule": RULE, "min_size": 0}
ORDER = {
    "type": "track",
    "event": "Order Completed",
    "userId": "1",
    "messageId": "o1",
    "properties": {"total": 10, "currency": "USD"},
}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve a new installation with its example configuration."""
    folder = tmp_path_factory.mktemp("api")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {
        "JUMELLE_DATA": str(folder / "data"),
        "JUMELLE_ADMIN_KEY": ADMIN_KEY,
        "JUMELLE_DEMO_SERVER_KEY": "server key",
    }
    command = [sys.executable, "-m", "service.cli", "serve", "--port", str(port)]
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(command, env=environment, stderr=log) as child,
    ):
        address = f"http://127.0.0.1:{port}"
        _wait_until_ready(address, child, folder / "log")
        yield address
        child.terminate()
        assert child.wait(timeout=30) == 0, (folder / "log").read_text()


def _wait_until_ready(url: str, child: "subprocess.Popen[bytes]", log: Path) -> None:
    for _ in range(300):
        assert child.poll() is None, log.read_text()
        try:
            if httpx.get(f"{url}/readyz").status_code == httpx.codes.OK:
                return
        except httpx.HTTPError:
            time.sleep(0.1)
    raise AssertionError(log.read_text())


@pytest.fixture(scope="module")
def api(url: str) -> Iterator[httpx.Client]:
    """Call the API as its admin; one customer with one order is known."""
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    with closing(httpx.Client(base_url=url, headers=headers, timeout=60)) as client:
        customers = "crm_id,age\n1,30\n2,40\n"
        _ok(client.post("/api/customers/import?format=csv", content=customers))
        order = httpx.post(f"{url}/v1/batch", json={"batch": [ORDER]}, auth=("server key", ""))
        assert order.status_code == httpx.codes.OK
        _finished(client, _ok(client.post("/api/jobs/load/run"))["id"])
        yield client


def _ok(answer: httpx.Response) -> Any:
    assert answer.status_code < httpx.codes.MULTIPLE_CHOICES, answer.text
    return answer.json() if answer.content else None


def _finished(api: httpx.Client, run: int) -> str:
    for _ in range(600):
        (job,) = _ok(api.get(f"/api/jobs?run={run}"))["jobs"]
        if job["status"] in {"ok", "failed"}:
            return str(job["status"])
        time.sleep(0.05)
    raise AssertionError(f"run {run} did not end")


def test_an_audience_is_saved_built_shown_and_ended(api: httpx.Client) -> None:
    """A definition gets a version, members by a build, and an end."""
    _ok(api.put("/api/audiences/buyers", json=DEFINITION))
    assert _finished(api, _ok(api.post("/api/audiences/buyers/build"))["id"]) == "ok"
    shown = _ok(api.get("/api/audiences/buyers"))
    assert (shown["size"], shown["version"], shown["status"]) == (1, 1, "ok")
    members = api.get("/api/audiences/buyers/members").text
    assert members.splitlines() == ['{"person":"customer","crm_id":"1"}']
    assert _ok(api.get("/api/audiences/buyers/people/1"))["member"] is True
    assert _ok(api.get("/api/audiences/buyers/people/2"))["member"] is False
    assert [each["key"] for each in _ok(api.get("/api/audiences"))["audiences"]] == ["buyers"]
    _ok(api.delete("/api/audiences/buyers"))
    assert api.get("/api/audiences/buyers").status_code == httpx.codes.NOT_FOUND


def test_an_audience_on_a_seat_cannot_end(api: httpx.Client) -> None:
    """What is active on a seat is kept until it is taken off."""
    _ok(api.put("/api/audiences/active", json=DEFINITION))
    _ok(api.put("/api/audiences/active/seats/pixel_csv", json={"segment": "s1"}))
    refused = api.delete("/api/audiences/active")
    assert refused.status_code == httpx.codes.CONFLICT
    assert "pixel_csv" in refused.json()["detail"]
    _ok(api.delete("/api/audiences/active/seats/pixel_csv"))
    _ok(api.delete("/api/audiences/active"))


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "says"),
    [
        ("PUT", "/api/audiences/x", {"name": "x", "rule": {"type": "magic"}}, 400, "magic"),
        ("PUT", "/api/audiences/x", {"name": "x"}, 400, "rule or a lookalike"),
        ("POST", "/api/preview", {"rule": {"type": "did"}}, 400, "event"),
        ("POST", "/api/preview", {}, 400, "rule"),
        ("GET", "/api/audiences/none", None, 404, "none"),
        ("GET", "/api/seats/none", None, 404, "xandr_958"),
        ("GET", "/api/exports/1", None, 404, "1"),
        ("GET", "/api/identity/nobody", None, 404, "nobody"),
        ("GET", "/api/customers/nobody", None, 404, "nobody"),
        ("POST", "/api/jobs/none/run", None, 404, "load"),
        ("POST", "/api/lookalikes/preview", {"seed": "none"}, 404, "none"),
        ("POST", "/api/privacy/erase", {"id": "nobody"}, 404, "nobody"),
        ("POST", "/api/keys", {"scopes": ["fly"]}, 400, "fly"),
        ("POST", "/api/customers/import?format=xml", None, 400, "xml"),
        ("POST", "/api/events/import?format=csv", None, 400, "csv"),
        ("POST", "/api/customers/import?site=none", None, 404, "none"),
    ],
)
def test_a_mistake_is_named(
    api: httpx.Client, method: str, path: str, body: Any, status: int, says: str
) -> None:
    """What cannot be done is a problem document that says what was found."""
    answer = api.request(method, path, json=body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert says in answer.json()["detail"]


SCOPED = [
    ("GET", "/api/audiences", "audiences:read"),
    ("GET", "/api/traits", "audiences:read"),
    ("GET", "/api/events/catalogue", "audiences:read"),
    ("GET", "/api/partners", "audiences:read"),
    ("GET", "/api/seats", "exports:run"),
    ("GET", "/api/exports", "exports:run"),
    ("GET", "/api/customers/1", "people:read"),
    ("GET", "/api/identity/1", "people:read"),
    ("GET", "/api/jobs", "operation"),
    ("GET", "/api/bad", "operation"),
    ("GET", "/api/privacy/receipts", "privacy"),
]


@pytest.mark.parametrize(("method", "path", "scope"), SCOPED, ids=[each[1] for each in SCOPED])
def test_a_route_asks_for_its_scope(
    api: httpx.Client, url: str, method: str, path: str, scope: str
) -> None:
    """With its scope a route answers, with another one it is forbidden, without a key refused."""
    right = _ok(api.post("/api/keys", json={"scopes": [scope]}))["key"]
    other = "privacy" if scope != "privacy" else "customers:write"
    wrong = _ok(api.post("/api/keys", json={"scopes": [other]}))["key"]
    statuses = [
        httpx.request(method, f"{url}{path}", headers=headers).status_code
        for headers in (
            {"Authorization": f"Bearer {right}"},
            {"Authorization": f"Bearer {wrong}"},
            {"Authorization": "Bearer jk_made-up"},
            {},
        )
    ]
    assert statuses == [200, 403, 401, 401]


def test_a_preview_without_people_read_hides_small_numbers(api: httpx.Client, url: str) -> None:
    """Counts are exact for keys that may read people, and hidden below 20 for others."""
    exact = _ok(api.post("/api/preview", json={"rule": RULE}))
    key = _ok(api.post("/api/keys", json={"scopes": ["audiences:read"]}))["key"]
    headers = {"Authorization": f"Bearer {key}"}
    hidden = httpx.post(f"{url}/api/preview", json={"rule": RULE}, headers=headers).json()
    assert exact["size"] == 1
    assert hidden["size"] is None
    assert hidden["sample"] == []


def test_a_revoked_key_is_refused_at_once(api: httpx.Client, url: str) -> None:
    """A key that was ended opens nothing."""
    made = _ok(api.post("/api/keys", json={"scopes": ["operation"], "name": "short"}))["key"]
    (found,) = [each for each in _ok(api.get("/api/keys"))["keys"] if each["name"] == "short"]
    _ok(api.delete(f"/api/keys/{found['id']}"))
    headers = {"Authorization": f"Bearer {made}"}
    assert httpx.get(f"{url}/api/jobs", headers=headers).status_code == httpx.codes.UNAUTHORIZED


def test_imported_events_are_loaded_once(api: httpx.Client) -> None:
    """Segment messages of a file become events of their customers; bad lines are named."""
    good = '{"type":"track","event":"Order Refunded","userId":"1","messageId":"r1","properties":{}}'
    body = f"{good}\n{good}\nnonsense\n"
    report = _ok(api.post("/api/events/import?site=demo", content=body))
    assert (report["imported"], [each["line"] for each in report["rejects"]]) == (2, [3])
    _finished(api, _ok(api.post("/api/jobs/load/run"))["id"])
    counts = {
        each["event"]: each["count"] for each in _ok(api.get("/api/events/catalogue"))["events"]
    }
    assert counts["Order Refunded"] == 1


def test_a_suppressed_person_leaves_reach_and_lifting_brings_it_back(api: httpx.Client) -> None:
    """Suppression forbids the future and gives a receipt; lifting ends it."""
    assert _ok(api.post("/api/privacy/suppress", json={"id": "2"}))["act"] == "suppress"
    card = _ok(api.get("/api/identity/2"))
    assert {each["status"] for each in card["partners"]} == {"suppressed"}
    _ok(api.post("/api/privacy/lift", json={"id": "2"}))
    card = _ok(api.get("/api/identity/2"))
    assert {each["status"] for each in card["partners"]} == {"no_browser"}
    acts = [each["act"] for each in _ok(api.get("/api/privacy/receipts"))["receipts"]]
    assert acts[:2] == ["lift", "suppress"]


def test_access_gives_everything_of_a_person(api: httpx.Client) -> None:
    """The access answer holds traits, events and links of one person and is audited."""
    found = _ok(api.post("/api/privacy/access", json={"id": "1"}))
    assert found["crm_id"] == "1"
    assert "Order Completed" in {each["event"] for each in found["events"]}


@pytest.mark.parametrize(
    "path", ["/", "/web/overview.js", "/livez", "/metrics", "/schema/openapi.json"]
)
def test_open_pages_answer(url: str, path: str) -> None:
    """Pages, health and schema need no key; none of them shows data."""
    assert httpx.get(f"{url}{path}").status_code == httpx.codes.OK
