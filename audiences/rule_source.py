"""Turns the text of a rule or audience, JSON or YAML, into plain values of bounded size.

Out come dicts, lists and scalars that may safely be converted; what they mean is for `rule.py` to
say. A key may stand once in an object, and YAML reads scalars as JSON does: `no` and `12:30` are
texts.
"""

import json
import math
import re
from collections.abc import Hashable
from typing import Any, Final, NoReturn

import yaml

SOURCE_BYTES_MAX: Final = 1 << 20
SOURCE_ITEMS_MAX: Final = 50_000
"""A YAML text may name one node many times; so many are looked at before it is refused."""
SOURCE_LEVELS_MAX: Final = 48
"""Plain levels: each level of a rule has two."""
TEXT_CHARS_MAX: Final = 2_000
NUMBER_MAX: Final = 1 << 53
"""Beyond it not every number has a place of its own, so what is that long is an id, and a text."""


class RuleError(ValueError):
    """A rule or audience cannot be read; the message names the place and what was expected."""


def plain_values(source: object) -> object:
    """Parse text to plain values, and refuse what is too large to be looked at."""
    plain = _parsed(source) if isinstance(source, str | bytes) else source
    left, rows = SOURCE_ITEMS_MAX, [(plain, 0, "$")]
    while rows:
        each, depth, path = rows.pop()
        left -= 1
        if left < 0 or depth > SOURCE_LEVELS_MAX:
            raise RuleError("This is no rule: it has too many values or is nested too deeply")
        if isinstance(each, dict):
            rows.extend((value, depth + 1, f"{path}.{key}") for key, value in each.items())
        elif isinstance(each, list | tuple):
            rows.extend((value, depth + 1, f"{path}[{i}]") for i, value in enumerate(each))
        elif fault := _fault_of(each):
            raise RuleError(f"This is no valid rule: {fault} - at `{path}`")
    return plain


def _fault_of(found: object) -> str:
    """Say what no text and no number of a rule may be."""
    if isinstance(found, str):
        if len(found) > TEXT_CHARS_MAX:
            return f"A text has at most {TEXT_CHARS_MAX} characters, found {len(found)}"
        if not found.isascii() and any("\ud800" <= char <= "\udfff" for char in found):
            return f"A text holds half a character, found {found[:40]!r}"
    elif isinstance(found, float) and not math.isfinite(found):
        return f"A number must be finite, found {found}"
    elif isinstance(found, int | float) and abs(found) > NUMBER_MAX:
        return "A number is at most 2^53 on either side of 0; write a longer id as a text"
    return ""


def _parsed(source: str | bytes) -> object:
    if len(source) > SOURCE_BYTES_MAX:
        raise RuleError(f"The text has {len(source)} bytes; at most {SOURCE_BYTES_MAX} are read")
    try:
        text = source.decode("utf-8-sig") if isinstance(source, bytes) else source
        return _from_json(text) if text.lstrip()[:1] == "{" else _from_yaml(text)
    except RuleError:
        raise
    # Why ValueError: an integer of more digits than Python reads is one.
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        raise RuleError(f"The text is neither JSON nor YAML: {error}") from None


def _from_json(text: str) -> object:
    """Read JSON; what only looks like it may be YAML's short form."""
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        try:
            return _from_yaml(text)
        except yaml.YAMLError:
            raise error from None


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise RuleError(f"The key {key!r} stands twice in one object; keep one of them")
        found[key] = value
    return found


def _refuse_constant(found: str) -> NoReturn:
    raise RuleError(f"A number in a rule must be finite, found {found}")


def _from_yaml(text: str) -> object:
    """Read YAML, but refuse deep one before it is composed: libyaml's composer would overflow."""
    level = 0
    for event in yaml.parse(text, Loader=PlainLoader):
        level += isinstance(event, yaml.CollectionStartEvent)
        level -= isinstance(event, yaml.CollectionEndEvent)
        if level > SOURCE_LEVELS_MAX:
            raise RuleError("This is no rule: it is nested too deeply")
    return yaml.load(text, Loader=PlainLoader)  # noqa: S506 - it builds plain values only


class PlainLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Reads YAML's plain values; merged keys, which can multiply without end, are none."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - filled below, once

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Merge nothing."""

    def construct_mapping(
        self, node: yaml.MappingNode, deep: bool = False
    ) -> dict[Hashable, object]:
        """Build an object whose keys are scalars and stand once."""
        seen: set[str] = set()
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise RuleError(f"A key is a text; found a list or an object in line {line}")
            if key.value in seen:
                raise RuleError(
                    f"The key {key.value!r} stands twice in one object, again in line {line}; "
                    "keep one of them"
                )
            seen.add(key.value)
        found: dict[Hashable, object] = super().construct_mapping(node, deep)
        return found


for _kind, _pattern, _first in (
    ("null", r"^(?:~|null|)$", ["~", "n", ""]),
    ("bool", r"^(?:true|false)$", list("tf")),
    ("int", r"^-?(?:0|[1-9][0-9]*)$", list("-0123456789")),
    ("float", r"^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?$", list("-0123456789")),
    ("float", r"^[-+]?\.(?:inf|nan)$", list("-+.")),
):
    PlainLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", re.compile(_pattern), _first)
