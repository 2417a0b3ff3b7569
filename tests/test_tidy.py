"""A few rules that no linter knows: names, SQL's place, tables and floors, left-overs."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

ROOT = Path(__file__).parents[1]
PACKAGES = ("matching", "audiences", "service")
FLOORS = {"matching": 0, "audiences": 1, "service": 2}
BANNED_FILES = {"common", "utils", "core", "models", "manager", "services"}
BANNED_NAMES = {
    "user_id",
    "cookie_id",
    "external_id",
    "uuid",
    "cohort",
    "dpuuid",
    "mapping",
    "profile",
}
ALLOWED_NAMES = {
    # Segment's own field, read from the wire under its own name.
    ("service/tag/messages.py", "user_id"),
    ("service/engine/chunk_rows.py", "user_id"),
}
UNBOUNDED_EVENT_QUERIES = {
    # Point reads by owner or chunk, erasure, and catalogues: small by key, not by time.
    "erase_events",
    "erase_keep_others_events",
    "event_catalogue",
    "event_rows_named",
    "event_rows_of_chunk",
    "message_hashes",
    "bots",
    "owners_on_site",
}
FUNCTION_LINES_MAX = 60
FILE_LINES_MAX = 400


def sources() -> Iterator[Path]:
    """Give every Python file of the three packages."""
    for package in PACKAGES:
        yield from sorted((ROOT / package).rglob("*.py"))


def sql_files() -> list[Path]:
    """Give every query and schema file."""
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.sql"))


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_no_file_has_a_name_that_says_nothing() -> None:
    """No module is called utils or the like."""
    assert [relative(path) for path in sources() if path.stem in BANNED_FILES] == []


def test_no_bare_word_with_two_meanings_is_a_name() -> None:
    """Names that could mean two things are not used, anywhere."""
    found = {
        (relative(path), name)
        for path in sources()
        for name in _names(ast.parse(path.read_text(encoding="utf-8")))
        if name in BANNED_NAMES
    }
    assert found - ALLOWED_NAMES == set()


def _names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


def test_files_and_functions_stay_short() -> None:
    """No function is longer than a screen, no file longer than a sitting."""
    long = []
    for path in sources():
        text = path.read_text(encoding="utf-8")
        if text.count("\n") > FILE_LINES_MAX:
            long.append(f"{relative(path)}: {text.count(chr(10))} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > FUNCTION_LINES_MAX:
                    long.append(f"{relative(path)}:{node.lineno} {node.name}: {lines} lines")
    assert long == []


def test_every_module_says_what_it_is() -> None:
    """Each module begins with a docstring."""
    bare = [
        relative(path)
        for path in sources()
        if path.read_text(encoding="utf-8").strip()
        and not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert bare == []


def test_every_query_says_what_it_is() -> None:
    """Each .sql file begins with a comment."""
    bare = [relative(p) for p in sql_files() if not p.read_text(encoding="utf-8").startswith("--")]
    assert bare == []


def test_clickhouse_is_reached_from_stores_alone() -> None:
    """Only `*_store.py`, `*_stores.py` and the engine import the driver."""
    reaching = [
        relative(path)
        for path in sources()
        if re.search(r"^(from|import) (clickhouse_connect|chdb)", path.read_text(), re.MULTILINE)
        and not path.stem.endswith("_store")
        and not relative(path).startswith("service/engine/")
    ]
    assert reaching == []


def test_queries_stay_on_their_floor() -> None:
    """A package's queries name its own tables or those of a lower floor."""
    owner = _table_owners()
    wrong = []
    for path in sql_files():
        package = relative(path).split("/")[0]
        text = re.sub(r"--.*", "", path.read_text(encoding="utf-8"))
        named = re.findall(r"\b(?:from|join|into|update|table)\s+(\w+)", text, re.IGNORECASE)
        wrong += [
            f"{relative(path)} names {table} of {owner[table]}"
            for table in named
            if table in owner and FLOORS[owner[table]] > FLOORS[package]
        ]
    assert wrong == []


def _table_owners() -> dict[str, str]:
    owners = {}
    for path in sql_files():
        if path.parent.name == "tables":
            made = re.search(r"create table (\w+)", path.read_text(encoding="utf-8"))
            if made:
                owners[made[1]] = relative(path).split("/")[0]
    return owners


def test_queries_on_events_are_bounded_or_listed() -> None:
    """What reads `events` is bounded in time, or stands on the short list with its reason."""
    unbounded = []
    for path in sql_files():
        text = path.read_text(encoding="utf-8")
        reads = path.parent.name == "sql" and re.search(r"\b(from|table|update) events\b", text)
        bounded = path.stem in UNBOUNDED_EVENT_QUERIES or re.search(r"\b(day|at)\b", text)
        if reads and not bounded:
            unbounded.append(path.stem)
    assert unbounded == []


@pytest.mark.clickhouse
def test_every_query_is_understood_by_the_engine(database: Any) -> None:
    """Each query parses on a real ClickHouse."""
    client: Client = database.client()
    for path in sql_files():
        if path.parent.name == "sql":
            found = client.query(
                "select formatQuery({q:String})", parameters={"q": path.read_text("utf-8")}
            )
            assert found.result_rows, relative(path)


def test_nothing_is_left_for_later_in_the_code() -> None:
    """No left-over notes stand in code, queries or configuration."""
    notes = re.compile(
        r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "X" * 3, "HA" + "CK"]) + r")\b"
    )
    listed = subprocess.run(
        ["git", "ls-files", "*.py", "*.js", "*.sql", "*.toml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    found = [
        name
        for name in listed
        if (ROOT / name).exists()
        and not name.startswith("tag_sdk/dist/")
        and notes.search((ROOT / name).read_text(encoding="utf-8"))
    ]
    assert found == []
