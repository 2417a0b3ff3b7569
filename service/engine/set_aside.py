"""What was set aside (bad records, quarantined bytes) forgets the erased.

The names of one person come in; what holds one of them, whole, is deleted.
"""

import json
import re
from collections.abc import Iterable
from typing import Final

from service.engine.operation_store import OperationStore
from service.engine.spool_reader import SpoolReader
from service.engine.subjects import Subject, Subjects

SURE_LENGTH: Final = 32
"""So long a name stands for itself wherever it is found; a shorter one must stand alone."""
LENGTH_MIN: Final = 6
"""Shorter aliases and partners' ids would meet strangers' numbers."""
DELETED_AT_ONCE: Final = 1_000


def forget_set_aside(
    subject: Subject, *, subjects: Subjects, operation: OperationStore, reader: SpoolReader
) -> int:
    """Delete the bad records and quarantined files that name this person, and count them."""
    needles = sorted(_needles(subject, subjects))
    if not needles:
        return 0
    pattern = re.compile(b"|".join(map(_alone, needles)))
    gone = [origin for origin, content in operation.bad_naming(needles) if pattern.search(content)]
    for start in range(0, len(gone), DELETED_AT_ONCE):
        operation.delete_bad(gone[start : start + DELETED_AT_ONCE])
    return len(gone) + reader.forget_quarantined(pattern)


def _needles(subject: Subject, subjects: Subjects) -> set[bytes]:
    found: set[bytes] = set()
    for kind, name in subjects.names_of(subject):
        if isinstance(name, bytes):
            found |= {name, name.hex().encode(), subjects.reference_of(name).encode()}
            continue
        text = name.partition("\0")[2] if kind == "partner_id" else name
        if kind == "crm_id" or len(text) >= LENGTH_MIN:
            found |= set(_written(text))
    return found


def _written(text: str) -> Iterable[bytes]:
    """Write a text as bodies hold it: plain, and as JSON escapes it."""
    yield text.encode()
    yield json.dumps(text)[1:-1].encode()
    yield json.dumps(text, ensure_ascii=False)[1:-1].encode()


def _alone(needle: bytes) -> bytes:
    quoted = re.escape(needle)
    if len(needle) >= SURE_LENGTH or not needle.isascii():
        return quoted
    return rb"(?<![0-9A-Za-z])" + quoted + rb"(?![0-9A-Za-z])"
