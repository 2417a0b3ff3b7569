"""Keeps what each visitor's consent signals said over time, and asks the newest about a use.

Signals are stored as `encode_signals` text, never as decisions: every question decides again, once
for all visitors who share signals and site. What a decision is stands in `consent/decide.py`.
"""

from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec
import numpy as np
from clickhouse_connect.driver.client import Client
from numpy.typing import NDArray
from pyroaring import BitMap

from matching.consent.decide import Decision, PartnerConsent, Use
from matching.consent.signals import Signals, SignalsError, decode_signals
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
    """All visitors whose newest signals and site are the same; `None` cannot be read."""

    signals: Signals | None
    site: str
    visitors: BitMap


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
        """Find the visitors whose newest signals forbid recording them for audiences."""
        denied = BitMap()
        for each in self.classes():
            if not _allows(each, None, Use.AUDIENCES, decide):
                denied |= each.visitors
        return denied

    def classes(self) -> list[ConsentClass]:
        """Read everybody's newest signals once, to decide for many partners and uses."""
        found = self._client.query(sql("consent_classes"), query_formats={"String": "bytes"})
        return [
            ConsentClass(
                signals=_signals_or_none(signals),
                site=site.decode(),
                visitors=_bitmap_of_state(state),
            )
            for signals, site, state in found.result_rows
        ]

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


def _allows(each: ConsentClass, partner: PartnerConsent | None, use: Use, decide: Decide) -> bool:
    return each.signals is not None and decide(each.signals, use, partner, each.site).allowed


def _signals_or_none(text: bytes) -> Signals | None:
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
