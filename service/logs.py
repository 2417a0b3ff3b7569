"""The log: one JSON object a line on stderr, with time, level, logger, message and fields.

Never personal data: a message is a constant sentence, what varies stands in `fields`, and of an
error its type, its places in the code and a text without addresses, ids and quoted values.
"""

import json
import logging
import re
import sys
import traceback
from datetime import UTC, datetime
from typing import Any, Final

TEXT_LENGTH_MAX: Final = 300
PLACES_MAX: Final = 12
HIDDEN: Final = "..."
PERSONAL: Final = re.compile(
    r"""
      '[^'\n]*' | "[^"\n]*" | `[^`\n]*`      # what an error quotes is what somebody sent
    | [^\s@]+@[^\s@]+                        # e-mail addresses
    | \d{1,3}(?:\.\d{1,3}){3}                # IPv4
    | [0-9a-fA-F]*:[0-9a-fA-F]*:[0-9a-fA-F:]+  # IPv6
    | [A-Za-z0-9_+/=.-]{20,}                 # cookies, tokens, hashes
    | \d{5,}                                 # ids, phones
    """,
    re.VERBOSE,
)


def configure_logging() -> None:
    """Send what everything in this process logs to stderr as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("jumelle").setLevel(logging.INFO)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        other = logging.getLogger(name)
        other.handlers.clear()
        other.propagate = True
    logging.captureWarnings(capture=True)


def fields(**values: Any) -> dict[str, Any]:
    """Give the `extra` of a log call: numbers, names of things and reasons, never of people."""
    return {"fields": values}


def without_people(text: str) -> str:
    """Take out of a text whatever may tell of a person."""
    return PERSONAL.sub(HIDDEN, text)[:TEXT_LENGTH_MAX]


class JsonLines(logging.Formatter):
    """Writes a record as one line."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the line."""
        ours = record.name.startswith("jumelle")
        message = record.getMessage()
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            # Why: our messages are constant; what a library says may hold what somebody sent.
            "message": message if ours else without_people(message.partition("\n")[0]),
        }
        given = getattr(record, "fields", None)
        if given:
            line["fields"] = given
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = described(record.exc_info[1])
        return json.dumps(line, default=str)


def described(problem: BaseException) -> dict[str, Any]:
    """Tell an error's type, where it came from and what it says, without values of people."""
    frames = traceback.extract_tb(problem.__traceback__)[-PLACES_MAX:]
    return {
        "type": type(problem).__name__,
        "text": without_people(str(problem)),
        "places": [f"{_module(each.filename)}:{each.lineno} {each.name}" for each in frames],
    }


def _module(path: str) -> str:
    return "/".join(path.rsplit("/", 2)[-2:])
