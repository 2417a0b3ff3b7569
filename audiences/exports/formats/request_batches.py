"""Requests that are being filled: members of one segment, action and id space each.

Members go in as bytes, requests of at most `file.max_items` members and `request_bytes_max` bytes
come out as lines, each the body of one request. What a body says is the format's work.
"""

from collections.abc import Callable
from typing import Final

from audiences.exports.formats.parts import Group, Parts
from audiences.exports.formats.rows import UnwritableRow
from audiences.exports.seat import Seat

WAITING_BYTES_MAX: Final = 64_000_000
"""What all unfilled requests may hold together; beyond, the fullest is sent early."""

Body = Callable[[Group], tuple[bytes, bytes]]
"""Gives what stands before and behind the members of a request."""


class Batches:
    """The unfilled requests of an export."""

    def __init__(
        self,
        seat: Seat,
        out: Parts,
        *,
        body: Body,
        bytes_max: int,
        waiting_bytes_max: int = WAITING_BYTES_MAX,
    ) -> None:
        self._seat = seat
        self._out = out
        self._body = body
        self._bytes_max = bytes_max
        self._items_max = seat.file.max_items
        self._batches: dict[Group, _Batch] = {}
        self._waiting_max = waiting_bytes_max
        self._waiting = 0

    def put(self, about: Group, member: bytes, *, ids: int) -> None:
        """Put a member into the request about this segment, action and id space."""
        batch = self._batches.get(about)
        if batch is None:
            batch = self._batches[about] = _Batch(*self._body(about))
        longer = batch.size + len(b",") * bool(batch.members) + len(member)
        full = self._items_max and len(batch.members) >= self._items_max
        if batch.members and (full or longer > self._bytes_max):
            self._send(about, batch)
            longer = batch.size + len(member)
        if longer > self._bytes_max:
            raise UnwritableRow(
                f"seat {self._seat.key}: a member of {len(member)} bytes is longer than "
                f"`format.request_bytes_max` ({self._bytes_max}) allows; raise it"
            )
        self._waiting += longer - batch.size
        batch.put(member, longer, ids)
        if self._waiting > self._waiting_max:
            fullest = max(self._batches, key=lambda each: self._batches[each].size)
            self._send(fullest, self._batches[fullest])

    def finish(self) -> None:
        """Send what is left, in the order in which requests were begun."""
        for about, batch in self._batches.items():
            self._send(about, batch)

    def _send(self, about: Group, batch: "_Batch") -> None:
        if not batch.members:
            return
        count = len(batch.members)
        added = count if about.action == "add" else 0
        self._out.put(
            batch.line(),
            adds=added,
            removes=count - added,
            ids=batch.ids,
            group=self._out.group(*about),
        )
        self._waiting -= batch.size - batch.bare
        batch.clear()


class _Batch:
    def __init__(self, before: bytes, behind: bytes) -> None:
        self._before = before
        self._behind = behind
        self.bare = len(before) + len(behind)
        self.clear()

    def put(self, member: bytes, size: int, ids: int) -> None:
        self.members.append(member)
        self.size = size
        self.ids += ids

    def line(self) -> bytes:
        return self._before + b",".join(self.members) + self._behind + b"\n"

    def clear(self) -> None:
        self.members: list[bytes] = []
        self.size = self.bare
        self.ids = 0
