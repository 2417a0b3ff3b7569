"""Keeps what each visitor's consent signals said over time, and asks what stands about a use.

Signals are stored as `encode_signals` text, never folded and never as decisions. What stands of
everybody is read once and kept in memory (`consent/classes.py`); later only visitors of whom rows
were inserted or erased are read again, by key. So a row that is taken away is as if it never was.
"""

import secrets
import threading
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
import numpy as np
from clickhouse_connect.driver.client import Client
from numpy.typing import NDArray
from pyroaring import BitMap

from matching.consent.class_rows import ROW, ClassReader
from matching.consent.classes import (
    ConsentClasses,
    Stands,
    allowed_visitors,
    denied_visitors,
    signals_of,
    stands_of,
    told_by,
    visitors_with_gpc,
)
from matching.consent.decide import PartnerConsent, Signals, Use, says_gpc
from matching.consent.history import Answer, ConsentRow, Decide, Standing, answers_of
from matching.ids import VISITOR_FIRST
from matching.rows_store import all_rows
from matching.sql import sql

__all__ = [
    "Answer",
    "ConsentClasses",
    "ConsentColumns",
    "ConsentRow",
    "ConsentStore",
    "Decide",
    "Standing",
    "allowed_visitors",
    "has_gpc",
    "visitors_with_gpc",
]

HISTORY_ROWS_MAX: Final = 200
SLICE: Final = 1 << 20
"""So many visitors are read at a time, 20 bytes a row."""
_NO_CHUNK: Final = (1 << 64) - 1
_BY_KEY_MAX: Final = 10_000  # a server takes 128 KiB for one parameter
_READ_AGAIN_PART: Final = 100
"""With more visitors to be read again than one row in so many, reading everybody is cheaper."""


class ConsentColumns(msgspec.Struct, kw_only=True):
    """Parallel columns of the table `consents`."""

    chunk: Sequence[int]
    row: Sequence[int]
    received_at_ms: Sequence[int]
    visitor: Sequence[int]
    signals: Sequence[str]
    site: Sequence[str]


class ConsentStore:
    """The table `consents`, and what stands of everybody; safe to be asked from any thread."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._lock = threading.RLock()
        self._classes: ConsentClasses | None = None
        self._rows = 0
        """How many rows the table must have, if all that changed it went through here."""
        self._touched: set[int] = set()
        """Of whom rows were inserted or erased since the classes were read."""

    def insert(self, columns: ConsentColumns) -> None:
        """Append rows; the caller keeps one insert within a million rows and one month."""
        if len(columns.chunk) == 0:
            return
        with self._lock:
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
            self._touch(columns.visitor, rows=len(columns.chunk))

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
        return denied_visitors(self.classes(), use, decide)

    def opted_out(self) -> BitMap:
        """Find the visitors who opted out, of whom nothing more is kept."""
        return self.classes().where(lambda _, stands: stands.opted_out)

    def classes(self) -> ConsentClasses:
        """Give what stands of everybody now; it is shared, and never changes."""
        with self._lock:
            held = int(self._client.query(sql("consent_count")).result_rows[0][0])
            # Why the count: an insert that failed may have come to the table none the less, and
            # parts that were broken may be gone or back.
            if self._classes is None or held != self._rows:
                self._classes = self._read_all()
            elif self._touched:
                self._classes = self._classes.changed(self._read_touched())
            self._rows = held
            self._touched.clear()
            return self._classes

    def stands(self, visitors: Sequence[int], *, before_chunk: int) -> dict[int, Stands]:
        """Read what stood of these visitors before a chunk; who never spoke is not there."""
        found: dict[int, Stands] = {}
        for start in range(0, len(visitors), _BY_KEY_MAX):
            some = visitors[start : start + _BY_KEY_MAX]
            found |= self._stands_of(some, before_chunk=before_chunk)
        return found

    def standing(self, visitor: int) -> Standing | None:
        """Give what stands for one visitor; None when it was never heard of."""
        return self._standing(visitor, skip=0)

    def history(self, visitor: int) -> list[ConsentRow]:
        """List a visitor's changes of consent, newest first."""
        found = self._client.query(
            sql("consent_history"), parameters={"visitor": visitor, "limit": HISTORY_ROWS_MAX}
        )
        return [
            ConsentRow(received_at_ms=at_ms, signals=signals, site=site)
            for at_ms, signals, site in found.result_rows
        ]

    def answers(self, visitor: int, decide: Decide) -> list[Answer]:
        """Tell what each of a visitor's changes of consent meant, newest first."""
        rows = self.history(visitor)
        is_cut = len(rows) == HISTORY_ROWS_MAX
        before = self._standing(visitor, skip=len(rows)) if is_cut else None
        return answers_of(rows, decide, before=before)

    def erase(self, visitors: Sequence[int]) -> None:
        """Remove all consents of these visitors and return when they are gone."""
        for start in range(0, len(visitors), _BY_KEY_MAX):
            some = {"visitors": list(visitors[start : start + _BY_KEY_MAX])}
            with self._lock:
                rows = self._client.query(sql("consent_count_of"), parameters=some).result_rows
                self._client.command(sql("consent_erase"), parameters=some)
                self._touch(some["visitors"], rows=-rows[0][0])

    def _touch(self, visitors: Iterable[int], *, rows: int) -> None:
        """Note of whom the classes are old now; nothing, where all will be read anyway."""
        self._rows += rows
        if self._classes is None:
            return
        self._touched.update(visitors)
        if len(self._touched) > max(_BY_KEY_MAX, self._rows // _READ_AGAIN_PART):
            self._classes = None
            self._touched.clear()

    def _read_all(self) -> ConsentClasses:
        key = {name: secrets.randbits(64) for name in ("key_high", "key_low")}
        told = self._client.query(
            sql("consent_texts"), parameters=key, query_formats={"String": "bytes"}
        )
        texts = {number: _text(text) for number, text in told.result_rows}
        last = int(self._client.query(sql("consent_last_visitor")).result_rows[0][0])
        reader = ClassReader(texts, visitors=max(0, last + 1 - VISITOR_FIRST))
        for first in range(VISITOR_FIRST, last + 1, SLICE):
            bounds = {"first": first, "last": min(first + SLICE - 1, last)}
            reader.add(all_rows(self._client, sql("consent_rows"), ROW, key | bounds))
        return reader.classes()

    def _read_touched(self) -> dict[int, Stands | None]:
        visitors = sorted(each for each in self._touched if each >= VISITOR_FIRST)
        stands: dict[int, Stands | None] = dict.fromkeys(visitors)
        for start in range(0, len(visitors), _BY_KEY_MAX):
            stands |= self._stands_of(visitors[start : start + _BY_KEY_MAX])
        return stands

    def _standing(self, visitor: int, *, skip: int) -> Standing | None:
        found = self._stands_of([visitor], skip=skip).get(visitor)
        if found is None:
            return None
        return Standing(signals=signals_of(found), site=found.site)

    def _stands_of(
        self, visitors: Sequence[int], *, skip: int = 0, before_chunk: int = _NO_CHUNK
    ) -> dict[int, Stands]:
        """Read what stands of these visitors, without what each said in its newest rows."""
        found = self._client.query(
            sql("consent_standing"),
            parameters={"visitors": visitors, "skip": skip, "before_chunk": before_chunk},
            query_formats={"String": "bytes"},
        )
        texts = {text for _, history, __ in found.result_rows for text in history}
        told = {text: told_by(_text(text)) for text in texts}
        return {
            visitor: stands_of([told[text] for text in history], _text(site))
            for visitor, history, site in found.result_rows
        }


def has_gpc(signals: Signals, *_: object) -> bool:
    """Tell whether these signals hold Global Privacy Control, which speaks for the customer too."""
    return says_gpc(signals)


def _text(raw: bytes) -> str:
    # Why surrogates: a text in no encoding stays one that cannot be read.
    return raw.decode(errors="surrogateescape")
