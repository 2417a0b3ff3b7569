"""Ids that messages name themselves become rows of the table of correspondence.

Records come in in the order of the chunks. The same id of the same visitor makes a new row once a
week, so that it stays alive and the table small; everything held here can be read back.
"""

from typing import Final

from matching.partner_ids_store import PartnerIdsStore
from service.engine.partner_row import PartnerRow
from service.tag.record import Record

CONFIRM_MS: Final = 7 * 86_400_000
SOURCE: Final = "message"


class OtherIds:
    """Which visitor was named with which id in the last week."""

    def __init__(self, store: PartnerIdsStore, *, since_ms: int, before_chunk: int | None) -> None:
        self._ordinals = store.id_ordinals
        self._seen = store.other_ids_seen(since_ms=since_ms - CONFIRM_MS, before_chunk=before_chunk)

    def named(self, record: Record, visitor: int) -> list[PartnerRow]:
        """Give the row of an id that a message named; none while its last one is young."""
        meta, at_ms = record.meta, record.received_us // 1000
        if not visitor or not meta.uid:
            return []
        ordinal = int(self._ordinals(meta.partner, [meta.uid])[0])
        before = self._seen.get((visitor, ordinal))
        if before is not None and at_ms - before < CONFIRM_MS:
            return []
        self._seen[visitor, ordinal] = at_ms
        return [
            PartnerRow(
                row=record.row,
                at_ms=at_ms,
                partner="",
                id_space=meta.partner,
                action="stored",
                reason="",
                nonce=0,
                visitor=visitor,
                uid=meta.uid,
                id_ordinal=ordinal,
                source=SOURCE,
            )
        ]

    def forget_old(self, now_ms: int) -> None:
        """Let go of what would make a new row anyway."""
        oldest = now_ms - CONFIRM_MS
        self._seen = {key: at_ms for key, at_ms in self._seen.items() if at_ms > oldest}
