"""What one TOML file of `config/seats/` says about an account at a DSP, as values.

Nothing here reads files, knows people or writes bytes: `seats.py` loads these values,
`seat_checks.py` checks them, the formats read their options from them.
"""

from enum import StrEnum
from typing import Final, Literal

import msgspec


class Mode(StrEnum):
    """Whether a file says what changed or everything."""

    DELTA = "delta"
    FULL = "full"
    FULL_FIRST_THEN_DELTA = "full_first_then_delta"


class Removal(StrEnum):
    """How a file takes an id out of a segment."""

    SENTINEL = "sentinel"
    """A lifetime that no real one can have: -1 at Xandr, 0 at The Trade Desk."""
    SECTION = "section"
    """A second list of segments in the line of the id."""
    FLAG = "flag"
    """A column that says add or remove."""
    REPLACE = "replace"
    """By absence: each file replaces all that the seat held."""


class Unit(StrEnum):
    """What the partner counts a lifetime in."""

    MINUTES = "minutes"
    DAYS = "days"
    NONE = "none"


class Separators(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The five characters that Xandr sets for each member; there is no default."""

    user: str
    segment: str
    field: str
    remove: str
    tag: str


class Delimited(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    tag="delimited",
):
    """Xandr's text: one line for each id with all its segments."""

    separators: Separators
    fields: tuple[str, ...]
    tags: dict[str, str] = {}
    """Id space -> the domain number that ends its lines."""
    value: int = 0
    segments_per_line_max: int = 1800


class Json(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    tag="json",
):
    """The Trade Desk's data requests, one a line."""

    request: dict[str, str]
    """What every request says besides its items, such as the advertiser."""
    id_keys: dict[str, str]
    """Id space -> the key of its ids in an item."""
    request_bytes_max: int = 2_000_000


class Column(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One column of a CSV file: its header and what stands in it."""

    header: str
    value: str


class Csv(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="kind",
    tag="csv",
):
    """A CSV file with header: one row for each id and segment."""

    columns: tuple[Column, ...]
    delimiter: str = ","
    add: str = "add"
    remove: str = "remove"


class Expiry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long an id stays in a segment; `max` and `default` are counted in `unit`."""

    unit: Unit
    max: int = 0
    default: int = 0


class Membership(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the seat learns who is in and who is out."""

    mode: Mode
    grouping: Literal["user", "membership"]
    """One row for each id with all its segments, or one for each id and segment."""
    removal: Removal
    expiry: Expiry
    refresh_before_days: int = 0


class File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How files are named and when one is full; 0 means without limit."""

    name: str
    compression: Literal["none", "gzip"] = "none"
    max_rows: int = 0
    max_bytes: int = 0
    """After compression."""
    max_items: int = 0
    """Items of one request, where the format has requests."""


Format = Delimited | Json | Csv

MINUTES_PER_DAY: Final = 24 * 60


class Seat(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One account at a DSP and the shape of what it takes."""

    key: str
    partner: str
    account: str
    id_spaces: tuple[str, ...]
    format: Format
    membership: Membership
    file: File
    min_size: int = 100
    lives_days: int = 30
    """Ids seen longer ago are not sent."""

    def lifetime_days(self, wanted_days: int) -> int:
        """Give the days that an id stays when `wanted_days` are asked (0 = the seat's default)."""
        expiry = self.membership.expiry
        if expiry.unit is Unit.NONE:
            return 0
        per_day = MINUTES_PER_DAY if expiry.unit is Unit.MINUTES else 1
        days = wanted_days or expiry.default // per_day
        return max(1, min(days, expiry.max // per_day))
