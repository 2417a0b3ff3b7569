"""Opens hashed contacts at the moment when a seat's file is written, and for nothing else.

Ids as they rest come in, sealed; the same come out as the seat's partner wants them. What is opened
stays in memory: no table, report or log is given it.
"""

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from audiences.exports.seat_state import FrozenRemoval
from matching.contact_profiles import open_forms
from matching.opening import Opener
from matching.partner_ids_store import LiveIds
from service.engine.reach_facts import CONTACTS

Named = Mapping[int, tuple[str, str]]
"""Id space and id, by ordinal."""


class OpenedContacts:
    """Opens under one key; ids of other spaces come out as they are."""

    def __init__(self, key: bytes) -> None:
        self._opener = Opener(key)

    def live(self, id_space: str, live: LiveIds) -> LiveIds:
        """Open live ids, and order them by what they are now."""
        if id_space not in CONTACTS or not live.ids:
            return live
        ids = self._open(id_space, live.ids)
        order = np.lexsort((live.visitors, np.array(ids, dtype=np.bytes_)))
        return LiveIds(
            visitors=live.visitors[order],
            id_ordinals=live.id_ordinals[order],
            ids=[ids[row] for row in order.tolist()],
        )

    def texts(self, named: Named) -> Named:
        """Open ids that are to be removed."""
        found = dict(named)
        for space in CONTACTS & {space for space, _ in named.values()}:
            own = {ordinal: text for ordinal, (each, text) in named.items() if each == space}
            opened = self._open(space, list(own.values()))
            found |= {ordinal: (space, text) for ordinal, text in zip(own, opened, strict=True)}
        return found

    def removal(self, frozen: FrozenRemoval) -> FrozenRemoval:
        """Open what somebody erased has left to be removed."""
        ids = [
            msgspec.structs.replace(each, id=self._open(each.id_space, [each.id])[0])
            if each.id_space in CONTACTS
            else each
            for each in frozen.ids
        ]
        return msgspec.structs.replace(frozen, ids=tuple(ids))

    def _open(self, id_space: str, sealed: Sequence[str]) -> list[str]:
        return open_forms(id_space, sealed, self._opener.open_all)
