"""What a batch of a CRM file changes: what it says and what stands come in, rows to store go out.

Of new customers everything is stored; of others what differs, and what their row no longer says is
taken away.
"""

from collections.abc import Iterator
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from matching.crm.pieces import NamePiece, ReadRows, Rows, TraitPiece
from matching.crm.rows_store import CrmRowsStore
from matching.crm.stored import NameRows, NowOf, Ordinals, TraitRows
from matching.customer_names_store import SLOT_OF_ANSWER

_TraitValue = tuple[str, str, float]
"""Kind, text and number; the empty kind takes a trait away."""
_AT_ONCE: Final = 10_000


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """Rows to store; `traits` are the values given, `customers` whose anything changed."""

    names: list[NameRows]
    forms: list[NameRows]
    trait_rows: list[TraitRows]
    customers: int
    traits: int


def fresh_rows(said: ReadRows, rows: Rows, ordinals: Ordinals) -> Changes:
    """Give everything that is said of new customers."""
    kept = np.zeros(len(ordinals), np.bool_)
    kept[rows] = True
    traits = [_trait_rows(piece, kept, ordinals) for piece in said.traits]
    return Changes(
        names=[
            *(_name_rows(piece, kept, ordinals) for piece in said.names),
            *(each for piece in said.answers for each in _answer_rows(piece, kept, ordinals)),
        ],
        forms=[_name_rows(piece, kept, ordinals) for piece in said.forms],
        trait_rows=traits,
        customers=rows.size,
        traits=sum(len(each.codes) for each in traits),
    )


def changes_of(
    said: ReadRows, rows: Rows, ordinals: Ordinals, crm: CrmRowsStore, source: str
) -> Changes:
    """Give what differs of customers who are known."""
    difference = _Difference(said, source)
    names = [piece.trait for piece in said.traits]
    for begin in range(0, rows.size, _AT_ONCE):
        some = rows[begin : begin + _AT_ONCE]
        difference.add(some, ordinals, crm.now_of(source, ordinals[some], names))
    return difference.changes()


def _name_rows(piece: NamePiece, kept: NDArray[np.bool_], ordinals: Ordinals) -> NameRows:
    good = kept[piece.rows]
    values = piece.values
    if not good.all():
        values = [values[place] for place in np.flatnonzero(good).tolist()]
    return NameRows(
        kind=piece.kind, slot=piece.slot, customers=ordinals[piece.rows[good]], values=values
    )


def _answer_rows(
    piece: NamePiece, kept: NDArray[np.bool_], ordinals: Ordinals
) -> Iterator[NameRows]:
    """Give yes and no in their slots; who gave no answer had none to take back."""
    whole = _name_rows(piece, kept, ordinals)
    given = np.array(whole.values)
    for answer in ("1", "0"):
        some = np.flatnonzero(given == answer)
        yield NameRows(
            kind=piece.kind,
            slot=SLOT_OF_ANSWER[answer],
            customers=whole.customers[some],
            values=[answer] * some.size,
        )


def _trait_rows(piece: TraitPiece, kept: NDArray[np.bool_], ordinals: Ordinals) -> TraitRows:
    values = piece.values
    there = np.array(list(map(bool, values.kinds)), np.bool_)
    good = kept[piece.rows] & there[piece.codes]
    return TraitRows(
        trait=piece.trait,
        customers=ordinals[piece.rows[good]],
        codes=piece.codes[good],
        kinds=values.kinds,
        texts=values.texts,
        numbers=values.numbers,
    )


class _Difference:
    """Gathers what differs, customer by customer."""

    def __init__(self, said: ReadRows, source: str) -> None:
        self._said = said
        self._source = source
        self._names: dict[tuple[str, int], tuple[list[int], list[str]]] = {}
        self._forms: dict[tuple[str, int], tuple[list[int], list[str]]] = {}
        self._traits: dict[str, tuple[list[int], list[_TraitValue]]] = {}
        self._changed: set[int] = set()
        self._given = 0

    def add(self, rows: Rows, ordinals: Ordinals, now: dict[int, NowOf]) -> None:
        wanted = np.zeros(len(ordinals), np.bool_)
        wanted[rows] = True
        told: dict[int, set[tuple[str, int]]] = {row: set() for row in rows.tolist()}
        for pieces, target in ((self._said.names, self._names), (self._said.forms, self._forms)):
            for piece in pieces:
                self._compare_names(piece, wanted, ordinals, now, told, target)
        for row in rows.tolist():
            self._take_untold(row, int(ordinals[row]), now, told[row])
        for piece in self._said.answers:
            self._compare_answers(piece, wanted, ordinals, now)
        for each in self._said.traits:
            self._compare_traits(each, wanted, ordinals, now)

    def changes(self) -> Changes:
        """Give the rows to store."""
        return Changes(
            names=_rows_of(self._names),
            forms=_rows_of(self._forms),
            trait_rows=[
                TraitRows(
                    trait=trait,
                    customers=np.array(customers, np.uint32),
                    codes=np.arange(len(values), dtype=np.int32),
                    kinds=[kind for kind, _, _ in values],
                    texts=[text for _, text, _ in values],
                    numbers=[number for _, _, number in values],
                )
                for trait, (customers, values) in self._traits.items()
            ],
            customers=len(self._changed),
            traits=self._given,
        )

    def _compare_names(
        self,
        piece: NamePiece,
        wanted: NDArray[np.bool_],
        ordinals: Ordinals,
        now: dict[int, NowOf],
        told: dict[int, set[tuple[str, int]]],
        target: dict[tuple[str, int], tuple[list[int], list[str]]],
    ) -> None:
        key = (piece.kind, piece.slot)
        for place in np.flatnonzero(wanted[piece.rows]).tolist():
            row, value = int(piece.rows[place]), piece.values[place]
            told[row].add(key)
            customer = int(ordinals[row])
            if now[customer].names.get(key, "") != value:
                self._put(target, key, customer, value)

    def _take_untold(
        self, row: int, customer: int, now: dict[int, NowOf], told: set[tuple[str, int]]
    ) -> None:
        for key, value in now[customer].names.items():
            if not value or key in told:
                continue
            kind, slot = key
            for stated in self._said.stated:
                if kind in stated.kinds and slot in stated.slots and stated.rows[row]:
                    is_form = kind not in self._kinds_of_names
                    self._put(self._forms if is_form else self._names, key, customer, "")
                    break

    @property
    def _kinds_of_names(self) -> set[str]:
        return {piece.kind for piece in self._said.names} | {"email", "phone"}

    def _compare_answers(
        self,
        piece: NamePiece,
        wanted: NDArray[np.bool_],
        ordinals: Ordinals,
        now: dict[int, NowOf],
    ) -> None:
        for place in np.flatnonzero(wanted[piece.rows]).tolist():
            customer, value = int(ordinals[piece.rows[place]]), piece.values[place]
            if now[customer].answers.get(piece.kind, "") != value:
                self._put(self._names, (piece.kind, SLOT_OF_ANSWER[value]), customer, value)

    def _compare_traits(
        self,
        piece: TraitPiece,
        wanted: NDArray[np.bool_],
        ordinals: Ordinals,
        now: dict[int, NowOf],
    ) -> None:
        customers, values = self._traits.setdefault(piece.trait, ([], []))
        said = piece.values
        for place in np.flatnonzero(wanted[piece.rows]).tolist():
            customer = int(ordinals[piece.rows[place]])
            code = piece.codes[place]
            kind = said.kinds[code]
            value = (kind, said.texts[code], said.numbers[code])
            was = now[customer].traits.get(piece.trait)
            if kind:
                if was == (*value, self._source):
                    continue
                self._given += 1
            elif was is None:
                continue
            customers.append(customer)
            values.append(value)
            self._changed.add(customer)

    def _put(
        self,
        target: dict[tuple[str, int], tuple[list[int], list[str]]],
        key: tuple[str, int],
        customer: int,
        value: str,
    ) -> None:
        customers, values = target.setdefault(key, ([], []))
        customers.append(customer)
        values.append(value)
        self._changed.add(customer)


def _rows_of(found: dict[tuple[str, int], tuple[list[int], list[str]]]) -> list[NameRows]:
    return [
        NameRows(kind=kind, slot=slot, customers=np.array(customers, np.uint32), values=values)
        for (kind, slot), (customers, values) in found.items()
    ]
