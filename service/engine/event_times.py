"""When events happened: browsers' clocks are corrected and judged, servers' words are taken.

Times as texts and the time of receipt come in, milliseconds go out, and of each message whose time
cannot be read the reason. What is out of the ordinary is read alone, by `_time_of`.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from service.engine.iso_times import UNREAD, read_iso_times
from service.tag.messages import Message, read_time_ms, server_time_fault

LATE_MS_MAX: Final = 35 * 86_400_000
EARLY_MS_MAX: Final = 5 * 60_000
WAY_MS_MAX: Final = 2_000
"""So long a message may be on its way. What lies between a browser's sending and our receipt within
it is not taken for a wrong clock: each batch would move its messages by the length of its own way,
past those of the next one."""
SILENT: Final = UNREAD + 1
"""Stands for the time of a batch that has none."""

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


class Unreadable(msgspec.Struct, frozen=True, kw_only=True):
    """Why a record cannot be loaded."""

    reason: str
    detail: str


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What messages say of their time, one item each; without a time they happened at receipt."""

    timestamp: Sequence[str | None]
    sent_at: Sequence[str | None]
    batch_sent_at: NDArray[Any]
    """When the batch was sent that held the message; it counts where a message says nothing."""
    batch_sent_ms: Ints
    """The same as `batch_time_ms` gives it."""
    received_ms: Ints
    server: Bools


class EventTimes(msgspec.Struct, frozen=True, kw_only=True):
    """When each happened, whether that is not what the message said, and what was unreadable."""

    at_ms: Ints
    corrected: Bools
    faults: dict[int, Unreadable]


def event_times(told: Told) -> EventTimes:
    """Judge the times of many messages."""
    stamped, sent = read_iso_times(told.timestamp), _sent_ms(told)
    wrong = told.received_ms - sent
    wrong[told.server | (np.abs(wrong) <= WAY_MS_MAX)] = 0
    at_ms = stamped + wrong
    early, late = told.received_ms - at_ms > LATE_MS_MAX, at_ms - told.received_ms > EARLY_MS_MAX
    corrected = early | late
    # Why: a server's time must lie in a range of its own, which is seldom worth telling apart.
    alone = (stamped == UNREAD) | (sent == UNREAD) & ~told.server | told.server & corrected
    at_ms = np.where(corrected, told.received_ms, at_ms)
    faults: dict[int, Unreadable] = {}
    for index in np.flatnonzero(alone).tolist():
        try:
            at_ms[index], corrected[index] = _time_of(told, index)
        except _OutOfRange as problem:
            faults[index] = Unreadable(reason="time_out_of_range", detail=str(problem))
        except (ValueError, OverflowError) as problem:
            faults[index] = Unreadable(reason="malformed", detail=str(problem))
    return EventTimes(at_ms=at_ms, corrected=corrected, faults=faults)


def batch_time_ms(text: str) -> int:
    """Read when a batch was sent, once for all its messages: SILENT where nothing says it."""
    try:
        return read_time_ms(text) if text else SILENT
    except (ValueError, OverflowError):
        return UNREAD


def _sent_ms(told: Told) -> Ints:
    """Give when messages were sent; those of which nobody says it were as they were received."""
    sent = read_iso_times(told.sent_at)
    if (sent != UNREAD).all():
        return sent
    silent = np.array([not text for text in told.sent_at])
    batch = np.where(told.batch_sent_ms == SILENT, told.received_ms, told.batch_sent_ms)
    return np.where(silent, batch, sent)


class _OutOfRange(ValueError):
    """A server dates a message before 1970 or more than a year ahead."""


def _time_of(told: Told, index: int) -> tuple[int, bool]:
    """Give the event's time and whether the client's clock had to be corrected (decision 10)."""
    timestamp, received_ms = told.timestamp[index], int(told.received_ms[index])
    if not timestamp:
        return received_ms, False
    at_ms = read_time_ms(timestamp)
    if told.server[index]:
        fault = server_time_fault(Message(timestamp=timestamp), received_ms=received_ms)
        if fault:
            raise _OutOfRange(fault)
        return at_ms, False
    sent_at = told.sent_at[index] or told.batch_sent_at[index]
    wrong = received_ms - read_time_ms(sent_at) if sent_at else 0
    if abs(wrong) > WAY_MS_MAX:
        at_ms += wrong
    if received_ms - LATE_MS_MAX <= at_ms <= received_ms + EARLY_MS_MAX:
        return at_ms, False
    return received_ms, True
