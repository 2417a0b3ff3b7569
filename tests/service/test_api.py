"""The API over HTTP: every route answers, with the scopes that it asks for and nothing less."""

import json
import logging
import os
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest
from running_service import ADMIN_KEY, SECRET, SERVER_KEY, serving

from service.api.auth import ENVIRONMENT_KEY, KeyRing
from service.api.errors import on_error
from service.engine.operation_store import ApiKey, OperationStore
from service.tag.tokens import make_identify

pytestmark = [pytest.mark.clickhouse, pytest.mark.slow]

AGENT = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0"
DEEP = "[" * 100_000 + "]" * 100_000
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
    """Serve a new installation with its example configuration and a second site."""
    with serving(tmp_path_factory.mktemp("api"), _add_a_site) as running:
        yield running.url


def _add_a_site(folder: Path) -> None:
    news = 'key = "news"\nwrite_key = "news"\norigins = ["https://news.example"]\n'
    (folder / "sites" / "news.toml").write_text(news)


@pytest.fixture(scope="module")
def api(url: str) -> Iterator[httpx.Client]:
    """Call the API as its admin; one customer with one order is known."""
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    with closing(httpx.Client(base_url=url, headers=headers, timeout=60)) as client:
        customers = "crm_id,age\n1,30\n2,40\n"
        _ok(client.post("/api/customers/import?format=csv", content=customers))
        order = httpx.post(f"{url}/v1/batch", json={"batch": [ORDER]}, auth=(SERVER_KEY, ""))
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


def _key(api: httpx.Client, *scopes: str, sites: tuple[str, ...] = ()) -> dict[str, str]:
    """Make a key and give the header that shows it."""
    made = _ok(api.post("/api/keys", json={"scopes": scopes, "sites": sites}))["key"]
    return {"Authorization": f"Bearer {made}"}


def _load(api: httpx.Client) -> None:
    assert _finished(api, _ok(api.post("/api/jobs/load/run"))["id"]) == "ok"


class Browser:
    """One browser with its cookies on the shop's page."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._http = httpx.Client(headers={"User-Agent": AGENT}, timeout=60)

    def close(self) -> None:
        """Close it."""
        self._http.close()

    def sends(self, *messages: dict[str, Any]) -> None:
        """Post messages as the tag does."""
        named = [{"messageId": os.urandom(8).hex(), **each} for each in messages]
        answer = self._http.post(f"{self._url}/t?key=demo", content=json.dumps(named))
        assert answer.status_code == httpx.codes.NO_CONTENT, answer.text

    def signs_in(self, crm_id: str) -> None:
        """Say with the shop's proof who sits here."""
        token = make_identify(SECRET, site="demo", crm_id=crm_id, now_s=int(time.time()))
        self.sends({"type": "identify", "userId": crm_id, "context": {"token": token}})

    def audiences(self) -> list[str]:
        """Ask which audiences it is in."""
        answer = self._http.get(f"{self._url}/v1/me/audiences?key=demo")
        assert answer.headers["cache-control"] == "no-store"
        found: list[str] = answer.json()["audiences"]
        return found


@pytest.fixture
def browser(url: str) -> Iterator[Browser]:
    """Open a browser that nobody knows yet."""
    with closing(Browser(url)) as opened:
        opened.sends({"type": "page", "properties": {}})
        yield opened


@pytest.fixture
def public(api: httpx.Client) -> Iterator[None]:
    """Define audiences that the site may be told of, and end them again."""
    aged = {"type": "trait", "trait": "age", "op": "exists"}
    page = {"type": "did", "event": "Page Viewed", "exactly": 0}
    rules: dict[str, tuple[str, Any]] = {
        "of_customer": ("last_authenticated", aged),
        "own": ("browser", page),
        "by_trait": ("browser", {"type": "any", "of": [page, aged]}),
        "by_link": ("browser", {"type": "not", "rule": {"type": "identified"}}),
        "by_other": ("browser", {"type": "in_audience", "audience": "by_trait"}),
    }
    for key, (identity, rule) in rules.items():
        definition = {"name": key, "rule": rule, "identity": identity, "public_to": ["demo"]}
        _ok(api.put(f"/api/audiences/{key}", json=definition))
    yield
    for key in reversed(rules):
        _ok(api.delete(f"/api/audiences/{key}"))


SIGNED_OUT = {"type": "track", "event": "Signed Out"}
VIEWED = {"type": "track", "event": "Product Viewed", "properties": {}}


@pytest.mark.usefixtures("public")
def test_a_logout_is_remembered_however_much_happens_after_it(
    api: httpx.Client, browser: Browser
) -> None:
    """A browser that signed out is told nothing of the customer, hundreds of events later too."""
    browser.signs_in("1")
    _load(api)
    assert browser.audiences() == ["by_other", "by_trait", "of_customer", "own"]
    browser.sends(SIGNED_OUT)
    _load(api)
    assert browser.audiences() == ["own"]
    for _ in range(5):
        browser.sends(*[VIEWED] * 50)
    _load(api)
    assert browser.audiences() == ["own"]


@pytest.mark.usefixtures("public")
def test_a_browser_without_a_customer_is_told_what_holds_for_itself(
    api: httpx.Client, browser: Browser
) -> None:
    """Who is linked to nobody may learn of audiences that traits and links would decide."""
    _load(api)
    assert browser.audiences() == ["by_link", "by_other", "by_trait", "own"]


@pytest.mark.usefixtures("public")
def test_a_suppressed_person_is_told_nothing(api: httpx.Client, browser: Browser) -> None:
    """Suppression silences every browser of the person until it is lifted."""
    _ok(api.post("/api/customers/import?format=csv", content="crm_id,age\n3,50\n"))
    browser.signs_in("3")
    _load(api)
    assert "of_customer" in browser.audiences()
    _ok(api.post("/api/privacy/suppress", json={"id": "3"}))
    assert browser.audiences() == []
    _ok(api.post("/api/privacy/lift", json={"id": "3"}))
    assert "of_customer" in browser.audiences()


COUNTS = {"size", "base", "people", "browsers", "ids", "adds", "removes", "refreshes", "rows"}
COUNTS |= {"refused_ids", "unnamed_ids", "held", "holders", "count", "jaccard"}


def _counts(found: Any) -> list[Any]:
    """Give every count of people or ids that an answer holds, however deep."""
    if isinstance(found, list):
        return [count for each in found for count in _counts(each)]
    if not isinstance(found, dict):
        return []
    own = [found[name] for name in COUNTS & found.keys() if not isinstance(found[name], dict)]
    return own + [count for each in found.values() for count in _counts(each)]


def test_small_counts_are_hidden_on_every_route(api: httpx.Client, url: str) -> None:
    """Without `people:read` no answer counts few people, and no text of a run does."""
    _ok(api.put("/api/audiences/few", json=DEFINITION))
    _ok(api.put("/api/audiences/others", json=DEFINITION))
    _ok(api.put("/api/audiences/few/seats/pixel_csv", json={"segment": "s1"}))
    runs = [_ok(api.post(f"/api/audiences/{key}/build"))["id"] for key in ("few", "others")]
    runs.append(
        _ok(api.post("/api/exports", json={"seats": ["pixel_csv"], "dry_run": True}))["run"]
    )
    assert [_finished(api, run) for run in runs] == ["ok"] * 3
    with httpx.Client(base_url=url, headers=_key(api, "audiences:read", "exports:run")) as few:
        for path in (
            "/api/audiences",
            "/api/audiences/few",
            "/api/traits",
            "/api/events/catalogue",
            "/api/seats",
            "/api/seats/pixel_csv",
            f"/api/exports/{runs[2]}",
        ):
            hidden, exact = _counts(_ok(few.get(path))), _counts(_ok(api.get(path)))
            assert None in hidden, path
            assert all(each is None or (each >= 20 and each % 10 == 0) for each in hidden), path
            assert None not in exact, path
        asked = {"audiences": ["few", "others"]}
        assert set(_counts(_ok(few.post("/api/overlap", json=asked)))) == {None}
        assert _counts(_ok(api.post("/api/overlap", json=asked))) != [None, None]
        assert {each["detail"] for each in _ok(few.get("/api/jobs"))["jobs"]} == {""}
        assert _ok(few.get(f"/api/exports/{runs[2]}"))["detail"] == ""
    assert "few: 1 people" in _ok(api.get(f"/api/jobs?run={runs[0]}"))["jobs"][0]["detail"]
    operator = httpx.get(f"{url}/api/jobs?run={runs[0]}", headers=_key(api, "operation"))
    assert "few: 1 people" in operator.json()["jobs"][0]["detail"]
    writer = {**_key(api, "audiences:write")}
    saved = httpx.put(f"{url}/api/audiences/few", json=DEFINITION, headers=writer).json()
    assert saved["size"] is None
    _ok(api.delete("/api/audiences/few/seats/pixel_csv"))
    for key in ("few", "others"):
        _ok(api.delete(f"/api/audiences/{key}"))


def test_a_failed_lookalike_tells_nobody_how_small_its_seed_is(api: httpx.Client, url: str) -> None:
    """An empty seed and a small one are the same to those who may not see people."""
    nobody = {"type": "trait", "trait": "age", "op": "is", "value": 1}
    _ok(api.put("/api/audiences/small", json=DEFINITION))
    _ok(api.put("/api/audiences/empty", json=DEFINITION | {"rule": nobody}))
    for key in ("small", "empty"):
        _finished(api, _ok(api.post(f"/api/audiences/{key}/build"))["id"])
    reader, writer = _key(api, "audiences:read"), _key(api, "audiences:write")
    said = set()
    for key in ("small", "empty"):
        answer = httpx.post(f"{url}/api/lookalikes/preview", json={"seed": key}, headers=reader)
        assert answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY
        said.add(answer.json()["detail"].replace(key, ""))
        body = {"name": "t", "seed": key, "percent": 5}
        answer = httpx.put(f"{url}/api/lookalikes/twins", json=body, headers=writer)
        assert answer.status_code == httpx.codes.BAD_REQUEST
        assert "people," not in answer.text
        shown = httpx.get(f"{url}/api/audiences/twins", headers=reader).json()
        assert (shown["status"], "Seed" in shown["detail"]) == ("failed", False)
    assert len(said) == 1
    for key in ("twins", "small", "empty"):
        _ok(api.delete(f"/api/audiences/{key}"))


def test_members_leave_by_name_and_never_by_ordinal(api: httpx.Client) -> None:
    """Members come as lines or as an Arrow stream; a bitmap of ordinals is refused."""
    _ok(api.put("/api/audiences/named", json=DEFINITION))
    _finished(api, _ok(api.post("/api/audiences/named/build"))["id"])
    refused = api.get("/api/audiences/named/members?format=roaring")
    assert refused.status_code == httpx.codes.NOT_ACCEPTABLE
    assert "ndjson" in refused.json()["detail"]
    answer = api.get("/api/audiences/named/members?format=arrow")
    with pa.ipc.open_stream(answer.content) as stream:
        rows = stream.read_all().to_pylist()
    assert rows == [{"person": "customer", "crm_id": "1", "visitor": None}]
    _ok(api.delete("/api/audiences/named"))


def test_events_of_an_access_request_name_nobody_by_ordinal(api: httpx.Client) -> None:
    """Events are given as the identity card gives them."""
    found = _ok(api.post("/api/privacy/access", json={"id": "1"}))
    assert {tuple(each) for each in found["events"]} == {("at", "event", "site", "properties")}


def test_a_key_for_some_sites_opens_those_alone(api: httpx.Client, url: str) -> None:
    """It may import for its sites; for other ones, and where no site is named, it is refused."""
    line, headers = "crm_id,age\n1,30\n", _key(api, "admin", sites=("news",))
    statuses = {
        query: httpx.post(f"{url}{query}", content=line, headers=headers).status_code
        for query in (
            "/api/customers/import?site=news",
            "/api/traits/import?site=news",
            "/api/events/import?site=news",
            "/api/customers/import?site=demo",
            "/api/customers/import",
            "/api/events/import?site=demo",
        )
    }
    assert list(statuses.values()) == [200, 200, 200, 403, 403, 403], statuses
    for _, path, _ in SCOPED:
        assert httpx.get(f"{url}{path}", headers=headers).status_code == httpx.codes.FORBIDDEN
    assert httpx.get(f"{url}/api/keys", headers=headers).status_code == httpx.codes.FORBIDDEN
    unknown = api.post("/api/keys", json={"scopes": ["admin"], "sites": ["none"]})
    assert unknown.status_code == httpx.codes.BAD_REQUEST


def test_only_the_present_key_of_the_environment_opens(database: Any) -> None:
    """JUMELLE_ADMIN_KEY is never stored, and a stored one of before opens nothing."""
    store = OperationStore(database.client())
    KeyRing(store).admit("jk_old", ENVIRONMENT_KEY, ("admin",))
    first = KeyRing(store, admin_key="jk_one")
    assert first.find("jk_one") is not None
    assert first.find("jk_old") is None
    second = KeyRing(store, admin_key="jk_two")
    assert second.find("jk_two") is not None
    assert second.find("jk_one") is None
    assert second.has_admin
    assert not KeyRing(store).has_admin
    assert [key.name for key in store.api_keys()] == [ENVIRONMENT_KEY]
    made = second.create("other", ("operation",))
    assert isinstance(second.find(made), ApiKey)
    assert second.find("jk_two") is not None


def test_no_answer_of_the_api_is_kept(api: httpx.Client, url: str) -> None:
    """Answers and refusals alike say that nothing may store them."""
    answers = [
        api.get("/api/audiences"),
        api.get("/api/audiences/none"),
        api.get("/api/none"),
        httpx.get(f"{url}/api/audiences"),
        api.post("/api/preview", content="{"),
    ]
    assert [each.status_code for each in answers] == [200, 404, 404, 401, 400]
    assert {each.headers["cache-control"] for each in answers} == {"no-store"}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/preview", f'{{"rule":{DEEP}}}'),
        ("PUT", "/api/audiences/deep", f'{{"name":"x","rule":{DEEP}}}'),
        ("POST", "/api/overlap", f'{{"audiences":{DEEP}}}'),
        ("POST", "/api/overlap", f'{{"unknown":{DEEP}}}'),
        ("POST", "/api/lookalikes/preview", f'{{"seed":"x","unknown":{DEEP}}}'),
        ("PUT", "/api/lookalikes/deep", f'{{"name":"x","unknown":{DEEP}}}'),
        ("POST", "/api/exports", f'{{"seats":{DEEP},"unknown":{DEEP}}}'),
        ("POST", "/api/privacy/access", f'{{"unknown":{DEEP}}}'),
        ("POST", "/api/keys", f'{{"unknown":{DEEP}}}'),
        ("POST", "/api/preview", "[]"),
        ("POST", "/api/preview", b"\xff"),
        ("POST", "/api/preview", '{"rule":{"type":"everyone"},"breakdown":3}'),
        ("POST", "/api/overlap", b'{"audiences":["\xff"]}'),
    ],
    ids=range(13),
)
def test_a_body_that_cannot_be_read_is_a_mistake_of_the_caller(
    api: httpx.Client, method: str, path: str, body: str | bytes
) -> None:
    """However deep or broken JSON is, the answer is a problem document of status 400."""
    answer = api.request(method, path, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == httpx.codes.BAD_REQUEST, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("kind", ["customers", "traits", "events"])
def test_a_deep_line_of_an_import_is_refused_alone(api: httpx.Client, kind: str) -> None:
    """One line nested without end does not stop the file."""
    line = f'{{"crm_id":"1","type":"track","event":"x","userId":"1","properties":{DEEP}}}\n'
    report = _ok(api.post(f"/api/{kind}/import?format=ndjson&site=demo", content=line))
    assert (report["imported"], [each["line"] for each in report["rejects"]]) == (0, [1])


def test_an_unexpected_failure_says_nothing_and_is_logged(caplog: Any) -> None:
    """What nobody foresaw is a 500 without details; the log has them."""
    with caplog.at_level(logging.ERROR, logger="jumelle.api"):
        answer = on_error(None, KeyError("a secret of ours"))  # type: ignore[arg-type]
    assert answer.status_code == httpx.codes.INTERNAL_SERVER_ERROR
    assert answer.media_type == "application/problem+json"
    assert b"secret" not in answer.content
    assert "a secret of ours" in caplog.text
