"""What the rows of one batch of a CRM file say: columns come in, names and traits by row go out.

A row is whole or refused with a reason. Stores nothing, and knows nothing of what was said before.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from matching.contact_hashes import Seal, redact_json, redact_text
from matching.crm.cells import ABSENT
from matching.crm.columns import GOOGLE_ANSWERS, CrmColumns, TraitColumn
from matching.crm.contacts import ContactReader, SealAll
from matching.crm.pieces import (
    ReadRows,
    Refusal,
    TraitPiece,
    name_piece,
    note_refusals,
    read_or_refuse,
    rows_with,
    stated_by,
)
from matching.crm.rows import CrmBatch
from matching.crm.trait_values import TraitValues, trait_values
from matching.crm.values import TEXT_CHARS_MAX, is_blank, read_boolean, read_text
from matching.identification import is_blocked

Refused = Callable[[str, str], bool]
"""Tells whether a name (kind, value as stored) was erased and not lifted."""

GOOGLE_YES: Final = frozenset({"granted", "consent_granted"})
GOOGLE_NO: Final = frozenset({"denied", "consent_denied"})
ERASED: Final = "erased: this person asked to be forgotten; lift it first"
# Without any of these a value holds no contact, unless its column is named as one.
_SUSPECT: Final = re.compile(r"[@%+=&\uff00-\uffef\ufe50-\ufe6f]|00 ?[1-9](?:[ .()-]{0,2}\d){9}")
_CONTACT_TRACES: Final = ("mail", "phone", "mobile", "tel", "msisdn")


class CrmReader:
    """Reads batches of one file."""

    def __init__(
        self,
        columns: CrmColumns,
        *,
        seal: Seal,
        seal_all: SealAll,
        refused: Refused,
        refuses_some: Callable[[], bool] = lambda: True,
        computed: frozenset[str] = frozenset(),
    ) -> None:
        self._columns = columns
        self._seal = seal
        self._contacts = ContactReader(columns, seal=seal, seal_all=seal_all)
        self._refused = refused
        self._refuses_some = refuses_some
        self._computed = computed

    def crm_ids(self, batch: CrmBatch) -> tuple[list[str], dict[int, str]]:
        """Give the CRM id of every row, empty where it names nobody, and why it does not."""
        column = self._columns.crm_id
        cells = batch.columns.get(column)
        if cells is None:
            missing = f"missing {column}"
            return [""] * len(batch), dict.fromkeys(range(len(batch)), missing)
        # Why together: most ids hold no contact, and that is told of all of them at once.
        plain = _holds_no_contact(cells.values)
        texts = _plain_texts(cells.values) if plain else None
        if texts is not None and cells.is_as_it_is and not any(map(is_blocked, texts)):
            return texts, {}
        read = [self._crm_id(value, is_plain=plain) for value in cells.values]
        read.append(Refusal(f"missing {column}"))
        found = [read[code] for code in cells.codes.tolist()]
        refusals = {row: each.reason for row, each in enumerate(found) if type(each) is Refusal}
        return [each if type(each) is str else "" for each in found], refusals

    def read(self, batch: CrmBatch, crm_ids: list[str]) -> ReadRows:
        """Read rows whose CRM ids are good."""
        said = ReadRows(
            crm_ids=crm_ids,
            names=[],
            forms=[],
            answers=[],
            traits=[],
            stated=[],
            refusals={},
            warnings=[],
        )
        self._read_aliases(batch, said)
        self._contacts.read(batch, said)
        self._refuse_erased(said)
        self._read_answers(batch, said)
        self._read_traits(batch, said)
        return said

    def _crm_id(self, value: Any, *, is_plain: bool) -> str | Refusal:
        column = self._columns.crm_id
        if is_blank(value):
            return Refusal(f"missing {column}")
        text = read_or_refuse(column, read_text, value)
        if isinstance(text, Refusal):
            return text
        if is_blocked(text):
            return Refusal(f"{column} {text[:40]!r} names nobody")
        # Why: the tag redacts ids that are addresses too, and both must be the same customer.
        return text if is_plain else redact_text(text, self._seal)

    def _read_aliases(self, batch: CrmBatch, said: ReadRows) -> None:
        for kind, column in self._columns.aliases.items():
            cells = batch.columns.get(column)
            if cells is None:
                continue
            plain = _holds_no_contact(cells.values)
            read: Sequence[str | Refusal | None] | None = None
            if plain:
                read = _plain_texts(cells.values)
            if read is None:
                read = [self._alias(column, value, is_plain=plain) for value in cells.values]
            note_refusals(said, cells, read)
            said.names.append(name_piece(kind, 0, cells, read))
            said.stated.append(stated_by({kind}, range(1), cells))

    def _alias(self, column: str, value: Any, *, is_plain: bool) -> str | Refusal | None:
        if is_blank(value):
            return None
        text = read_or_refuse(column, read_text, value)
        if is_plain or isinstance(text, Refusal):
            return text
        return redact_text(text, self._seal)

    def _refuse_erased(self, said: ReadRows) -> None:
        if not self._refuses_some():
            return
        for row, crm_id in enumerate(said.crm_ids):
            if self._refused("crm_id", crm_id):
                said.refusals.setdefault(row, ERASED)
        for piece in said.names:
            for row, value in zip(piece.rows.tolist(), piece.values, strict=True):
                if self._refused(piece.kind, value):
                    said.refusals.setdefault(row, ERASED)

    def _read_answers(self, batch: CrmBatch, said: ReadRows) -> None:
        for kind in ("opt_in", *GOOGLE_ANSWERS):
            column = getattr(self._columns, kind)
            cells = batch.columns.get(column)
            if cells is None:
                continue
            read = cells.read(lambda value, c=column: _answer(c, value))  # type: ignore[misc]
            note_refusals(said, cells, read)
            said.answers.append(name_piece(kind, 0, cells, read))

    def _read_traits(self, batch: CrmBatch, said: ReadRows) -> None:
        for name, wanted in self._columns.trait_columns(batch.columns).items():
            cells = batch.columns.get(wanted.column)
            if cells is None:
                continue
            if name in self._computed:
                reason = f"trait {name!r} is computed and cannot be imported"
                for row in np.flatnonzero(cells.codes != ABSENT).tolist():
                    said.refusals.setdefault(row, reason)
                continue
            read = self._trait_values(wanted, cells.values)
            for code, reason in read.refusals.items():
                for row in rows_with(cells, [code]).tolist():
                    said.refusals.setdefault(row, reason)
            rows = np.flatnonzero(cells.codes != ABSENT)
            said.traits.append(
                TraitPiece(trait=name, rows=rows, values=read, codes=cells.codes[rows])
            )

    def _trait_values(self, wanted: TraitColumn, values: Sequence[Any]) -> TraitValues:
        # Why: contacts hide in columns of other names, and rest as sealed hashes only.
        if not _holds_no_contact(values) or _is_named_as_contact(wanted.column):
            values = [self._redacted(wanted.column, value) for value in values]
        return trait_values(values, wanted.column, wanted.type, separator=wanted.separator)

    def _redacted(self, column: str, value: Any) -> Any:
        ((_, redacted),) = redact_json({column: value}, self._seal).items()
        return redacted


def _plain_texts(values: Sequence[Any]) -> list[str] | None:
    """Read texts of which none is empty; None where one is, or is no short text."""
    if set(map(type, values)) != {str}:
        return None
    texts = list(map(str.strip, values))
    if "" in texts or max(map(len, texts)) > TEXT_CHARS_MAX:
        return None
    return texts


def _answer(column: str, value: Any) -> str | Refusal:
    if is_blank(value):
        return ""
    if isinstance(value, str) and value.strip().lower() in GOOGLE_YES:
        return "1"
    if isinstance(value, str) and value.strip().lower() in GOOGLE_NO:
        return "0"
    yes = read_or_refuse(column, read_boolean, value)
    return yes if isinstance(yes, Refusal) else ("1" if yes else "0")


def _holds_no_contact(values: Sequence[Any]) -> bool:
    kinds = set(map(type, values))
    texts = values if kinds == {str} else [each for each in values if type(each) is str]
    # Why not whole numbers: a telephone may be written as one.
    return kinds <= {str, bool, float, type(None)} and _SUSPECT.search("\n".join(texts)) is None


def _is_named_as_contact(column: str) -> bool:
    bare = "".join(each for each in column.lower() if each.isalnum())
    return any(trace in bare for trace in _CONTACT_TRACES)
