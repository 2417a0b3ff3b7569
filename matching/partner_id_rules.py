"""Tell a real id of a partner from the many ways of saying "nobody".

Comes in: the partner's rules and what its call carried. Goes out: one status. Stores nothing.
"""

import re
from enum import StrEnum
from functools import cache
from typing import Final
from urllib.parse import unquote

from matching.partner_facts import IdRules, Partner


class IdStatus(StrEnum):
    """What became of an id that a partner sent."""

    OK = "ok"
    EMPTY = "empty"
    SENTINEL = "sentinel"
    LITERAL_MACRO = "literal_macro"
    TOO_SHORT = "too_short"
    TOO_LONG = "too_long"
    BAD_PATTERN = "bad_pattern"


def check_partner_id(partner: Partner, text: str) -> IdStatus:
    """Judge what a partner sent as its id of a visitor."""
    if not text:
        return IdStatus.EMPTY
    if _is_macro(partner.sync.user_macro, text):
        return IdStatus.LITERAL_MACRO
    return check_shape(partner.ids, text)


def check_shape(rules: IdRules, text: str) -> IdStatus:
    """Judge a text by the rules of its id space alone."""
    if text in rules.sentinels or NOBODY.fullmatch(text):
        return IdStatus.SENTINEL
    if len(text) < rules.length_min:
        return IdStatus.TOO_SHORT
    if len(text) > rules.length_max:
        return IdStatus.TOO_LONG
    return IdStatus.OK if _compiled(rules.pattern).fullmatch(text) else IdStatus.BAD_PATTERN


NOBODY: Final = re.compile(
    r"[0-]+|-1|null|undefined|none|nil|nan|true|false|unknown|anonymous|opt(ed)?[-_ ]?out",
    re.IGNORECASE,
)
_NAME: Final = "[A-Za-z_]+[0-9]{0,2}"
MACRO_SHAPES: Final = re.compile(
    rf"\$\$?{_NAME}(\$\$)?|\$?\{{+{_NAME}(\.{_NAME})*\}}+|\[{_NAME}\]|%%?{_NAME}%%?|<{_NAME}>"
    r"|#[A-Za-z_]+|__[A-Za-z]+__|@[A-Za-z]+@|33X[A-Z]+33X"
)


def _is_macro(macro: str, text: str) -> bool:
    # Why twice: a partner that does not know its macro hands it back as often encoded as it came.
    once = unquote(text)
    forms = {text, once, unquote(once)}
    return bool(macro and macro in forms) or any(map(MACRO_SHAPES.fullmatch, forms))


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.ASCII)
