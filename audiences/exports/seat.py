"""What one TOML file of `config/seats/` says about an account at a DSP, as values.

Nothing here reads files, knows people or writes bytes: `seats.py` loads these values,
`seat_checks.py` checks them, the formats read their options from them.
"""

from enum import StrEnum
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from audiences.exports.seat_formats import Format


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
    PREFIX = "prefix"
    """The segment is written otherwise than one that is entered."""
    FLAG = "flag"
    """A column or field that says add or remove."""
    FILE = "file"
    """A file, or a request, of nothing but removals."""
    REPLACE = "replace"
    """By absence: each file replaces all that the seat held."""
    NONE = "none"
    """Not at all: who leaves stays there until the partner's own lifetime ends."""


class Unit(StrEnum):
    """What the partner counts a lifetime in."""

    MINUTES = "minutes"
    DAYS = "days"
    NONE = "none"


class Expiry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long an id stays in a segment; `max` and `default` are counted in `unit`."""

    unit: Unit
    max: int = 0
    default: int = 0


class Membership(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the seat learns who is in and who is out."""

    mode: Mode
    grouping: Literal["user", "membership", "audience"]
    """One row for each id with all its segments, one for each id and segment, or a file or request
    for each segment."""
    removal: Removal
    expiry: Expiry
    sentinel: int | None = None
    """The lifetime that removes, where `removal` is "sentinel"; None = the format's own."""
    refresh_before_days: int = 0


class Ids(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the partner wants of the ids themselves."""

    normalize: str = ""
    """The form in which contacts are hashed for it, such as "uid2"; "" = it takes no contacts."""
    case: dict[str, Literal["upper", "lower"]] = {}
    """Id space of devices -> the case of its letters there."""
    validate: dict[str, str] = {}
    """Id space -> the shape of its ids, a name of `id_shapes.SHAPES`."""


class File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How files are named and when one is full; 0 means without limit."""

    name: str
    per: tuple[Literal["segment", "action", "id_space"], ...] = ()
    """What a file holds one of, so that several are open at once."""
    mode_names: dict[Mode, str] = {}
    action_names: dict[Literal["add", "remove"], str] = {}
    id_space_names: dict[str, str] = {}
    """What {mode}, {action} and {id_space} become in `name`, where not their own names."""
    compression: Literal["none", "gzip"] = "none"
    max_rows: int = 0
    max_bytes: int = 0
    """After compression."""
    max_items: int = 0
    """Items of one request, where the format has requests."""
    skip_empty: bool = False
    """No file without rows, even where that would empty a segment."""
    control_root: str = ""
    """Gives a control file of that name with .info for its last suffix, behind the other files."""


class Label(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Gives every data file a sidecar that says what its segments are."""

    provider_name: Annotated[str, Meta(min_length=1)]


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
    ids: Ids = Ids()
    min_size: int = 100
    """Fewer people than this are not sent: nobody is to be found in a small crowd."""
    partner_min_size: int = 0
    """The fewest that the partner takes."""
    lives_days: int = 30
    """Ids seen longer ago are not sent."""
    alarm_percent: Annotated[int, Meta(ge=0)] = 50
    """A run that would bring into a segment, or take out of it, more of a hundred of the ids that
    it holds waits for `release`; 0 = no run ever waits. The first fill of a segment never does."""
    alarm_ids: Annotated[int, Meta(ge=0)] = 1000
    """Changes of so few ids of a segment, or fewer, never wait."""
    label: Label | None = None
    unverified: tuple[str, ...] = ()
    """What of all this no document of the partner vouches for: to be asked before any file goes."""

    def lifetime_days(self, wanted_days: int) -> int:
        """Give the days that an id stays when `wanted_days` are asked (0 = the seat's default)."""
        expiry = self.membership.expiry
        if expiry.unit is Unit.NONE:
            return 0
        per_day = MINUTES_PER_DAY if expiry.unit is Unit.MINUTES else 1
        days = wanted_days or expiry.default // per_day
        return max(1, min(days, expiry.max // per_day))
