"""Turns the text of a rule or audience, JSON or YAML, into plain values of bounded size.

Out come dicts, lists and scalars that may safely be converted; what they mean is for `rule.py` to
say.
"""

import math
from typing import Final

import msgspec
import yaml

SOURCE_BYTES_MAX: Final = 1 << 20
SOURCE_ITEMS_MAX: Final = 50_000
"""A YAML text may name one node many times; so many are looked at before it is refused."""
SOURCE_LEVELS_MAX: Final = 48
"""Plain levels: each level of a rule has two."""


class RuleError(ValueError):
    """A rule or audience cannot be read; the message names the place and what was expected."""


def plain_values(source: object) -> object:
    """Parse text to plain values, and refuse what is too large to be looked at."""
    plain = _parsed(source) if isinstance(source, str | bytes) else source
    left, rows = SOURCE_ITEMS_MAX, [(plain, 0)]
    while rows:
        each, depth = rows.pop()
        left -= 1
        if left < 0 or depth > SOURCE_LEVELS_MAX:
            raise RuleError("This is no rule: it has too many values or is nested too deeply")
        if isinstance(each, dict):
            rows.extend((value, depth + 1) for value in each.values())
        elif isinstance(each, list | tuple):
            rows.extend((value, depth + 1) for value in each)
        elif isinstance(each, float) and not math.isfinite(each):
            raise RuleError(f"A number in a rule must be finite, found {each}")
    return plain


def _parsed(text: str | bytes) -> object:
    if len(text) > SOURCE_BYTES_MAX:
        raise RuleError(f"The text has {len(text)} bytes; at most {SOURCE_BYTES_MAX} are read")
    try:
        if text.lstrip()[:1] in {"{", b"{"}:
            return msgspec.json.decode(text)
        _check_levels(text)
        return msgspec.yaml.decode(text)
    except (msgspec.DecodeError, yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise RuleError(f"The text is neither JSON nor YAML: {error}") from None


def _check_levels(text: str | bytes) -> None:
    """Refuse deep YAML before it is composed: libyaml's composer overflows the stack of C."""
    level = 0
    for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        level += isinstance(event, yaml.CollectionStartEvent)
        level -= isinstance(event, yaml.CollectionEndEvent)
        if level > SOURCE_LEVELS_MAX:
            raise RuleError("This is no rule: it is nested too deeply")
