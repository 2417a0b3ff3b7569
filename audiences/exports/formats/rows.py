"""What every format writes and reads back: one row for each id with what changes for it."""

import msgspec


class IdRow(msgspec.Struct, frozen=True, kw_only=True):
    """One id of a partner, the segments it enters or stays in, and those it leaves."""

    id: str
    id_space: str
    adds: list[tuple[str, int]]
    """Segment and lifetime in minutes; 0 where the seat knows no lifetimes."""
    removes: list[str]


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What was written: lines of the files, additions, removals and distinct ids."""

    rows: int = 0
    adds: int = 0
    removes: int = 0
    ids: int = 0


class UnwritableRow(Exception):
    """A row cannot be said in the seat's format; the whole export stops before it is published."""
