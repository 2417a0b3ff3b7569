"""Opens hashed contacts at the moment when a seat's file is written, and for nothing else.

Ids as they rest come in, sealed; the same come out as the seat's partner wants them. What is opened
stays in memory: no table, report or log is given it.
"""

from typing import Any

import pyarrow as pa

from matching.contact_profiles import open_forms
from matching.opening import Opener
from service.engine.reach_facts import CONTACTS


class OpenedContacts:
    """Opens under one key; ids of other spaces come out as they are."""

    def __init__(self, key: bytes) -> None:
        self._opener = Opener(key)

    def opened(self, id_space: str, ids: Any) -> Any:
        """Open the ids of a space, an Arrow array of strings, in their order."""
        if id_space not in CONTACTS or not len(ids):
            return ids
        texts = open_forms(id_space, ids.to_pylist(), self._opener.open_all)
        return pa.array(texts, type=pa.string())
