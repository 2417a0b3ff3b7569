"""Consent signals as texts and choices of a known form; what has another form could be anything.

Strings of a stranger come in, what may be kept of them goes out.
"""

import re
from typing import Final

from matching.consent.google import GOOGLE_KEYS, read_google_choice

EXPLICIT_KEYS: Final = frozenset({"store", "audiences", "sync", "personalise", *GOOGLE_KEYS})
UNREADABLE_SIGNAL: Final = "unreadable"
"""Stands for a consent string in no alphabet of theirs; it denies as the string itself would."""
_SIGNAL: Final = re.compile(r"[A-Za-z0-9_.~=-]*")


def signal_text(text: str) -> str:
    """Give a consent string as it came, or what stands for one in no alphabet of theirs."""
    # Why: signals are kept as they came; what is none could be anything, an address too.
    return text if _SIGNAL.fullmatch(text.strip()) else UNREADABLE_SIGNAL


def explicit_choices(given: dict[str, bool] | None) -> dict[str, bool] | None:
    """Give the choices that there are; any other key could hold anything, an address too.

    A key written in another way permits nothing, but what it denies is denied.
    """
    if given is None:
        return None
    denied = {_plain(key) for key, answer in given.items() if not answer} & EXPLICIT_KEYS
    return {k: v for k, v in given.items() if k in EXPLICIT_KEYS} | dict.fromkeys(denied, False)


def _plain(key: str) -> str:
    return key.strip().lower().replace("ize", "ise")


def with_google(
    choices: dict[str, bool] | None, *said: str | bool | None
) -> dict[str, bool] | None:
    """Add the answers to Google's two fields; a denial in either form stands."""
    read = dict(zip(GOOGLE_KEYS, map(read_google_choice, said), strict=True))
    answers = {key: answer for key, answer in read.items() if answer is not None}
    if not answers:
        return choices
    before = choices or {}
    return before | {key: each and before.get(key, True) for key, each in answers.items()}
