"""JSON that every reader understands alike: bytes come in, the fault of them goes out.

Refused are what no reader may be sent (invalid UTF-8, lone surrogates, NaN, numbers without bound)
and what two readers would read differently (a key twice in one object, endless nesting).
"""

import json
from typing import Any, Final

import msgspec

DEPTH_MAX: Final = 32
TOO_DEEP: Final = f"nested deeper than {DEPTH_MAX} levels"

_decoder: Final = msgspec.json.Decoder()
_encoder: Final = msgspec.json.Encoder()


class _Refused(ValueError):
    pass


def json_fault(raw: bytes) -> str:
    """Say what is wrong with these bytes as JSON; empty when nothing is."""
    try:
        tree = _decoder.decode(raw)
        if raw.count(b"{") + raw.count(b"[") > DEPTH_MAX and _is_deeper(tree, DEPTH_MAX):
            return TOO_DEEP
        if not _is_plain(raw, tree):
            json.loads(raw, object_pairs_hook=_once, parse_constant=_no_constant)
    except RecursionError:
        return TOO_DEEP
    except ValueError as problem:  # what msgspec, UTF-8 and int() raise are all ValueErrors
        return f"not readable as JSON: {problem}"
    return ""


def _is_plain(raw: bytes, tree: Any) -> bool:
    # Why: equal bytes after a round trip prove that no key was lost, at a fifth of the cost of
    # looking at each; only unusual spellings (escapes, 1e3) take the long way.
    try:
        written = _encoder.encode(tree)
        return written == raw or written == msgspec.json.format(raw, indent=-1)
    except OverflowError:
        return False  # a whole number of more than 64 bits


def _is_deeper(tree: Any, levels: int) -> bool:
    if not isinstance(tree, dict | list):
        return False
    if not levels:
        return True
    inside = tree.values() if isinstance(tree, dict) else tree
    return any(_is_deeper(each, levels - 1) for each in inside)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _Refused(f"the key {twice[:40]!r} stands twice in one object")
    return found


def _no_constant(name: str) -> None:
    raise _Refused(f"{name} is no JSON number")
