"""The points that one export passes, in order: for the log, and for tests that stop it there."""

from collections.abc import Callable
from enum import StrEnum


class RunStep(StrEnum):
    """What has just been done."""

    PLANNED = "planned"
    FILE_OPENED = "file_opened"
    """Once for each file; the one before it is whole."""
    FILES_WRITTEN = "files_written"
    FILES_SYNCED = "files_synced"
    STATE_WRITTEN = "state_written"
    PREPARED = "prepared"
    MANIFEST_STAGED = "manifest_staged"
    FILE_VISIBLE = "file_visible"
    """Once for each file."""
    MANIFEST_VISIBLE = "manifest_visible"
    PUBLISHED = "published"
    PRUNED = "pruned"


OnStep = Callable[[RunStep], None]
