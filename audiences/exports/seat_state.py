"""What is kept about a seat between its runs, as values: activations, runs, held ids, removals.

`export_store.py` reads and writes them; plans and runs only look at them.
"""

import datetime as dt
from typing import Final

import msgspec
from pyroaring import BitMap

PREPARED: Final = "prepared"
"""The files of a run are written but may not be visible yet."""
PUBLISHED: Final = "published"


class Activation(msgspec.Struct, frozen=True, kw_only=True):
    """An audience on a seat, with the partner's segment and its lifetime (0 = the seat's own)."""

    seat: str
    audience: str
    segment: str
    expires_days: int = 0
    holdout_percent: int = 0
    """So many of a hundred people are kept off the segment: the audience's control group."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """How a run is asked for."""

    dry_run: bool = False
    """Count what would be sent, and write nothing."""
    release: bool = False
    """Send it although the seat is held or a segment changes a lot."""
    resend: bool = False
    """Send everything that the seat should hold, for a partner who lost a file."""


class ExportRow(msgspec.Struct, frozen=True, kw_only=True):
    """Where a run stands on a seat; `report` is JSON."""

    run: int
    seat: str
    status: str
    report: str
    at_ms: int = 0
    removals: tuple[int, ...] = ()
    """The frozen removals that the run's files hold."""


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """What a seat holds, and the lifetime that each segment was last sent with."""

    run: int
    days: dict[str, dict[dt.date, BitMap]]
    expires_days: dict[str, int]


class IdText(msgspec.Struct, frozen=True, kw_only=True):
    """An id with its own text, for a removal that outlives the table of correspondence."""

    id_space: str
    id: str
    id_ordinal: int


class FrozenRemoval(msgspec.Struct, frozen=True, kw_only=True):
    """Ids of the erased that a segment must still drop."""

    removal: int
    segment: str
    ids: tuple[IdText, ...]


class HeldIds(msgspec.Struct, frozen=True, kw_only=True):
    """Some ids that a seat holds in a segment since a day."""

    seat: str
    segment: str
    sent_on: dt.date
    id_ordinals: tuple[int, ...]
