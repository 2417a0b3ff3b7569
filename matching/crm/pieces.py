"""What a batch of a CRM file says, in pieces: each holds one kind of name or one trait by row.

Cells and what was read of them come in, pieces and refusals go out. What a cell means is not
decided here.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from matching.crm.cells import ABSENT, Cells
from matching.crm.trait_values import TraitValues

Rows = NDArray[np.int64]

_Value = TypeVar("_Value")


class Refusal(msgspec.Struct, frozen=True):
    """Why a cell makes its row one that is not imported."""

    reason: str


class NamePiece(msgspec.Struct, frozen=True, kw_only=True):
    """One kind and slot: a value for each of some rows."""

    kind: str
    slot: int
    rows: Rows
    values: list[str]


class Stated(msgspec.Struct, frozen=True, kw_only=True):
    """What some rows state in full: of these kinds and slots what they do not say is gone."""

    kinds: frozenset[str]
    slots: range
    rows: NDArray[np.bool_]


class TraitPiece(msgspec.Struct, frozen=True, kw_only=True):
    """One trait: its values, and which one each of some rows has; None takes it away."""

    trait: str
    rows: Rows
    values: TraitValues
    codes: NDArray[np.int32]


class ReadRows(msgspec.Struct, frozen=True, kw_only=True):
    """What a batch says; rows are places in the batch."""

    crm_ids: list[str]
    names: list[NamePiece]
    forms: list[NamePiece]
    answers: list[NamePiece]
    traits: list[TraitPiece]
    stated: list[Stated]
    refusals: dict[int, str]
    warnings: list[tuple[int, str]]


def read_or_refuse(column: str, read: Callable[[Any], _Value], value: Any) -> _Value | Refusal:
    """Read a cell, or say which column cannot be read and why."""
    try:
        return read(value)
    except ValueError as error:
        return Refusal(f"unreadable {column}: {error}")


def stated_by(kinds: Iterable[str], slots: range, cells: Cells) -> Stated:
    """Say that the rows that have a column state all of these kinds and slots."""
    return Stated(kinds=frozenset(kinds), slots=slots, rows=cells.codes != ABSENT)


def note_refusals(said: ReadRows, cells: Cells, read: Sequence[Any]) -> None:
    """Refuse the rows whose cell could not be read; the first reason stands."""
    bad = [code for code, each in enumerate(read) if type(each) is Refusal]
    for row in rows_with(cells, bad).tolist():
        said.refusals.setdefault(row, read[cells.codes[row]].reason)


def rows_with(cells: Cells, codes: Sequence[int]) -> Rows:
    """Give the rows that have one of these values."""
    if not codes:
        return np.zeros(0, np.int64)
    wanted = np.zeros(len(cells.values) + 1, np.bool_)
    wanted[list(codes)] = True
    return np.flatnonzero(wanted[cells.codes])


def name_piece(kind: str, slot: int, cells: Cells, read: Sequence[Any]) -> NamePiece:
    """Make a piece of the rows whose value was read as a text."""
    good = np.array([type(each) is str for each in read] + [False], np.bool_)
    rows = np.flatnonzero(good[cells.codes])
    if rows.size == len(read) == len(cells) and cells.is_as_it_is:
        return NamePiece(kind=kind, slot=slot, rows=rows, values=list(read))
    values = [read[code] for code in cells.codes[rows].tolist()]
    return NamePiece(kind=kind, slot=slot, rows=rows, values=values)
