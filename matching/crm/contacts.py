"""The contacts of a batch of a CRM file: addresses and numbers come in, sealed hashes go out.

Each is hashed in every form that partners want, and parts of a postal address are sealed beside
them; a hash made elsewhere stands for its own form alone. Nothing leaves here in the clear.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import numpy as np

from matching.calling_codes import calling_code_of
from matching.contact_hashes import Seal, normalise_phone
from matching.contact_profiles import (
    BASES,
    EMAIL,
    NAME,
    OWN_FORMS,
    UNKNOWN,
    hashes_of,
    normal_email,
    normal_name,
    ready_hash,
    unknown_from,
)
from matching.crm.cells import Cells
from matching.crm.columns import ADDRESS_NAMES, ADDRESS_TEXTS, CONTACTS, CrmColumns
from matching.crm.pieces import (
    ReadRows,
    Refusal,
    name_piece,
    note_refusals,
    read_or_refuse,
    rows_with,
    stated_by,
)
from matching.crm.rows import CrmBatch
from matching.crm.values import is_blank, read_date, read_text

SealAll = Callable[[Sequence[bytes]], list[str]]
"""Seals many hashes of one length."""

SLOTS_PER_COLUMN: Final = 8
FIRST_SLOT_OF_HASHED: Final = 128
_E164: Final = re.compile(r"\+[1-9][0-9]{6,14}")


class ContactReader:
    """Reads the contacts of batches of one file."""

    def __init__(self, columns: CrmColumns, *, seal: Seal, seal_all: SealAll) -> None:
        self._columns = columns
        self._seal = seal
        self._seal_all = seal_all

    def read(self, batch: CrmBatch, said: ReadRows) -> None:
        """Add what a batch says of contacts and addresses."""
        self._read_contacts(batch, said)
        self._read_hashed(batch, said)
        self._read_address(batch, said)

    def _read_contacts(self, batch: CrmBatch, said: ReadRows) -> None:
        for contact in CONTACTS:
            for place, column in enumerate(self._columns.contact_columns(contact)):
                cells = batch.columns.get(column)
                if cells is None:
                    continue
                first = place * SLOTS_PER_COLUMN
                said.stated.append(
                    stated_by(_kinds_of(contact), range(first, first + SLOTS_PER_COLUMN), cells)
                )
                for more, each in enumerate(_single_cells(column, cells, said)):
                    self._read_contact(batch, said, contact, column, first + more, each)

    def _read_contact(
        self,
        batch: CrmBatch,
        said: ReadRows,
        contact: str,
        column: str,
        slot: int,
        cells: Cells,
    ) -> None:
        if contact == EMAIL:
            normals = [_email(value) for value in cells.values]
        else:
            cells, normals = self._phones(batch, cells)
        if Refusal in set(map(type, normals)):
            note_refusals(said, cells, [_named(column, each) for each in normals])
        bad = [code for code, each in enumerate(normals) if each == ""]
        for row in rows_with(cells, bad).tolist():
            said.warnings.append((row, f"{column} left out: not a readable {contact}"))
        texts = [each if type(each) is str and each else None for each in normals]
        self._add_forms(said, contact, slot, cells, texts)

    def _phones(self, batch: CrmBatch, cells: Cells) -> tuple[Cells, list[str | Refusal | None]]:
        """Read numbers, national ones as of the row's own country or of the file's."""
        country = batch.columns.get(self._columns.country)
        code = self._columns.calling_code
        if country is None:
            return cells, cells.read(lambda value: _phone(value, code))
        codes = [calling_code_of(str(each or "")) or code for each in country.values] + [code]
        pairs = zip(cells.codes.tolist(), country.codes.tolist(), strict=True)
        values = [*cells.values, None]
        read = [_phone(values[number], codes[where]) for number, where in pairs]
        rows = np.arange(len(cells), dtype=np.int32)
        return Cells(values=[values[code] for code in cells.codes.tolist()], codes=rows), read

    def _add_forms(
        self, said: ReadRows, contact: str, slot: int, cells: Cells, normals: list[str | None]
    ) -> None:
        """Hash normalised contacts in every form, seal the hashes and add them by row."""
        for hashed in hashes_of(contact, normals):
            read: list[str | None] = [None] * len(normals)
            for place, value in zip(hashed.places, self._sealed(hashed.digests), strict=True):
                read[place] = value
            if contact != NAME and hashed.space == BASES[contact]:
                said.names.append(name_piece(contact, slot, cells, read))
            else:
                said.forms.append(name_piece(hashed.space, slot, cells, read))

    def _sealed(self, hashes: list[bytes]) -> list[str]:
        good = iter(self._seal_all([each for each in hashes if each]))
        return [next(good) if each else UNKNOWN for each in hashes]

    def _read_hashed(self, batch: CrmBatch, said: ReadRows) -> None:
        for place, (space, column) in enumerate(self._columns.hashed.items()):
            cells = batch.columns.get(column)
            if cells is None:
                continue
            slot = FIRST_SLOT_OF_HASHED + place
            contact = space.partition("_")[0]
            said.stated.append(stated_by(_kinds_of(contact), range(slot, slot + 1), cells))
            read = cells.read(lambda value, s=space, c=column: _ready(s, c, value))  # type: ignore[misc]
            note_refusals(said, cells, read)
            good = [code for code, each in enumerate(read) if isinstance(each, bytes)]
            values: list[str | None] = [None] * len(read)
            sealed = self._seal_all([each for each in read if isinstance(each, bytes)])
            for code, value in zip(good, sealed, strict=True):
                values[code] = value
            is_base = space == BASES[contact]
            pieces = said.names if is_base else said.forms
            pieces.append(name_piece(contact if is_base else space, slot, cells, values))
            unknown = [UNKNOWN if value else None for value in values]
            for other in unknown_from(space):
                said.forms.append(name_piece(other, slot, cells, unknown))

    def _read_address(self, batch: CrmBatch, said: ReadRows) -> None:
        for slot, kind in enumerate(ADDRESS_NAMES):
            cells = batch.columns.get(getattr(self._columns, kind))
            if cells is None:
                continue
            said.stated.append(stated_by(_kinds_of(NAME), range(slot, slot + 1), cells))
            column = getattr(self._columns, kind)
            read = cells.read(lambda value, c=column: _name(c, value))  # type: ignore[misc]
            note_refusals(said, cells, read)
            normals = [each if isinstance(each, str) else None for each in read]
            self._add_forms(said, NAME, slot, cells, normals)
        for kind in ADDRESS_TEXTS:
            column = getattr(self._columns, kind)
            cells = batch.columns.get(column)
            if cells is None:
                continue
            said.stated.append(stated_by({kind}, range(1), cells))
            read = cells.read(lambda value, k=kind, c=column: _address_text(k, c, value))  # type: ignore[misc]
            note_refusals(said, cells, read)
            sealed = [
                self._seal(each.encode().hex()) if isinstance(each, str) else None for each in read
            ]
            said.forms.append(name_piece(kind, 0, cells, sealed))


def _email(value: Any) -> str | Refusal | None:
    """Normalise an address; empty when it is none, None when there is none."""
    if type(value) is str:
        return normal_email(value) or (None if is_blank(value) else "")
    if is_blank(value):
        return None
    text = read_or_refuse("", read_text, value)
    return text if isinstance(text, Refusal) else normal_email(text) or ""


def _phone(value: Any, calling_code: str) -> str | Refusal | None:
    if type(value) is str and _E164.fullmatch(value):
        return value
    if is_blank(value):
        return None
    text = read_or_refuse("", read_text, value)
    if isinstance(text, Refusal):
        return text
    return normalise_phone(text, calling_code=calling_code) or ""


def _name(column: str, value: Any) -> str | Refusal | None:
    if is_blank(value):
        return None
    text = read_or_refuse(column, read_text, value)
    return text if isinstance(text, Refusal) else normal_name(text)


def _address_text(kind: str, column: str, value: Any) -> str | Refusal | None:
    if is_blank(value):
        return None
    if kind == "birth_date":
        day = read_or_refuse(column, read_date, value)
        return day if isinstance(day, Refusal) else day.isoformat()
    text = read_or_refuse(column, read_text, value)
    if kind != "country" or isinstance(text, Refusal):
        return text
    if calling_code_of(text) is None:
        return Refusal(f"unreadable {column}: {text[:40]!r}, no country's code such as FR")
    return text.upper()


def _ready(space: str, column: str, value: Any) -> bytes | Refusal | None:
    if is_blank(value):
        return None
    text = read_or_refuse(column, read_text, value)
    if isinstance(text, Refusal):
        return text
    try:
        return ready_hash(space, text)
    except ValueError as error:
        return Refusal(f"unreadable {column}: {error}")


def _named(column: str, read: str | Refusal | None) -> str | Refusal | None:
    if isinstance(read, Refusal):
        return Refusal(read.reason.replace("unreadable :", f"unreadable {column}:", 1))
    return read


def _kinds_of(contact: str) -> frozenset[str]:
    kinds = {form.space for form in OWN_FORMS[contact]}
    return frozenset(kinds if contact == NAME else (kinds - {BASES[contact]}) | {contact})


def _single_cells(column: str, cells: Cells, said: ReadRows) -> Iterator[Cells]:
    """Part lists into columns of their own: the first members, the second, and so on."""
    longest = max((len(each) for each in cells.values if isinstance(each, list)), default=1)
    if longest > SLOTS_PER_COLUMN:
        long = [
            code
            for code, each in enumerate(cells.values)
            if isinstance(each, list) and len(each) > SLOTS_PER_COLUMN
        ]
        for row in rows_with(cells, long).tolist():
            said.warnings.append((row, f"{column}: more than {SLOTS_PER_COLUMN} were left out"))
    for member in range(min(max(longest, 1), SLOTS_PER_COLUMN)):
        values = [
            (each[member] if len(each) > member else None)
            if isinstance(each, list)
            else (each if member == 0 else None)
            for each in cells.values
        ]
        yield Cells(values=values, codes=cells.codes)
