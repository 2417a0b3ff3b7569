"""What one export says about itself: to the API, to the log and to the tests."""

from enum import StrEnum

import msgspec

from audiences.exports.seat import Mode
from audiences.exports.waterfall import Stage


class ExportStatus(StrEnum):
    """How an export of one seat ended."""

    PUBLISHED = "published"
    DRY_RUN = "dry_run"
    NOTHING_TO_SEND = "nothing_to_send"
    BELOW_MINIMUM = "below_minimum"
    NO_ACTIVATIONS = "no_activations"
    HELD = "held"
    """The seat is on hold or a segment would change a lot: only removals went out, if any."""
    FAILED = "failed"


class SegmentStatus(StrEnum):
    """What became of one segment of the seat."""

    SENT = "sent"
    BELOW_MINIMUM = "below_minimum"
    """Nothing was added; removals went out."""
    NOT_BUILT = "not_built"
    """The audience has no members yet; the seat keeps what it holds."""
    WITHDRAWN = "withdrawn"
    """No audience fills it any more; everything is removed."""


class SegmentReport(msgspec.Struct, frozen=True, kw_only=True):
    """One segment: who fills it, whom it reaches and what changed."""

    segment: str
    audience: str
    status: SegmentStatus
    expires_days: int = 0
    holdout_percent: int = 0
    people: int = 0
    ids: int = 0
    adds: int = 0
    removes: int = 0
    refreshes: int = 0
    held: int = 0
    """The ids that the segment holds after the run."""
    waterfall: list[Stage] = []


class ExportReport(msgspec.Struct, frozen=True, kw_only=True):
    """One run on one seat; `adds` holds no refreshes, `ids` counts distinct ids in the files."""

    seat: str
    run: int
    status: ExportStatus
    previous_run: int = 0
    mode: Mode = Mode.DELTA
    path: str = ""
    """The first file; `files` names all."""
    files: list[str] = []
    rows: int = 0
    adds: int = 0
    removes: int = 0
    refreshes: int = 0
    ids: int = 0
    refused_ids: int = 0
    """Ids that the seat's format cannot say; they are not sent."""
    unnamed_ids: int = 0
    """Ids to remove whose text is gone; the seat still holds them."""
    segments: list[SegmentReport] = []
    reason: str = ""
