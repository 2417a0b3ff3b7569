"""What changes on a seat: the ids it holds against the ids it should hold, per segment.

Pure set algebra over ordinals of ids. In goes what was sent on which day, out come additions,
removals, refreshes and the next state. It knows no texts, no people and no files.
"""

import datetime as dt
from collections.abc import Collection, Mapping

import msgspec
from pyroaring import BitMap

from audiences.exports.seat import Mode

Days = Mapping[dt.date, BitMap]
"""The ids of one segment by the day on which they were sent last."""


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What one run does to a seat, per segment, and what the seat holds afterwards."""

    adds: dict[str, BitMap]
    removes: dict[str, BitMap]
    refreshes: dict[str, BitMap]
    next_held: dict[str, dict[dt.date, BitMap]]


def diff(
    held: Mapping[str, Days],
    wanted: Mapping[str, BitMap],
    *,
    mode: Mode,
    today: dt.date,
    refresh_before_days: int,
    expires_days: Mapping[str, int],
    forced_removals: Mapping[str, BitMap],
    resend: Collection[str] = (),
    no_adds: Collection[str] = (),
    rewrite: Collection[str] = (),
) -> Changes:
    """Compare; a segment that is not wanted loses all its ids, a forced removal beats a wish.

    Ids are sent again `refresh_before_days` before they expire (0 in `expires_days` = never), or
    all at once when the mode is full or the segment stands in `resend`; those of `no_adds` only
    leave, and what stays of them is sent again where `rewrite` says so.
    """
    changes = Changes(adds={}, removes={}, refreshes={}, next_held={})
    for segment in sorted({*held, *wanted, *forced_removals}):
        days = held.get(segment, {})
        before = everything(days)
        forced = forced_removals.get(segment, BitMap())
        stays = wanted.get(segment, BitMap()) - forced
        refreshes = BitMap()
        if segment in no_adds:
            stays &= before
            refreshes = stays if segment in rewrite else refreshes
        elif mode is Mode.FULL or segment in resend:
            refreshes = stays & before
        elif lifetime := expires_days.get(segment, 0):
            refreshes = stays & _sent_before(days, today, max(0, lifetime - refresh_before_days))
        changes.adds[segment] = stays - before
        changes.refreshes[segment] = refreshes
        changes.removes[segment] = (before - stays) | forced
        sent = changes.adds[segment] | refreshes
        changes.next_held[segment] = _next_days(days, stays, sent, today)
    return changes


def keep_held(changes: Changes, held: Mapping[str, Days], ids: BitMap) -> Changes:
    """Take removals of `ids` back: the seat goes on holding what cannot be named to it."""
    removes = {segment: gone - ids for segment, gone in changes.removes.items()}
    next_held = {segment: dict(days) for segment, days in changes.next_held.items()}
    for segment, gone in changes.removes.items():
        for day, sent in held.get(segment, {}).items():
            if kept := sent & gone & ids:
                next_held[segment][day] = next_held[segment].get(day, BitMap()) | kept
    return Changes(
        adds=changes.adds, removes=removes, refreshes=changes.refreshes, next_held=next_held
    )


def everything(days: Days) -> BitMap:
    """Join the ids of all days."""
    return BitMap.union(BitMap(), *days.values())


def _sent_before(days: Days, today: dt.date, age_days: int) -> BitMap:
    """Join what was sent at least `age_days` ago."""
    old = {day: ids for day, ids in days.items() if (today - day).days >= age_days}
    return everything(old)


def _next_days(days: Days, stays: BitMap, sent: BitMap, today: dt.date) -> dict[dt.date, BitMap]:
    after = {day: (ids & stays) - sent for day, ids in days.items()}
    after[today] = after.get(today, BitMap()) | sent
    return {day: ids for day, ids in sorted(after.items()) if ids}
