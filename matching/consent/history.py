"""What each of a visitor's stored answers meant: which uses were allowed once it was given.

Rows of signals go in, newest first, and what stood before them; one `Answer` a row comes out. Each
is judged together with all that was said before it, by the lists and the date of today.
"""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from matching.consent.decide import Decision, PartnerConsent, Signal, Signals, Use
from matching.consent.fold import fold
from matching.consent.google import GOOGLE_KEYS
from matching.consent.signals import SignalsError, decode_signals

Decide = Callable[[Signals, Use, PartnerConsent | None, str], Decision]
"""Given by the caller, who knows each site's default and the vendor lists; the text is the site."""

UNREADABLE: Final = "unreadable"


class ConsentRow(msgspec.Struct, frozen=True, kw_only=True):
    """One change of a visitor's consent, as it is stored."""

    received_at_ms: int
    signals: str
    site: str


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What one visitor's signals say together, and the site of the newest; `None` cannot be read.

    A row that cannot be read denies, whatever else was said: nobody knows what it withdrew.
    """

    signals: Signals | None
    site: str


class UseAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Whether one use of our own was allowed, which signal said so, and why."""

    allowed: bool
    signal: str
    reason: str


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One stored answer: which kinds of signal it held, and what each use was from then on."""

    at_ms: int
    site: str
    kinds: tuple[str, ...]
    by_server: bool
    country: str
    signals: str
    uses: dict[str, UseAnswer]


def answers_of(
    newest_first: Sequence[ConsentRow], decide: Decide, *, before: Standing | None = None
) -> list[Answer]:
    """Tell what each row meant, newest first; `before` is what stood before the oldest of them."""
    stands = Signals() if before is None else before.signals
    found = []
    for row in reversed(newest_first):
        said = read_signals(row.signals)
        # Why it stays: nobody knows what a row that cannot be read withdrew.
        stands = None if said is None or stands is None else fold([said, stands])
        found.append(_answer(row, said, _uses(stands, row.site, decide)))
    return found[::-1]


def read_signals(text: str) -> Signals | None:
    """Read a stored text of signals; None when it cannot be read."""
    try:
        return decode_signals(text)
    except SignalsError:
        return None


def kinds_of(signals: Signals) -> tuple[Signal, ...]:
    """List the kinds of signal that a message held, in the order in which denials win."""
    explicit = signals.explicit or {}
    said = {
        Signal.OPT_OUT: signals.opted_out,
        Signal.GPC: signals.gpc,
        Signal.GPP: bool(signals.gpp) or bool(signals.gpp_sid),
        Signal.US_PRIVACY: bool(signals.us_privacy),
        Signal.TCF: bool(signals.tcf) or signals.gdpr is not None,
        Signal.EXPLICIT: any(key not in GOOGLE_KEYS for key in explicit),
        Signal.GOOGLE: any(key in GOOGLE_KEYS for key in explicit),
    }
    return tuple(kind for kind, is_said in said.items() if is_said)


def _answer(row: ConsentRow, said: Signals | None, uses: dict[str, UseAnswer]) -> Answer:
    return Answer(
        at_ms=row.received_at_ms,
        site=row.site,
        kinds=(UNREADABLE,) if said is None else kinds_of(said),
        by_server=said is not None and said.by_server,
        country="" if said is None else said.country,
        signals=row.signals,
        uses=uses,
    )


def _uses(stands: Signals | None, site: str, decide: Decide) -> dict[str, UseAnswer]:
    if stands is None:
        denied = UseAnswer(allowed=False, signal=UNREADABLE, reason=UNREADABLE)
        return {use.value: denied for use in Use}
    decisions = {use.value: decide(stands, use, None, site) for use in Use}
    return {
        use: UseAnswer(allowed=each.allowed, signal=each.signal, reason=each.reason)
        for use, each in decisions.items()
    }
