"""The rows of an export: every changed id with its text, sorted, one at a time.

In go the changes and where texts stand, out come `IdRow`s ordered by id space and id. Memory holds
row numbers and the texts of removed ids, never all rows.
"""

from collections.abc import Iterator, Mapping, Sequence
from heapq import merge
from itertools import groupby

from pyroaring import BitMap

from audiences.exports.formats.rows import IdRow
from audiences.exports.ledger import Changes
from audiences.exports.plan import rows_of
from audiences.exports.seat import MINUTES_PER_DAY, Seat
from matching.partner_ids_store import LiveIds

Named = tuple[str, str, int]
"""Id space, id and ordinal."""


def id_rows(
    seat: Seat,
    *,
    changes: Changes,
    live: Sequence[LiveIds],
    expires_days: Mapping[str, int],
    removed_texts: Mapping[int, tuple[str, str]],
) -> Iterator[IdRow]:
    """Join what is added and removed under each id."""
    sent = {segment: ids | changes.refreshes[segment] for segment, ids in changes.adds.items()}
    everything = BitMap.union(BitMap(), *sent.values())
    streams = [
        _live(id_space, each, everything)
        for id_space, each in zip(seat.id_spaces, live, strict=True)
    ]
    removed = sorted((space, text, ordinal) for ordinal, (space, text) in removed_texts.items())
    found = merge(*streams, removed)
    for (id_space, text), group in groupby(found, key=lambda each: each[:2]):
        ordinals = BitMap(ordinal for _, _, ordinal in group)
        removes = [name for name, ids in changes.removes.items() if ids.intersect(ordinals)]
        adds = [
            (name, expires_days[name] * MINUTES_PER_DAY)
            for name, ids in sent.items()
            if name not in removes and ids.intersect(ordinals)
        ]
        yield IdRow(id=text, id_space=id_space, adds=adds, removes=removes)


def _live(id_space: str, live: LiveIds, wanted: BitMap) -> Iterator[Named]:
    for row in rows_of(live, wanted):
        yield id_space, live.ids[row], int(live.id_ordinals[row])
