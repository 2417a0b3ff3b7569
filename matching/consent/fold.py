"""What all signals of one visitor say together: a denial outlives signals that do not answer it.

Signals go in, newest first; one `Signals` comes out. Kind by kind the newest message that has the
kind speaks, so that a later message of another kind takes nothing back. Which of the kinds wins
stands in `decide.py`.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from matching.consent.signals import Signals

US_PRIVACY_DOES_NOT_APPLY: Final = "1---"


def fold(newest_first: Iterable[Signals]) -> Signals:
    """Fold a visitor's signals, newest first; repeats of the same signals change nothing.

    - TCF and GPP: the newest message with an applying law, or with a string and no word that none
      applies. "Does not apply" is no answer of the visitor, whatever string comes with it, and
      counts only while there was never another.
    - US privacy: the newest string that answers; "1---" says that the law does not apply.
    - `explicit`: key by key, the newest answer.
    - GPC: the newest message of a browser; a server cannot see the header.
    - The opt-out: stays for ever. Who wants back in gets a new cookie, and is a new visitor.
    - The country: the newest that was known.
    """
    rows = list(newest_first)
    tcf = _first(
        rows,
        lambda row: row.gdpr is True or (bool(row.tcf) and row.gdpr is None),
        lambda row: bool(row.tcf) or row.gdpr is not None,
    )
    gpp = _first(
        rows,
        lambda row: max(row.gpp_sid, default=0) > 0 or (bool(row.gpp) and not _none_applies(row)),
        lambda row: bool(row.gpp) or bool(row.gpp_sid),
    )
    us_privacy = _first(
        rows,
        lambda row: bool(row.us_privacy) and row.us_privacy != US_PRIVACY_DOES_NOT_APPLY,
        lambda row: bool(row.us_privacy),
    )
    explicit: dict[str, bool] = {}
    for row in rows:
        explicit = (row.explicit or {}) | explicit
    return Signals(
        tcf=tcf.tcf,
        gdpr=tcf.gdpr,
        gpp=gpp.gpp,
        gpp_sid=gpp.gpp_sid,
        us_privacy=us_privacy.us_privacy,
        gpc=next((row.gpc for row in rows if not row.by_server or row.gpc), False),
        explicit=explicit or None,
        opted_out=any(row.opted_out for row in rows),
        country=next((row.country for row in rows if row.country), ""),
    )


def _none_applies(row: Signals) -> bool:
    return min(row.gpp_sid, default=0) < 0


def _first(rows: Sequence[Signals], *wanted: Callable[[Signals], bool]) -> Signals:
    """Give the newest row of the first test that any row passes."""
    return next((row for test in wanted for row in rows if test(row)), Signals())
