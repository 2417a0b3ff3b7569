"""The API commands against a small stand-in of the API: what they send, print and exit with."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from service.cli_audiences import audience, lookalike
from service.cli_customers import import_, privacy
from service.cli_exports import export, seat
from service.cli_identity import identity
from service.cli_operation import bad, jobs, key
from service.cli_partners import partner

COMMANDS = {
    command.name: command
    for command in (
        audience,
        lookalike,
        identity,
        import_,
        privacy,
        export,
        partner,
        seat,
        bad,
        jobs,
        key,
    )
}
PREVIEW = {
    "size": 412,
    "base": 2_000,
    "share": 0.206,
    "waterfall": [
        {"criterion": "rfm_segment is champion", "size": 500, "kept": 500, "lost": 1_500},
        {"criterion": "likes cycling", "size": 900, "kept": 412, "lost": 88},
    ],
    "leave_one_out": [{"criterion": "likes cycling", "size": 500, "added": 88}],
    "reach": {"xandr": 206},
    "seats": {"xandr_958": {"people": 206, "ids": 230}},
    "overlaps": [{"audience": "others", "size": 12, "jaccard": 0.01}],
    "warnings": [{"code": "currency", "text": "3 orders in another currency"}],
}
RULE = "type: trait\ntrait: rfm_segment\nop: is\nvalue: champion\n"

Answer = tuple[int, Any]


class Asked(msgspec.Struct, frozen=True):
    """One request that the stand-in received."""

    method: str
    path: str
    params: dict[str, str]
    body: bytes
    key: str


class StandInApi:
    """Answers by route; a list of answers is given one after the other, the last one for ever."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.routes: dict[str, list[Answer] | Callable[[Asked], Answer]] = {}
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def close(self) -> None:
        """Stop and wait."""
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def bodies(self, method: str, path: str) -> list[Any]:
        """Give the JSON bodies that a route received."""
        return [
            msgspec.json.decode(asked.body)
            for asked in self.asked
            if (asked.method, asked.path) == (method, path)
        ]

    def answer(self, asked: Asked) -> Answer:
        """Look the answer up."""
        self.asked.append(asked)
        route = self.routes.get(f"{asked.method} {asked.path}")
        if route is None:
            return 404, {"title": "Not found", "detail": f"there is no {asked.path}"}
        if callable(route):
            return route(asked)
        return route.pop(0) if len(route) > 1 else route[0]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                parts = urlsplit(self.path)
                length = int(self.headers.get("content-length") or 0)
                status, value = stand_in.answer(
                    Asked(
                        self.command,
                        parts.path,
                        dict(parse_qsl(parts.query)),
                        self.rfile.read(length),
                        self.headers["authorization"],
                    )
                )
                body = value if isinstance(value, bytes) else msgspec.json.encode(value)
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815

            def log_message(self, *_: Any) -> None:
                pass

        return Handler


@pytest.fixture
def api() -> Iterator[StandInApi]:
    """Run a stand-in of the API."""
    stand_in = StandInApi()
    yield stand_in
    stand_in.close()


def run(api: StandInApi, *args: str | Path, **environment: str) -> Result:
    """Call one command with a key in the environment."""
    env = {"JUMELLE_URL": api.url, "JUMELLE_API_KEY": "k1", "JUMELLE_ADMIN_KEY": "", **environment}
    words = [str(arg) for arg in args[1:]]
    return CliRunner(env=env).invoke(COMMANDS[str(args[0])], words)


IMPORT_REPORT: dict[str, Any] = {
    "columns": [
        {
            "column": "age",
            "meaning": "trait age",
            "type": "number",
            "rows": 60_000,
            "filled": 59_700,
            "fill_rate": 0.995,
            "distinct": 70_000,
            "distinct_exact": False,
            "least": "18",
            "greatest": "99",
            "top": [{"value": "30", "count": 12_000}],
        }
    ],
    "rejects_by_reason": {"duplicate: this customer stands in an earlier row": 2},
    "warnings_by_reason": {},
    "moved_aliases": [{"kind": "card", "kept_by": "K1-holder", "lost_by": "before"}],
    "refused_aliases": [],
    "shared_contacts": {"email": [3, 7]},
    "missing": {
        "customers": 300,
        "of": 1_000,
        "taken_away": False,
        "refused": "300 of 1,000 customers are missing, more than 10%: nothing was taken away",
    },
    "dry_run": False,
}

NONE_MISSING: dict[str, Any] = {"missing": None}


def imported(rejects: list[int]) -> Callable[[Asked], Answer]:
    """Answer an import of a CSV: every row is taken but those of these lines."""

    def answer(asked: Asked) -> Answer:
        rows = len(asked.body.splitlines()) - 1
        given = [{"line": line, "reason": "no crm_id"} for line in rejects if line <= rows + 1]
        counts = {"rows": rows, "imported": rows - len(given), "new_customers": 1, "traits": rows}
        return 200, {**counts, "rejects": given}

    return answer


def test_the_key_of_the_environment_is_sent_and_the_admin_key_is_second(api: StandInApi) -> None:
    """JUMELLE_API_KEY goes before JUMELLE_ADMIN_KEY."""
    api.routes["GET /api/partners"] = [(200, {"partners": []})]
    run(api, "partner", "list", JUMELLE_ADMIN_KEY="admin")
    run(api, "partner", "list", JUMELLE_API_KEY="", JUMELLE_ADMIN_KEY="admin")
    assert [asked.key for asked in api.asked] == ["Bearer k1", "Bearer admin"]


def test_without_a_key_the_command_says_which_to_set(api: StandInApi) -> None:
    """A missing key is a mistake of usage, and nothing is asked."""
    result = run(api, "partner", "list", JUMELLE_API_KEY="")
    assert result.exit_code == 2
    assert "JUMELLE_API_KEY" in result.stderr
    assert api.asked == []


@pytest.mark.parametrize(
    ("answer", "exit_code", "message"),
    [
        pytest.param((200, {"key": "a", "name": "A"}), 0, "", id="ok"),
        pytest.param((403, {"title": "Forbidden", "detail": "no scope"}), 1, "no scope", id="403"),
        pytest.param((404, {"title": "Not found"}), 3, "Not found", id="404"),
        pytest.param((500, b"<html>"), 1, "500", id="500 without a problem"),
    ],
)
def test_answers_become_exit_codes(
    api: StandInApi, answer: Answer, exit_code: int, message: str
) -> None:
    """The server's own words go to stderr, and stdout stays empty on failure."""
    api.routes["GET /api/audiences/a"] = [answer]
    result = run(api, "audience", "show", "a")
    assert result.exit_code == exit_code
    assert message in result.stderr
    assert (result.stdout == "") == (exit_code != 0)


def test_an_unreachable_service_is_named(api: StandInApi) -> None:
    """The message says where was asked and what to do."""
    result = run(api, "audience", "list", JUMELLE_URL="http://127.0.0.1:9")
    assert result.exit_code == 1
    assert "http://127.0.0.1:9" in result.stderr
    assert "jumelle serve" in result.stderr


def test_json_is_the_answer_itself(api: StandInApi) -> None:
    """With --json stdout holds one JSON value and nothing else."""
    answer = {"audiences": [{"key": "a", "size": 3}]}
    api.routes["GET /api/audiences"] = [(200, answer)]
    assert msgspec.json.decode(run(api, "audience", "list", "--json").stdout) == answer


def test_a_file_is_imported_in_batches_with_its_header(api: StandInApi, tmp_path: Path) -> None:
    """At most 25,000 customers go into a request, each under the header, all of one import."""
    path = tmp_path / "customers.csv"
    path.write_text("crm_id,age\n" + "".join(f"{n},30\n" for n in range(60_000)), encoding="utf-8")
    api.routes["POST /api/customers/import"] = imported([])
    api.routes["POST /api/customers/import/finish"] = [(200, IMPORT_REPORT | NONE_MISSING)]
    result = run(api, "import", "customers", path, "--site", "shop", "--json")
    assert result.exit_code == 0
    *sent, finish = api.asked
    sizes = [len(asked.body.splitlines()) - 1 for asked in sent]
    assert sizes == [25_000, 25_000, 10_000]
    assert {asked.body.splitlines()[0] for asked in sent} == {b"crm_id,age"}
    (one,) = {asked.params.pop("import_id") for asked in api.asked}
    assert len(one) == 32
    expected = {"site": "shop", "format": "csv", "source": "crm", "dry_run": "false"}
    assert [each.params for each in sent] == [expected | {"part": str(n)} for n in range(3)]
    assert finish.params == {"site": "shop", "delete_missing": "false", "force": "false"}
    told = msgspec.json.decode(result.stdout)
    assert (told["rows"], told["imported"], told["rejected"]) == (60_000, 60_000, 0)
    assert told["columns"] == IMPORT_REPORT["columns"]
    assert not path.with_name("customers.csv.rejects.csv").exists()


def test_rejects_carry_the_line_of_the_file(api: StandInApi, tmp_path: Path) -> None:
    """Lines of each batch become lines of the file, quoted line ends included; the exit is 4."""
    path = tmp_path / "customers.csv"
    rows = ['"a\nb",1\n', *(f"{n},1\n" for n in range(24_999)), "last,1\n"]
    path.write_text("crm_id,age\n" + "".join(rows), encoding="utf-8")
    api.routes["POST /api/customers/import/finish"] = [(200, IMPORT_REPORT | NONE_MISSING)]
    answers = [
        {"rows": 25_000, "imported": 24_999, "rejects": [{"line": 3, "reason": "no crm_id"}]},
        {"rows": 1, "imported": 0, "rejects": [{"line": 2, "reason": "suppressed"}]},
    ]
    api.routes["POST /api/customers/import"] = [(200, answer) for answer in answers]
    result = run(api, "import", "customers", path)
    assert result.exit_code == 4
    assert "2 of 25,001 rows were refused" in result.stderr
    rejects = (tmp_path / "customers.csv.rejects.csv").read_text(encoding="utf-8")
    assert rejects.splitlines() == ["line,reason", "4,no crm_id", "25003,suppressed"]


def test_the_quality_of_a_file_is_shown(api: StandInApi, tmp_path: Path) -> None:
    """Columns, reasons, conflicts and what is missing are told; what was not done ends with 4."""
    path = tmp_path / "customers.csv"
    path.write_text("crm_id,age\n1,30\n", encoding="utf-8")
    api.routes["POST /api/customers/import"] = imported([])
    api.routes["POST /api/customers/import/finish"] = [(200, IMPORT_REPORT)]
    result = run(api, "import", "customers", path, "--delete-missing", "--source", "till")
    assert result.exit_code == 4
    assert "300 of 1,000 customers are missing" in result.stderr
    for text in ("trait age", "99.5%", "about 70,000", "30 (12,000)", "duplicate", "K1-holder"):
        assert text in result.stdout
    assert api.asked[0].params["source"] == "till"
    assert api.asked[1].params["delete_missing"] == "true"


def test_traits_carry_the_name_of_who_says_them(api: StandInApi, tmp_path: Path) -> None:
    """A third party is named by --source; no other option of customers is for traits."""
    path = tmp_path / "traits.csv"
    path.write_text("partner,id,income\nxandr,X7,high\n", encoding="utf-8")
    api.routes["POST /api/traits/import"] = imported([])
    assert run(api, "import", "traits", path, "--source", "acme").exit_code == 0
    assert api.asked[0].params["source"] == "acme"
    assert run(api, "import", "traits", path, "--dry-run").exit_code == 2


def test_options_of_customers_are_refused_for_others(api: StandInApi, tmp_path: Path) -> None:
    """What only a file of customers can have is a mistake of usage elsewhere."""
    path = tmp_path / "events.ndjson"
    path.write_text("{}\n", encoding="utf-8")
    assert run(api, "import", "events", path, "--delete-missing").exit_code == 2
    assert api.asked == []


def test_a_quote_left_open_does_not_swallow_the_file(api: StandInApi, tmp_path: Path) -> None:
    """A record without an end is cut after a while, so that later rows are still sent."""
    path = tmp_path / "customers.csv"
    rows = ['"open,1\n', *(f"{n},1\n" for n in range(60_000))]
    path.write_text("crm_id,age\n" + "".join(rows), encoding="utf-8")
    api.routes["POST /api/customers/import"] = imported([])
    api.routes["POST /api/customers/import/finish"] = [(200, IMPORT_REPORT | NONE_MISSING)]
    assert run(api, "import", "customers", path).exit_code == 0
    assert len(api.asked) > 2


@pytest.mark.parametrize("name", ["events.ndjson", "events.jsonl"])
def test_ndjson_has_no_header(api: StandInApi, tmp_path: Path, name: str) -> None:
    """Each line is a row, counted from 1."""
    path = tmp_path / name
    path.write_text('{"a":1}\n\n{"a":2}', encoding="utf-8")
    answer = {"rows": 2, "imported": 1, "rejects": [{"line": 2, "reason": "no type"}]}
    api.routes["POST /api/events/import"] = [(200, answer)]
    assert run(api, "import", "events", path).exit_code == 4
    assert api.asked[0].body.splitlines() == [b'{"a":1}', b'{"a":2}']
    assert Path(f"{path}.rejects.csv").read_text(encoding="utf-8").splitlines()[1] == "3,no type"


def test_parquet_goes_as_parquet(api: StandInApi, tmp_path: Path) -> None:
    """Each request is a Parquet file of its own with at most 5,000 rows."""
    path = tmp_path / "traits.parquet"
    pq.write_table(pa.table({"crm_id": [str(n) for n in range(5_001)]}), path)
    sizes = []

    def answer(asked: Asked) -> Answer:
        rows = pq.read_table(pa.BufferReader(asked.body)).num_rows
        sizes.append(rows)
        return 200, {"rows": rows, "imported": rows}

    api.routes["POST /api/traits/import"] = answer
    assert run(api, "import", "traits", path).exit_code == 0
    assert sizes == [5_000, 1]


def test_a_refused_batch_says_which_lines(api: StandInApi, tmp_path: Path) -> None:
    """What was imported before stays, and the message says so."""
    path = tmp_path / "customers.csv"
    path.write_text("crm_id\n1\n2\n", encoding="utf-8")
    api.routes["POST /api/customers/import"] = [(400, {"title": "Bad", "detail": "no columns"})]
    result = run(api, "import", "customers", path)
    assert result.exit_code == 1
    assert "lines 2 to 3 were refused (Bad: no columns)" in result.stderr


def test_a_preview_shows_what_each_criterion_costs(api: StandInApi, tmp_path: Path) -> None:
    """The waterfall stands with bars, then reach, seats, overlaps and warnings."""
    path = tmp_path / "champions.yaml"
    path.write_text(RULE, encoding="utf-8")
    api.routes["POST /api/preview"] = [(200, PREVIEW)]
    out = run(api, "audience", "preview", path).stdout
    assert "412 of 2,000 people (20.6 %)" in out
    assert "█" in out
    assert "+88" in out
    assert "206" in out
    assert "warning: 3 orders in another currency" in out
    (sent,) = api.bodies("POST", "/api/preview")
    assert sent["rule"]["trait"] == "rfm_segment"


def test_a_preview_with_hidden_counts_is_shown(api: StandInApi, tmp_path: Path) -> None:
    """A key that may not read people gets a preview too, with few written as few."""
    path = tmp_path / "champions.yaml"
    path.write_text(RULE, encoding="utf-8")
    steps = [{**each, "kept": None, "lost": None, "size": None} for each in PREVIEW["waterfall"]]
    hidden = {"size": None, "waterfall": steps, "reach": dict.fromkeys(PREVIEW["reach"])}
    api.routes["POST /api/preview"] = [(200, {**PREVIEW, **hidden})]
    assert "<20 of 2,000 people (-)" in run(api, "audience", "preview", path).stdout


def write_audiences(folder: Path) -> None:
    """Write two audiences, of which the first by name uses the second."""
    (folder / "a.yaml").write_text(
        "name: A\nrule: {type: in_audience, audience: b}\n", encoding="utf-8"
    )
    (folder / "b.yaml").write_text(
        "name: B\nrule:\n" + "".join(f"  {line}\n" for line in RULE.splitlines()),
        encoding="utf-8",
    )


def test_applying_puts_used_audiences_first_and_skips_the_same(
    api: StandInApi, tmp_path: Path
) -> None:
    """Only what differs is put; another way of writing the same rule is no difference."""
    write_audiences(tmp_path)
    same = {"type": "any", "of": [{"type": "in_audience", "audience": "b"}]}
    existing = {"key": "a", "name": "A", "rule": same, "version": 3, "size": 7}
    api.routes["GET /api/audiences"] = [
        (200, {"audiences": [existing]}),
        (200, {"audiences": []}),
    ]
    api.routes["PUT /api/audiences/a"] = api.routes["PUT /api/audiences/b"] = [(200, {})]
    first = run(api, "audience", "apply", tmp_path, "--json")
    assert msgspec.json.decode(first.stdout) == [
        {"key": "b", "change": "new"},
        {"key": "a", "change": "same"},
    ]
    run(api, "audience", "apply", tmp_path)
    puts = [asked.path for asked in api.asked if asked.method == "PUT"]
    assert puts == ["/api/audiences/b", "/api/audiences/b", "/api/audiences/a"]


def test_a_plan_tells_and_changes_nothing(api: StandInApi, tmp_path: Path) -> None:
    """New, changed and unlisted audiences are told apart, with the fields that differ."""
    write_audiences(tmp_path)
    existing = [
        {"key": "a", "name": "Other", "rule": {"type": "everyone"}},
        {"key": "z", "name": "Z", "rule": {"type": "everyone"}},
    ]
    api.routes["GET /api/audiences"] = [(200, {"audiences": existing})]
    planned = msgspec.json.decode(run(api, "audience", "plan", tmp_path, "--json").stdout)
    assert planned == [
        {"key": "b", "change": "new", "fields": []},
        {"key": "a", "change": "changed", "fields": ["name", "rule"]},
        {"key": "z", "change": "not_in_folder", "fields": []},
    ]
    assert {asked.method for asked in api.asked} == {"GET"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("[1]", "holds list", id="no object"),
        pytest.param("name: A\n", "either a rule or a lookalike", id="neither"),
        pytest.param("name: A\nrule: {type: nonsense}\n", "nonsense", id="unknown type"),
        pytest.param(
            "key: a\nname: A\nrule: {type: in_audience, audience: a}\n", "a -> a", id="circle"
        ),
    ],
)
def test_unreadable_audiences_are_named(
    api: StandInApi, tmp_path: Path, text: str, message: str
) -> None:
    """The message holds the file and what is wrong, and nothing is sent."""
    (tmp_path / "a.yaml").write_text(text, encoding="utf-8")
    result = run(api, "audience", "plan", tmp_path)
    assert result.exit_code == 1
    assert str(tmp_path / "a.yaml") in result.stderr
    assert message in result.stderr
    assert api.asked == []


@pytest.mark.parametrize(
    ("statuses", "exit_code"),
    [
        pytest.param(["ok", "ok"], 0, id="all"),
        pytest.param(["ok", "failed"], 4, id="one failed"),
        pytest.param(["failed", "failed"], 1, id="all failed"),
    ],
)
def test_builds_are_waited_for(api: StandInApi, statuses: list[str], exit_code: int) -> None:
    """Each run is polled to its end; the exit code tells whether all, some or none were built."""
    answers = []
    for name, status in zip("ab", statuses, strict=True):
        api.routes[f"POST /api/audiences/{name}/build"] = [(202, {"id": f"run-{name}"})]
        job = {"run": f"run-{name}", "job": "build", "detail": "", "at": None}
        answers += [(200, {"jobs": [{**job, "status": "running"}]})]
        answers += [(200, {"jobs": [{**job, "status": status}]})]
    api.routes["GET /api/jobs"] = answers
    result = run(api, "audience", "build", "a", "b")
    assert result.exit_code == exit_code
    polled = [asked.params["run"] for asked in api.asked if asked.path == "/api/jobs"]
    assert polled == ["run-a", "run-a", "run-b", "run-b"]


def test_members_are_written_as_they_come(api: StandInApi, tmp_path: Path) -> None:
    """Members go to stdout or to a file, byte for byte."""
    lines = b'{"person":"customer","crm_id":"1"}\n'
    api.routes["GET /api/audiences/a/members"] = [(200, lines)]
    assert run(api, "audience", "members", "a").stdout_bytes == lines
    path = tmp_path / "members"
    run(api, "audience", "members", "a", "--format", "arrow", "--output", path)
    assert path.read_bytes() == lines
    assert api.asked[-1].params == {"format": "arrow"}


def test_activation_and_its_end(api: StandInApi) -> None:
    """An activation names segment and lifetime; --off takes it back."""
    path = "/api/audiences/a/seats/x"
    api.routes[f"PUT {path}"] = api.routes[f"DELETE {path}"] = [(204, b"")]
    run(api, "audience", "activate", "a", "x", "--segment", "17", "--expires-days", "9")
    assert run(api, "audience", "activate", "a", "x", "--off").exit_code == 0
    assert api.bodies("PUT", path) == [{"segment": "17", "expires_days": 9}]
    assert [asked.method for asked in api.asked] == ["PUT", "DELETE"]


@pytest.mark.parametrize(
    ("statuses", "exit_code"),
    [
        pytest.param(["published", "below_min_size"], 0, id="published and too small"),
        pytest.param(["published", "failed"], 4, id="one failed"),
        pytest.param(["failed"], 1, id="all failed"),
    ],
)
def test_exports_are_waited_for(api: StandInApi, statuses: list[str], exit_code: int) -> None:
    """A run is polled until it ends, and failed seats show in the exit code."""
    seats = [{"seat": f"s{n}", "status": status} for n, status in enumerate(statuses)]
    api.routes["POST /api/exports"] = [(202, {"run": 5})]
    api.routes["GET /api/exports/5"] = [
        (200, {"run": 5, "status": "queued", "seats": []}),
        (200, {"run": 5, "status": "ok", "seats": seats}),
    ]
    result = run(api, "export", "run", "--seat", "s0", "--json")
    assert result.exit_code == exit_code
    assert api.bodies("POST", "/api/exports") == [{"dry_run": False, "seats": ["s0"]}]
    assert msgspec.json.decode(result.stdout)["seats"] == seats


def test_an_unknown_partner_is_not_found(api: StandInApi) -> None:
    """The message lists those that are known."""
    api.routes["GET /api/partners"] = [(200, {"partners": [{"key": "xandr"}]})]
    result = run(api, "partner", "show", "nobody")
    assert result.exit_code == 3
    assert "xandr" in result.stderr


def test_erasure_is_asked_about_first(api: StandInApi) -> None:
    """Without --yes a refusal at the prompt sends nothing."""
    api.routes["POST /api/privacy/erase"] = [(202, {"receipt": 9})]
    assert run(api, "privacy", "erase", "123456").exit_code == 1
    assert api.asked == []
    result = run(api, "privacy", "erase", "123456", "--yes", "--json")
    assert msgspec.json.decode(result.stdout) == {"receipt": 9}
    assert api.bodies("POST", "/api/privacy/erase") == [{"id": "123456"}]


def test_an_identity_card_shows_browsers_ids_and_audiences(api: StandInApi) -> None:
    """The card of the customer names what each partner knows."""
    ids = [{"partner": "xandr", "id_space": "xandr", "id": "X7", "seen": "2026-11-20"}]
    visitor = {"visitor": "aa", "last_seen": "2026-11-20", "links": [], "ids": ids}
    card = {
        "person": "customer",
        "crm_id": "123456",
        "traits": {"age": 26},
        "visitors": [visitor],
        "partners": [{"partner": "xandr", "status": "addressable"}],
        "audiences": ["champions"],
        "events": [],
        "exports": [{"seat": "x", "segment": "17", "held_since": "2026-11-20"}],
    }
    api.routes["GET /api/identity/123456"] = [(200, card)]
    out = run(api, "identity", "show", "123456").stdout
    for text in ("123456", "champions", "X7", "addressable"):
        assert text in out


def test_a_job_is_run_to_its_end(api: StandInApi) -> None:
    """A failed job exits 1 with its detail."""
    api.routes["POST /api/jobs/load/run"] = [(202, {"run": 3})]
    failed = {"run": 3, "job": "load", "status": "failed", "detail": "disk full", "at": None}
    api.routes["GET /api/jobs"] = [(200, {"jobs": []}), (200, {"jobs": [failed]})]
    result = run(api, "jobs", "run", "load")
    assert result.exit_code == 1
    assert "load failed: disk full" in result.stderr


def test_a_lookalike_takes_one_size(api: StandInApi) -> None:
    """Size and percent together are a mistake of usage; one of them is sent."""
    assert run(api, "lookalike", "preview", "a", "--size", "9", "--percent", "1").exit_code == 2
    api.routes["PUT /api/lookalikes/twins"] = [(200, {})]
    args = ("lookalike", "save", "twins", "a", "--percent", "5", "--exclude", "b")
    assert run(api, *args).exit_code == 0
    assert api.bodies("PUT", "/api/lookalikes/twins") == [
        {"name": "twins", "seed": "a", "method": "auto", "percent": 5.0, "exclude": ["b"]}
    ]


def test_bins_of_a_saved_lookalike_are_no_change(api: StandInApi, tmp_path: Path) -> None:
    """The server keeps where numbers were cut; a file that does not say so plans nothing."""
    twins = {"seed": "a", "percent": 5.0}
    for name in ("kept", "other"):
        definition = {"name": name, "lookalike": twins}
        (tmp_path / f"{name}.json").write_bytes(msgspec.json.encode(definition))
    edges = {"edges": {"age": [25.0, 40.0]}}
    existing = [
        {"key": "kept", "name": "kept", "lookalike": twins | edges},
        {"key": "other", "name": "other", "lookalike": twins | edges | {"percent": 6.0}},
    ]
    api.routes["GET /api/audiences"] = [(200, {"audiences": existing})]
    planned = msgspec.json.decode(run(api, "audience", "plan", tmp_path, "--json").stdout)
    assert [(each["key"], each["change"]) for each in planned] == [
        ("kept", "same"),
        ("other", "changed"),
    ]


def test_a_sketch_is_written_to_its_file(api: StandInApi, tmp_path: Path) -> None:
    """The salt is read from a file and sent without its line end; what comes back is kept."""
    sketch = {"id_space": "xandr", "people": 3_000, "signature": "AAAA"}
    api.routes["POST /api/lookalikes/sketch"] = [(200, sketch)]
    (tmp_path / "salt").write_text("sixteen letters!\n")
    args = ("--seat", "xandr_958", "--salt-file", tmp_path / "salt", "--out", tmp_path / "out")
    result = run(api, "lookalike", "sketch", "a", *args)
    assert result.exit_code == 0
    assert msgspec.json.decode((tmp_path / "out").read_bytes()) == sketch
    assert "3,000 ids of xandr" in result.stderr
    assert api.bodies("POST", "/api/lookalikes/sketch") == [
        {"audience": "a", "seat": "xandr_958", "salt": "sixteen letters!"}
    ]


def test_a_key_is_printed_alone(api: StandInApi) -> None:
    """The key itself is the only data on stdout."""
    api.routes["POST /api/keys"] = [(201, {"id": 1, "key": "jk_1"})]
    result = run(api, "key", "create", "--scope", "audiences:read", "--name", "report")
    assert result.stdout == "jk_1\n"
    assert api.bodies("POST", "/api/keys") == [
        {"name": "report", "scopes": ["audiences:read"], "sites": []}
    ]
