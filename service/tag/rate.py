"""How many messages a second are taken: a token bucket for each name, held in memory.

Counts and moments come in, seconds to wait go out. It knows no site and reads no clock; each tag
process has buckets of its own.
"""

from typing import Final

BURST_S: Final = 2
"""A bucket holds what may come in this many seconds."""


class Bucket:
    """One token bucket; full at the start."""

    def __init__(self, rate_max: float, *, now_s: float) -> None:
        self.rate_max = rate_max
        self._size = rate_max * BURST_S
        self._left = self._size
        self._at_s = now_s

    def take(self, count: int, *, now_s: float) -> float:
        """Take `count` tokens and give 0, or take nothing and give the seconds to wait.

        More than a full bucket is lent to a full one, so that no batch waits for ever.
        """
        # Why max: a clock that is set back must not take tokens away.
        self._left = min(self._size, self._left + max(now_s - self._at_s, 0) * self.rate_max)
        self._at_s = now_s
        missing = min(count, self._size) - self._left
        if missing > 0:
            return missing / self.rate_max
        self._left -= count
        return 0.0


class Rates:
    """A bucket for each name; a changed limit begins a new one."""

    def __init__(self) -> None:
        self._buckets: dict[tuple[str, bool], Bucket] = {}

    def take(self, name: tuple[str, bool], count: int, *, rate_max: float, now_s: float) -> float:
        """Take from the bucket of this name; 0 as limit means none."""
        if rate_max <= 0:
            return 0.0
        bucket = self._buckets.get(name)
        if bucket is None or bucket.rate_max != rate_max:
            bucket = self._buckets[name] = Bucket(rate_max, now_s=now_s)
        return bucket.take(count, now_s=now_s)
