"""Cuts a batch that is no good JSON into its messages, so that one bad message spoils no other.

Bytes come in, each message's own bytes go out; whether they are good is judged elsewhere. Python's
own JSON writes NaN and lone surrogates, which is how such batches come about.
"""

import json
import re
from typing import Any, Final

import msgspec

_decoder: Final = json.JSONDecoder()
_SPACE: Final = re.compile(r"[ \t\n\r]*")


class CutBatch(msgspec.Struct, frozen=True, kw_only=True):
    """The messages' bytes, and what else stood in the batch."""

    messages: list[bytes]
    others: dict[str, Any]


def cut_batch(body: bytes) -> CutBatch:
    """Cut a list, or the `batch` of an object; raise ValueError or RecursionError if it cannot."""
    # Why escapes: bytes that are no UTF-8 must reach their own message, and come out as they were.
    text = body.decode(errors="surrogateescape")
    place = _next(text, 0)
    others: dict[str, Any] = {}
    if text.startswith("[", place):
        messages, place = _items(text, place)
    else:
        messages, place = _members(text, place, others)
    if place != len(text):
        raise ValueError(f"something follows the batch at character {place}")
    cut = [each.encode(errors="surrogateescape") for each in messages]
    return CutBatch(messages=cut, others=others)


def _members(text: str, place: int, others: dict[str, Any]) -> tuple[list[str], int]:
    messages: list[str] | None = None
    place = _after(text, place, "{")
    while not text.startswith("}", place):
        name, place = _value(text, place)
        place = _after(text, place, ":")
        if name == "batch" and text.startswith("[", place) and messages is None:
            messages, place = _items(text, place)
        else:
            others[str(name)], place = _value(text, place)
        if text.startswith("}", place):
            break
        place = _after(text, place, ",")
    if messages is None:
        raise ValueError("there is no list `batch`")
    return messages, _after(text, place, "}")


def _items(text: str, place: int) -> tuple[list[str], int]:
    found: list[str] = []
    place = _after(text, place, "[")
    while not text.startswith("]", place):
        start = place
        _, place = _decoder.raw_decode(text, place)
        found.append(text[start:place])
        place = _next(text, place)
        if text.startswith("]", place):
            break
        place = _after(text, place, ",")
    return found, _after(text, place, "]")


def _value(text: str, place: int) -> tuple[Any, int]:
    value, place = _decoder.raw_decode(text, place)
    return value, _next(text, place)


def _after(text: str, place: int, sign: str) -> int:
    if not text.startswith(sign, place):
        raise ValueError(f"expected {sign} at character {place}")
    return _next(text, place + 1)


def _next(text: str, place: int) -> int:
    found = _SPACE.match(text, place)
    return found.end() if found else place
