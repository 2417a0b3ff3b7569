"""What all signals of one visitor say together: a denial outlives signals that do not answer it.

Signals go in, newest first; one `Signals` comes out. Kind by kind the newest message that has the
kind speaks, so that a later message of another kind takes nothing back. Which of the kinds wins
stands in `decide.py`.
"""

from collections.abc import Iterable
from typing import Final

import msgspec

from matching.consent.signals import Signals

US_PRIVACY_DOES_NOT_APPLY: Final = "1---"
SILENT, DOES_NOT_APPLY, ANSWERS = range(3)
"""How much a message weighs for one kind of signal; of equals the newest speaks."""


def fold(newest_first: Iterable[Signals]) -> Signals:
    """Fold a visitor's signals, newest first; repeats of the same signals change nothing.

    - TCF and GPP: the newest message with an applying law, or with a string and no word that none
      applies. "Does not apply" is no answer of the visitor, whatever string comes with it, and
      counts only while there was never another; of the GDPR it is not even said from the EEA.
    - US privacy: the newest string that answers; "1---" says that the law does not apply.
    - `explicit`: key by key, the newest answer.
    - GPC: the newest message of a browser; a server cannot see the header.
    - The opt-out: stays for ever. Who wants back in gets a new cookie, and is a new visitor.
    - The country: the newest that was known.
    """
    rows = list(newest_first) or [Signals()]
    tcf = max(rows, key=_weight_of_tcf)  # of equals the first, the newest
    gpp = max(rows, key=_weight_of_gpp)
    us_privacy = max(rows, key=_weight_of_us_privacy)
    explicit: dict[str, bool] = {}
    for row in rows:
        if row.explicit:
            explicit = row.explicit | explicit
    folded = Signals(
        tcf=tcf.tcf,
        gdpr=tcf.gdpr_applies,
        gpp=gpp.gpp,
        gpp_sid=gpp.gpp_sid,
        us_privacy=us_privacy.us_privacy,
        gpc=next((row.gpc for row in rows if not row.by_server or row.gpc), False),
        explicit=explicit or None,
        opted_out=any(row.opted_out for row in rows),
        country=next((row.country for row in rows if row.country), ""),
    )
    # Why again: that none applies may have been said before the country was known.
    return msgspec.structs.replace(folded, gdpr=folded.gdpr_applies)


def _weight_of_tcf(row: Signals) -> int:
    applies = row.gdpr_applies
    if applies is True or (row.tcf and applies is None):
        return ANSWERS
    return DOES_NOT_APPLY if row.tcf or applies is not None else SILENT


def _weight_of_gpp(row: Signals) -> int:
    sections = row.gpp_sid
    if max(sections, default=0) > 0 or (row.gpp and min(sections, default=0) >= 0):
        return ANSWERS
    return DOES_NOT_APPLY if row.gpp or sections else SILENT


def _weight_of_us_privacy(row: Signals) -> int:
    if row.us_privacy and row.us_privacy != US_PRIVACY_DOES_NOT_APPLY:
        return ANSWERS
    return DOES_NOT_APPLY if row.us_privacy else SILENT
