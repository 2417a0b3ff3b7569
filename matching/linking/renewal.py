"""Keeps the standing links up to the log: what was inserted or erased comes in, changes go out.

Whoever was only identified again as before is decided from what stands; others are read again with
those who share a click link. When that would be dearer everything is. All come to the same.
"""

from threading import Lock
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from matching.bitmaps import bitmap_of, ordinals_of
from matching.identification import Observations
from matching.identification_log_store import IdentificationLog, joined_observations
from matching.ids import VISITOR_FIRST
from matching.linking.deciding import of_visitors, places_of, verdict_on
from matching.linking.links import CLICK, NO_CHANGES, PAGE, Changes, Limits
from matching.linking.standing_links import StandingLinks
from matching.linking.votes import Candidates, Votes

ROWS_PER_VISITOR_READ: Final = 1_000
"""Reading one visitor's rows by its ordinal costs as much as reading so many rows in passing."""
WAITING_ROWS_MAX: Final = 1_000_000
UNKNOWN: Final = -1

Places = NDArray[np.int64]


class Renewal(msgspec.Struct, frozen=True, kw_only=True):
    """What a refresh did: how many visitors it decided from what stood, and read again."""

    everything: bool = False
    outvoted: int = 0
    read_again: int = 0


class LinksRenewal:
    """The standing links, and what came since they were renewed."""

    def __init__(
        self,
        log: IdentificationLog,
        limits: Limits,
        *,
        rows_per_visitor_read: int = ROWS_PER_VISITOR_READ,
    ) -> None:
        self.standing = StandingLinks(limits)
        self._told = self.standing.customer_of
        self.last = Renewal()
        self.lock = Lock()
        """Held while links are written; who reads several of them holds it too."""
        self._log = log
        self._limits = limits
        self._rows_per_visitor_read = rows_per_visitor_read
        self._rows = UNKNOWN
        self._waiting: list[Observations] = []
        self._touched = BitMap()

    def doubt_rows(self) -> int:
        """Forget how many rows there are until a write is known to be done; give what it was."""
        rows, self._rows = self._rows, UNKNOWN
        return rows

    def inserted(self, observations: Observations, *, rows_before: int) -> None:
        """Take over what was inserted when there were so many rows."""
        self._waiting.append(of_visitors(observations))
        waiting = sum(each.visitor.size for each in self._waiting)
        if rows_before == UNKNOWN or waiting > WAITING_ROWS_MAX:
            self._waiting.clear()  # everything will be read
        else:
            self._rows = rows_before + observations.visitor.size

    def erased(self, touched: BitMap, *, rows: int) -> None:
        """Take over that rows of these visitors, or of others on their links, are gone."""
        self._rows = rows
        self._touched |= touched

    def refresh(self, *, visitors: int) -> Changes:
        """Bring the links up to the log, and tell what changed since this was done last."""
        changes = self._renew(visitors)
        self._told = self.standing.customer_of
        return changes

    def _renew(self, visitors: int) -> Changes:
        rows = self._log.count()
        if rows != self._rows:
            return self._read_everything(rows, visitors)
        waiting = joined_observations(self._waiting)
        if waiting.visitor.size == 0 and not self._touched:
            return NO_CHANGES
        places, outvoted = self._outvote(waiting)
        again = self._touched | (bitmap_of(waiting.visitor) - _ordinals(places))
        if len(again) * self._rows_per_visitor_read > rows:
            return self._read_everything(rows, visitors)
        asked, decided = self._read_again(_places(again))
        self.last = Renewal(outvoted=places.size, read_again=asked.size)
        with self.lock:
            self.standing.grow(visitors)
            apart = np.flatnonzero(~np.isin(places, asked)).astype(np.int64)
            both = np.concatenate([places[apart], asked])
            order = np.argsort(both)
            changes = self.standing.renew(
                both[order], _joined(outvoted.take(apart), decided).take(order)
            )
        self._waiting.clear()
        self._touched = BitMap()
        return changes

    def others_on_links(self, observations: Observations) -> Observations:
        """Give the log of everybody else who has a place on a click link of this log."""
        with self.lock:
            places = self._on_links_of(observations)
        return self._log.of(np.setdiff1d(places, places_of(observations.visitor)))

    def _read_everything(self, rows: int, visitors: int) -> Changes:
        self._rows = UNKNOWN  # until the log is read to its end
        votes = Votes(visitors)
        for block in self._log.everything():
            votes.add(block)
        verdict = votes.result(self._limits)
        with self.lock:
            self.standing.renew_all(verdict)
        asked, decided = self._read_again(verdict.doubtful)
        with self.lock:
            self.standing.renew(asked, decided)
        self.last = Renewal(everything=True, read_again=asked.size)
        self._rows = rows
        self._waiting.clear()
        self._touched = BitMap()
        # Why not since it was read: an earlier attempt may have ended between.
        return self.standing.changes_since(self._told)

    def _outvote(self, waiting: Observations) -> tuple[Places, Candidates]:
        """Decide whom what was inserted and what stands are enough to decide."""
        places, verdict = verdict_on(waiting, np.zeros(0, dtype=np.int64), limits=self._limits)
        found, sure = self.standing.outvote(places, verdict)
        of_links = (waiting.method == CLICK) | (waiting.method == PAGE)
        sure &= ~np.isin(places, places_of(waiting.visitor[of_links]))
        sure &= ~np.isin(places, _places(self._touched))
        which = np.flatnonzero(sure).astype(np.int64)
        return places[which], found.take(which)

    def _read_again(self, places: Places) -> tuple[Places, Candidates]:
        """Decide these visitors, and those who may lose to them a place on a click link.

        The others on the links of those are read too: they say which places are taken.
        """
        logs = [self._log.of(places)]
        asked = np.union1d(places, self._on_links_of(logs[0]))
        logs.append(self._log.of(np.setdiff1d(asked, places)))
        logs.append(self._log.of(np.setdiff1d(self._on_links_of(logs[1]), asked)))
        everybody, verdict = verdict_on(joined_observations(logs), asked, limits=self._limits)
        self.standing.holders.add(verdict.holder_proof, everybody[verdict.holder_place])
        return asked, verdict.candidates.take(np.searchsorted(everybody, asked).astype(np.int64))

    def _on_links_of(self, observations: Observations) -> Places:
        return self.standing.holders.of(observations.proof)


def _joined(one: Candidates, other: Candidates) -> Candidates:
    names = Candidates.__struct_fields__
    return Candidates(
        **{name: np.concatenate([getattr(one, name), getattr(other, name)]) for name in names}
    )


def _ordinals(places: Places) -> BitMap:
    return bitmap_of((places + VISITOR_FIRST).astype(np.uint32))


def _places(visitors: BitMap) -> Places:
    return places_of(ordinals_of(visitors))
