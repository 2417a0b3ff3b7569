"""The messages of a chunk that will be events: columns, and what senders say once for many of them.

Values only; they are made in `chunk_rows` and get their ordinals in `chunk_columns`.
"""

from collections.abc import Callable
from enum import IntFlag
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from audiences.native_block import CodedTexts, PackedTexts
from service.tag.record import Meta

FORM: Final = "form"
"""The method of an identification that nothing proves."""


class Flag(IntFlag):
    """What an event's row says about how far its message is trusted."""

    CLOCK_CORRECTED = 1
    BOT = 2
    SERVER = 4


class EventRows(msgspec.Struct, frozen=True, kw_only=True):
    """The messages that will be events, as columns; `place` is each one's among the records."""

    place: NDArray[np.intp]
    row: NDArray[np.uint32]
    received_ms: NDArray[np.int64]
    at_ms: NDArray[np.int64]
    event: CodedTexts
    visitor: NDArray[np.uint64]
    message_hash: NDArray[np.uint64]
    flags: NDArray[np.uint8]
    properties: PackedTexts
    proved: NDArray[np.intp]
    """Which of `customers` each proves to come from; the first is nobody."""
    customers: list[str]
    sender: NDArray[np.intp]
    """Which of `senders` tells the rest of each: its type, site, method and signals."""
    senders: list[Meta]
    opened: dict[int, str]
    """Whom messages name without proof on sites that ask for none, by place."""
    claimed: dict[int, str]
    """Whom messages of other sites name without proof, by place."""

    def __len__(self) -> int:
        return self.place.size

    def take(self, wanted: NDArray[Any]) -> "EventRows":
        """Keep the events that are wanted."""
        kept = np.flatnonzero(wanted)
        if kept.size == len(self):
            return self
        shared = ("customers", "senders", "opened", "claimed")
        columns = {
            name: getattr(self, name).take(kept, **({"axis": 0} if name == "visitor" else {}))
            for name in self.__struct_fields__
            if name not in shared
        }
        return EventRows(**columns, **{name: getattr(self, name) for name in shared})

    def opened_at(self) -> list[tuple[int, str]]:
        """List which of these events name somebody without proof, and whom, on open sites."""
        if not self.opened:
            return []
        found = np.flatnonzero(np.isin(self.place, list(self.opened)))
        return [(index, self.opened[int(self.place[index])]) for index in found.tolist()]

    def of_sender(self, tell: Callable[[Meta], Any], dtype: Any) -> NDArray[Any]:
        """Give of every event what its sender tells; each is asked once."""
        return np.array([tell(each) for each in self.senders], dtype=dtype)[self.sender]
