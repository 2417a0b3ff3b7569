"""What a chunk says of people: who is which customer, and what each visitor consented to.

Rows with ordinals come in, columns to be stored go out. What earlier chunks said is remembered here
as far as it counts: clicks for half an hour, and each visitor's newest signals.
"""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from matching.consent_store import ConsentColumns
from matching.identification import IdentificationColumns
from service.engine.chunk_columns import ChunkOrdinals, transposed
from service.engine.chunk_rows import ChunkRows
from service.engine.event_rows import FORM, EventRows, Flag
from service.tag.record import Kind

CLICK_WINDOW_MS: Final = 30 * 60_000
SIGNALS_REMEMBERED: Final = 2_000_000
SAY_NOTHING_OF_PEOPLE: Final = frozenset({"alias", "group"})
SIGNED_OUT: Final = "Signed Out"
"""The event that ends what a login began; with or without proof it is none itself."""


class SignalsTold(NamedTuple):
    """What a visitor's record said of consent, where it is not what was said just before."""

    row: int
    received_ms: int
    visitor: int
    signals: str
    site: str


class ChunkLinks:
    """The newest click and the newest signals of every visitor."""

    def __init__(self, clicks: dict[int, int]) -> None:
        self._clicks = clicks
        self._signals: dict[int, str] = {}

    def identifications(
        self, chunk: int, rows: ChunkRows, people: ChunkOrdinals
    ) -> IdentificationColumns:
        """Give what clicks prove, events prove or claim, and pages confirm of clicks."""
        observed = self._clicked(rows, people) + self._told(rows.events, people)
        row, received, at, visitors, customers, methods, claims, sites, proofs = transposed(
            observed, 9
        )
        return IdentificationColumns(
            chunk=[chunk] * len(observed),
            row=row,
            received_at_ms=received,
            at_ms=at,
            visitor=visitors,
            customer=customers,
            method=methods,
            claimed=claims,
            site=sites,
            proof=proofs,
        )

    def consents(self, chunk: int, told: Iterable[SignalsTold]) -> ConsentColumns:
        """Give the signals that are not those which the visitor sent last."""
        changed: list[SignalsTold] = []
        for each in told:
            if self._signals.get(each.visitor) != each.signals:
                self._signals[each.visitor] = each.signals
                changed.append(each)
        if len(self._signals) > SIGNALS_REMEMBERED:
            self._signals.clear()
        row, received, visitors, texts, sites = transposed(changed, 5)
        return ConsentColumns(
            chunk=[chunk] * len(changed),
            row=row,
            received_at_ms=received,
            visitor=visitors,
            signals=texts,
            site=sites,
        )

    def _clicked(self, rows: ChunkRows, people: ChunkOrdinals) -> list[tuple[Any, ...]]:
        observed: list[tuple[Any, ...]] = []
        for record in rows.others:
            if record.kind is Kind.CLICK:
                visitor = people.visitor(record.visitor)
                customer = people.customer(record.meta.proved)
                at_ms = record.received_us // 1000
                self._clicks[visitor] = max(at_ms, self._clicks.get(visitor, 0))
                site, link = record.meta.site, record.meta.nonce
                observed.append(
                    (record.row, at_ms, at_ms, visitor, customer, "click", False, site, link)
                )
        return observed

    def _told(self, events: EventRows, people: ChunkOrdinals) -> list[tuple[Any, ...]]:
        observed: list[tuple[Any, ...]] = []
        visitors = people.visitors(events)
        found = np.flatnonzero(self._may_tell(events, visitors))
        times = (events.received_ms, events.at_ms)
        columns: list[NDArray[Any]] = [events.row, *times, visitors, events.place]
        columns += [events.proved, events.sender]
        for row, received_ms, at_ms, visitor, place, proved, sender in zip(
            *(column[found].tolist() for column in columns), strict=True
        ):
            meta, when, claimed = events.senders[sender], at_ms, False
            opened, claim = events.opened.get(place, ""), events.claimed.get(place, "")
            if opened or proved:
                customer = people.customer(opened or events.customers[proved])
                method = FORM if opened else meta.method
                if not customer:  # an id that no customer has, such as `null`
                    continue
            elif claim and (customer := people.claimed(claim)):
                method, claimed = FORM, True
            elif meta.type == "page" and self._clicked_before(visitor, received_ms):
                # Why: a click is dated by receipt, so what confirms it must be dated alike.
                customer, method, when = 0, "page", received_ms
            else:
                continue
            observed.append(
                (row, received_ms, when, visitor, customer, method, claimed, meta.site, 0)
            )
        return observed

    def _may_tell(self, events: EventRows, visitors: NDArray[np.uint32]) -> NDArray[np.bool_]:
        """Find the few events that may say who somebody is."""
        telling = events.proved > 0
        for names in (events.opened, events.claimed):
            if names:
                telling |= np.isin(events.place, list(names))
        if self._clicks:
            pages = events.of_sender(lambda meta: meta.type == "page", np.bool_)
            telling |= pages & np.isin(visitors, list(self._clicks))
        telling &= (visitors != 0) & (events.flags & np.uint8(Flag.BOT) == 0)
        telling[events.of_sender(lambda meta: meta.type in SAY_NOTHING_OF_PEOPLE, np.bool_)] = False
        if SIGNED_OUT in events.event.names:
            telling &= events.event.codes != events.event.names.index(SIGNED_OUT)
        return telling

    def _clicked_before(self, visitor: int, at_ms: int) -> bool:
        clicked = self._clicks.get(visitor)
        return clicked is not None and clicked <= at_ms <= clicked + CLICK_WINDOW_MS


def signals_told(rows: ChunkRows, people: ChunkOrdinals) -> list[SignalsTold]:
    """List in the records' order what visitors sent, but not what they sent just before."""
    events = rows.events
    sent = np.flatnonzero(events.of_sender(lambda meta: bool(meta.signals), np.bool_))
    others = [
        each for each in rows.others if each.meta.signals and each.kind is not Kind.PARTNER_ID
    ]
    senders = [*events.senders, *(each.meta for each in others)]
    row = np.concatenate([events.row[sent], np.array([each.row for each in others], np.uint32)])
    received = [each.received_us // 1000 for each in others]
    received_ms = np.concatenate([events.received_ms[sent], np.array(received, dtype=np.int64)])
    ordinals = [people.visitor(each.visitor) for each in others]
    visitor = np.concatenate([people.visitors(events)[sent], np.array(ordinals, dtype=np.uint32)])
    own = len(events.senders) + np.arange(len(others))
    sender = np.concatenate([events.sender[sent], own])
    codes: dict[str, int] = {}
    said = np.array([codes.setdefault(each.signals, len(codes)) for each in senders], dtype=np.intp)
    found = _changes(visitor, row, said[sender])
    found = found[visitor[found] != 0]
    return [
        SignalsTold(place_row, at_ms, whose, senders[code].signals, senders[code].site)
        for place_row, at_ms, whose, code in zip(
            row[found].tolist(),
            received_ms[found].tolist(),
            visitor[found].tolist(),
            sender[found].tolist(),
            strict=True,
        )
    ]


def _changes(
    visitor: NDArray[np.uint32], row: NDArray[np.uint32], said: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Find, in the order of rows, what is not what the same visitor said just before."""
    order = np.argsort(visitor.astype(np.uint64) << np.uint64(32) | row)
    new = np.ones(len(order), dtype=np.bool_)
    whose, what = visitor[order], said[order]
    new[1:] = (whose[1:] != whose[:-1]) | (what[1:] != what[:-1])
    found = order[new]
    return found[np.argsort(row[found])]
