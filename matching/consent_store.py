"""Keeps what each visitor's consent signals said over time, and asks what stands about a use.

Signals are stored as `encode_signals` text, never folded and never as decisions: every question
folds (`consent/fold.py`) and decides (`consent/decide.py`) again, once for all visitors who share
what stands and the site. So a row that is taken away is as if it had never been.
"""

from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec
import numpy as np
from clickhouse_connect.driver.client import Client
from numpy.typing import NDArray
from pyroaring import BitMap

from matching.consent.decide import Decision, PartnerConsent, Reason, Use
from matching.consent.fold import fold
from matching.consent.signals import Signals, SignalsError, decode_signals, encode_signals
from matching.sql import sql

Decide = Callable[[Signals, Use, PartnerConsent | None, str], Decision]
"""Given by the caller, who knows each site's default and the vendor lists; the text is the site."""

HISTORY_ROWS_MAX: Final = 200
_ERASED_AT_ONCE_MAX: Final = 10_000


class ConsentColumns(msgspec.Struct, kw_only=True):
    """Parallel columns of the table `consents`."""

    chunk: Sequence[int]
    row: Sequence[int]
    received_at_ms: Sequence[int]
    visitor: Sequence[int]
    signals: Sequence[str]
    site: Sequence[str]


class ConsentRow(msgspec.Struct, frozen=True, kw_only=True):
    """One change of a visitor's consent, for the identity card."""

    received_at_ms: int
    signals: str
    site: str


class ConsentClass(msgspec.Struct, frozen=True, kw_only=True):
    """All visitors of whom the same signals stand at the same site; `None` cannot be read."""

    signals: Signals | None
    site: str
    visitors: BitMap


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What one visitor's signals say together, and the site of the newest; `None` cannot be read.

    A row that cannot be read denies, whatever else was said: nobody knows what it withdrew.
    """

    signals: Signals | None
    site: str


class ConsentStore:
    """The table `consents`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def insert(self, columns: ConsentColumns) -> None:
        """Append rows; the caller keeps one insert within a million rows and one month."""
        if len(columns.chunk) == 0:
            return
        self._client.insert(
            "consents",
            [
                columns.chunk,
                columns.row,
                columns.received_at_ms,
                columns.visitor,
                columns.signals,
                columns.site,
            ],
            column_names=["chunk", "row", "received_at", "visitor", "signals", "site"],
            column_oriented=True,
        )

    def rows_of_chunk(self, chunk: int) -> NDArray[np.uint32]:
        """List the rows of a chunk that are stored, ascending."""
        found = self._client.query(
            sql("consent_rows_of_chunk"), parameters={"chunk": chunk}, column_oriented=True
        )
        return np.array(found.result_set[0] if found.result_set else [], dtype=np.uint32)

    def allowed(
        self,
        partner: PartnerConsent | None,
        use: Use,
        decide: Decide,
        *,
        visitors: BitMap,
        default_site: str,
    ) -> BitMap:
        """Find which of `visitors` allow a use; those never heard of follow the default site."""
        return allowed_visitors(
            self.classes(), partner, use, decide, visitors=visitors, default_site=default_site
        )

    def denied_audiences(self, decide: Decide) -> BitMap:
        """Find the visitors whose signals forbid recording them for audiences."""
        return self.denied(Use.AUDIENCES, decide)

    def denied(self, use: Use, decide: Decide) -> BitMap:
        """Find the visitors whose signals forbid a use of our own."""
        denied = BitMap()
        for each in self.classes():
            if not _allows(each, None, use, decide):
                denied |= each.visitors
        return denied

    def opted_out(self) -> BitMap:
        """Find the visitors who opted out, of whom nothing more is kept."""
        found = self._client.query(sql("consent_opted_out"), query_formats={"String": "bytes"})
        return _bitmap_of_state(found.result_rows[0][0])

    def classes(self) -> list[ConsentClass]:
        """Read what stands for everybody once, to decide for many partners and uses."""
        said = self._texts()
        found = self._client.query(sql("consent_classes"), query_formats={"String": "bytes"})
        classes: dict[tuple[str | None, str], ConsentClass] = {}
        for history, site, state in found.result_rows:
            signals, visitors = _fold_all(map(said.get, history)), _bitmap_of_state(state)
            key = (None if signals is None else encode_signals(signals), site.decode())
            if key in classes:
                classes[key].visitors.update(visitors)
            else:
                classes[key] = ConsentClass(signals=signals, site=key[1], visitors=visitors)
        return list(classes.values())

    def _texts(self) -> dict[int, Signals]:
        """Read every text that was ever sent, by its hash; one that cannot be read is not there."""
        found = self._client.query(sql("consent_texts"), query_formats={"String": "bytes"})
        read = {key: _read(text) for key, text in found.result_rows}
        return {key: signals for key, signals in read.items() if signals is not None}

    def standing(self, visitor: int) -> Standing | None:
        """Give what stands for one visitor; None when it was never heard of."""
        found = self._client.query(
            sql("consent_standing"),
            parameters={"visitor": visitor},
            query_formats={"String": "bytes"},
        )
        for texts, site in found.result_rows:
            return Standing(signals=_folded(texts), site=site.decode())
        return None

    def history(self, visitor: int) -> list[ConsentRow]:
        """List a visitor's changes of consent, newest first."""
        found = self._client.query(
            sql("consent_history"), parameters={"visitor": visitor, "limit": HISTORY_ROWS_MAX}
        )
        return [
            ConsentRow(received_at_ms=at_ms, signals=signals, site=site)
            for at_ms, signals, site in found.result_rows
        ]

    def erase(self, visitors: Sequence[int]) -> None:
        """Remove all consents of these visitors and return when they are gone."""
        for start in range(0, len(visitors), _ERASED_AT_ONCE_MAX):
            slice_ = list(visitors[start : start + _ERASED_AT_ONCE_MAX])
            self._client.command(sql("consent_erase"), parameters={"visitors": slice_})


def allowed_visitors(
    classes: Iterable[ConsentClass],
    partner: PartnerConsent | None,
    use: Use,
    decide: Decide,
    *,
    visitors: BitMap,
    default_site: str,
) -> BitMap:
    """Decide once per class and spread the answers over `visitors`."""
    allowed = BitMap()
    unheard = visitors.copy()
    for each in classes:
        unheard -= each.visitors
        if _allows(each, partner, use, decide):
            allowed |= each.visitors
    if decide(Signals(), use, partner, default_site).allowed:
        allowed |= unheard
    return allowed & visitors


def visitors_with_gpc(classes: Iterable[ConsentClass], decide: Decide) -> BitMap:
    """Find the browsers that send Global Privacy Control, by header or inside a GPP string."""
    found = BitMap()
    for each in classes:
        if each.signals is not None and has_gpc(each.signals, each.site, decide):
            found |= each.visitors
    return found


def has_gpc(signals: Signals, site: str, decide: Decide) -> bool:
    """Tell whether these signals hold Global Privacy Control, which speaks for the customer too."""
    return signals.gpc or decide(signals, Use.EXPORT, None, site).reason is Reason.GPC


def _allows(each: ConsentClass, partner: PartnerConsent | None, use: Use, decide: Decide) -> bool:
    return each.signals is not None and decide(each.signals, use, partner, each.site).allowed


def _folded(texts: Iterable[bytes]) -> Signals | None:
    return _fold_all(map(_read, texts))


def _fold_all(newest_first: Iterable[Signals | None]) -> Signals | None:
    rows = []
    for each in newest_first:
        if each is None:
            return None
        rows.append(each)
    return fold(rows)


def _read(text: bytes) -> Signals | None:
    try:
        return decode_signals(text.decode())
    except (SignalsError, UnicodeDecodeError):
        return None


def _bitmap_of_state(state: bytes) -> BitMap:
    """Read a state of groupBitmap: a short list of numbers, or a roaring bitmap behind its size."""
    if state[0] == 0:
        return BitMap(array("I", state[2:]))
    start = 1
    while state[start] & 0x80:
        start += 1
    return BitMap.deserialize(state[start + 1 :])
