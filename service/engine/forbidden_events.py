"""Which events name somebody of whom nothing may be kept: events and tombstones in, a mask out.

Everybody is asked for once; only the events of those who are in any tombstone are judged one by
one, by the older of their times.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from matching.ordinals import Ordinals, bytes_of_keys
from service.engine.event_rows import EventRows
from service.engine.tombstones import Tombstones

Name = tuple[str, str | bytes]

_MANY: Final = (1 << 32) - 2


def forbidden(
    events: EventRows, named: dict[int, str], tombstones: Tombstones
) -> NDArray[np.bool_]:
    """Tell of every event whether it is refused; `named` is whom messages name, by place."""
    refused = np.zeros(len(events), dtype=np.bool_)
    oldest = np.minimum(events.at_ms, events.received_ms)
    for index in np.flatnonzero(_of_suspects(events, named, tombstones)).tolist():
        names: list[Name] = []
        if events.visitor[index].any():
            names += [("visitor", each) for each in bytes_of_keys(events.visitor[[index]])]
        proved = events.customers[events.proved[index]]
        names.append(("crm_id", proved or named.get(int(events.place[index]), "")))
        refused[index] = tombstones.forbids(names, oldest_ms=int(oldest[index]))
    return refused


def _of_suspects(
    events: EventRows, named: dict[int, str], tombstones: Tombstones
) -> NDArray[np.bool_]:
    """Find the events of everybody who is in any tombstone."""

    def is_suspect(kind: str, name: str | bytes) -> bool:
        return tombstones.forbids([(kind, name)], oldest_ms=0)

    numbered = Ordinals(first=1, last=_MANY, seed=b"").assign(events.visitor)
    ids = bytes_of_keys(events.visitor[numbered.new])
    visitors = [False, *(is_suspect("visitor", each) for each in ids)]  # the first is nobody
    proved = [is_suspect("crm_id", each) for each in events.customers]
    suspect = np.array(visitors)[numbered.ordinals] | np.array(proved)[events.proved]
    claims = {name for name in set(named.values()) if is_suspect("crm_id", name)}
    places = [place for place, name in named.items() if name in claims]
    found: NDArray[np.bool_] = suspect | np.isin(events.place, places)
    return found
