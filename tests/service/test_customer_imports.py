"""Imports of customers over the API: in one request, or in many that are one file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.clickhouse

IMPORT = "/api/customers/import"
FILE = "crm_id,email,age\n1,p1@example.com,30\n2,p2@example.com,40\n3,not one,50\n"
SECOND = "crm_id,email,age\n1,p1@example.com,31\n4,p1@example.com,60\n5,,old\n"


@pytest.fixture(scope="module")
def served(serve: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Serve the example configuration, the age a number."""
    with serve(tmp_path_factory.mktemp("imports"), _type_the_age) as running:
        yield running


def _type_the_age(config: Path) -> None:
    (config / "customers.toml").write_text('[traits]\nage = {column = "age", type = "number"}\n')


def test_one_request_is_a_whole_file(served: Any) -> None:
    """The answer holds the counts, the lines and the quality of the data."""
    report = served.call("POST", IMPORT, content=FILE)
    assert (report["rows"], report["imported"], report["new_customers"]) == (3, 3, 3)
    assert report["warnings"] == [{"line": 4, "reason": "email left out: not a readable email"}]
    columns = {each["column"]: each for each in report["columns"]}
    assert columns["age"]["meaning"] == "trait age"
    assert (columns["age"]["least"], columns["age"]["greatest"]) == ("30", "50")
    assert columns["email"]["distinct"] == 3
    assert served.call("GET", "/api/customers/1")["traits"] == {"age": 30}


def test_many_requests_are_one_file(served: Any) -> None:
    """Duplicates, counts and columns are those of all parts; who is missing is told at the end."""
    served.call("POST", IMPORT, content=FILE)
    where = {"import_id": "file-of-today"}
    first = served.call("POST", IMPORT, params=where, content=FILE)
    assert (first["new_customers"], first["changed_customers"]) == (0, 0)
    second = served.call("POST", IMPORT, params={**where, "part": 1}, content=SECOND)
    assert [each["reason"].split(":")[0] for each in second["rejects"]] == [
        "duplicate",
        "unreadable age",
    ]
    report = served.call("POST", f"{IMPORT}/finish", params={**where, "delete_missing": True})
    refused = report.pop("missing")
    assert (report["rows"], report["imported"], report["new_customers"]) == (6, 4, 1)
    assert report["rejects_by_reason"] == {
        "duplicate: this customer stands in an earlier row": 1,
        "unreadable age: ..., not a number": 1,
    }
    assert report["shared_contacts"] == {"email": [1, 2]}
    assert refused == {"customers": 0, "of": 4, "taken_away": False, "refused": ""}
    again = served.api.post(f"{IMPORT}/finish", params=where)
    assert again.status_code == 400
    assert "there is no import 'file-of-today' to finish" in again.text


def test_a_dry_run_stores_nothing(served: Any) -> None:
    """What would be done is told, and is not done."""
    text = "crm_id,age\n1,77\nnobody-yet,1\n"
    report = served.call("POST", IMPORT, params={"dry_run": True}, content=text)
    assert (report["new_customers"], report["changed_customers"]) == (1, 1)
    assert served.call("GET", "/api/customers/1")["traits"] != {"age": 77}
    assert served.api.get("/api/customers/nobody-yet").status_code == 404


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ({"import_id": "short"}, "8 to 64"),
        ({"import_id": "of-two-formats"}, "waits for part 1"),
        ({"import_id": "lost-by-a-restart", "part": 3}, "is not open; begin it anew"),
        ({"import_id": "of-two-formats", "format": "ndjson"}, "with other options"),
        ({"source": "browser"}, "cannot be taken"),
        ({"format": "xml"}, "xml"),
    ],
)
def test_what_fits_no_import_is_refused(served: Any, params: dict[str, str], found: str) -> None:
    """The problem says what is wrong with the request."""
    served.api.post(IMPORT, params={"import_id": "of-two-formats"}, content="crm_id\n1\n")
    answer = served.api.post(IMPORT, params=params, content="crm_id\n1\n")
    assert answer.status_code == 400
    assert found in answer.text
