"""The log: JSON lines that say what failed and where, and nothing of people."""

import json
import logging

import pytest

from service.logs import JsonLines, fields, without_people


def line_of(message: str, *, logger: str = "jumelle.engine", extra: object = None) -> object:
    record = logging.LogRecord(logger, logging.ERROR, __file__, 1, message, None, None)
    if extra:
        record.__dict__.update(extra)  # type: ignore[call-overload]
    return json.loads(JsonLines().format(record))


def test_a_line_has_time_level_logger_message_and_fields() -> None:
    """Everything that a machine asks of a line stands under its own name."""
    line = line_of("a run failed", extra=fields(job="load", run=7))
    assert isinstance(line, dict)
    assert line.pop("time").startswith("20")
    assert line == {
        "level": "error",
        "logger": "jumelle.engine",
        "message": "a run failed",
        "fields": {"job": "load", "run": 7},
    }


@pytest.mark.parametrize(
    "told",
    [
        "paul@example.com",
        "198.51.100.23",
        "2001:db8::8a2e:370:7334",
        "0612345678",
        "123456",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTYifQ.abc",
        "'Paul'",
        '"Paul"',
    ],
)
def test_what_tells_of_a_person_is_taken_out(told: str) -> None:
    """Addresses, numbers, tokens and quoted values never reach the log."""
    said = without_people(f"row 12 could not be read: {told} at column 3")
    assert said == "row 12 could not be read: ... at column 3"


def test_an_error_is_told_by_type_and_place() -> None:
    """A traceback becomes places in the code; what the error quotes is left out."""
    try:
        int("paul@example.com")
    except ValueError as problem:
        record = logging.LogRecord(
            "uvicorn.error", logging.ERROR, __file__, 1, "It failed for paul@example.com", None,
            (type(problem), problem, problem.__traceback__),
        )  # fmt: skip
    text = JsonLines().format(record)
    line = json.loads(text)
    assert "paul" not in text
    assert line["message"] == "It failed for ..."
    assert line["error"]["type"] == "ValueError"
    assert line["error"]["places"][0].startswith("service/test_logs.py:")
