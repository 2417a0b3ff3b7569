"""Offers and the ids that come back are joined by nonce: the first id of an offer counts.

Records come in in the order of the chunks, rows of `partner_ids` go out. An id may come before its
offer, when two tag processes took them: it waits, and its row is made with the offer. Everything
held here can be read back from the table. A partner that keeps our id answers with its offer.
"""

from collections.abc import Callable, Sequence
from typing import Final

from matching.partner_facts import Direction, Partner, TokenPlace
from matching.partner_ids_store import Offer, PartnerIdsStore, WaitingId
from service.engine.partner_row import PartnerRow
from service.tag.record import Kind, Record
from service.tag.tokens import CALLBACK_LIVES_S

BEFORE_ITS_OFFER: Final = 1 << 31
"""Set in the row number of an answer that had waited: it stands in the offer's chunk, beside it."""
LIVES_MS: Final = 2 * CALLBACK_LIVES_S * 1000
WAITING_MAX: Final = 100_000
CONFIRMS_MS: Final = 30 * 86_400_000
"""Within so long a second offer must bring an id that came without a token of ours."""
UNCONFIRMED: Final = "unconfirmed"
NO_CONSENT: Final = "no_consent"
Allows = Callable[[Partner, int, int], bool]
"""Tells whether a visitor's consent lets an id be kept that came in this row."""


class Callbacks:
    """What was offered, answered, and came too early, in the last two hours."""

    def __init__(
        self,
        store: PartnerIdsStore,
        *,
        since_ms: int,
        before_chunk: int | None,
        forbids: Callable[[bytes, int], bool],
    ) -> None:
        self._forbids = forbids
        self._ordinals = store.id_ordinals
        self._offers = store.open_offers(since_ms=since_ms, before_chunk=before_chunk)
        self._answered = store.answered(since_ms=since_ms, before_chunk=before_chunk)
        self._unconfirmed = store.unconfirmed(
            since_ms=since_ms - CONFIRMS_MS, before_chunk=before_chunk
        )
        self._waiting: dict[int, WaitingId] = {}
        for each in store.waiting(since_ms=since_ms, before_chunk=before_chunk):
            self._must_wait(each)

    def awaited(self, records: Sequence[Record], ordinal: Callable[[bytes], int]) -> set[int]:
        """Name the visitors to whose offers an id comes in these records, or came before them."""
        offers = [each for each in records if each.kind is Kind.OFFER]
        came = {each.meta.nonce for each in records if each.kind is Kind.PARTNER_ID}
        came |= self._waiting.keys()
        found = {self._offers[nonce].visitor for nonce in came & self._offers.keys()}
        return found | {ordinal(each.visitor) for each in offers if each.meta.nonce in came}

    def offered(
        self, record: Record, partner: Partner, visitor: int, allows: Allows
    ) -> list[PartnerRow]:
        """Give an offer's row, and that of an id that waited for it."""
        at_ms, nonce = record.received_us // 1000, record.meta.nonce
        browser = record.meta.agent
        offer = Offer(
            nonce=nonce, partner=partner.key, visitor=visitor, at_ms=at_ms, browser=browser
        )
        row = self._row(record.row, at_ms, partner, "offered", nonce=nonce, visitor=visitor)
        rows = [row._replace(browser=browser)]
        if partner.sync.direction is not Direction.BACK:
            return rows + self._ours(record, partner, visitor)
        self._offers[nonce] = offer
        early = self._waiting.pop(nonce, None)
        if early is not None:
            place = record.row | BEFORE_ITS_OFFER
            rows.append(self._answer(place, early, partner, offer, allows))
        return rows

    def _ours(self, record: Record, partner: Partner, visitor: int) -> list[PartnerRow]:
        """Give the row of our own id, by which a partner that keeps it knows the visitor."""
        uid, at_ms = record.meta.uid, record.received_us // 1000
        if not uid:
            return []
        place = record.row | BEFORE_ITS_OFFER
        nonce = record.meta.nonce
        row = self._row(place, at_ms, partner, "stored", "", nonce, visitor, uid)
        return [row._replace(browser=record.meta.agent)]

    def returned(self, record: Record, partner: Partner, allows: Allows) -> PartnerRow:
        """Give the row of an id that a partner brought."""
        meta, at_ms = record.meta, record.received_us // 1000
        offer = self._offers.get(meta.nonce)
        if offer is not None and self._forbids(record.visitor, offer.at_ms):
            return self._row(record.row, at_ms, partner, "refused", "suppressed", meta.nonce)
        if meta.reason:
            visitor = offer.visitor if offer else 0
            return self._row(
                record.row, at_ms, partner, "refused", meta.reason, meta.nonce, visitor, meta.uid
            )
        came = WaitingId(nonce=meta.nonce, partner=partner.key, id=meta.uid, at_ms=at_ms)
        if offer is not None:
            return self._answer(record.row, came, partner, offer, allows)
        if meta.nonce in self._answered:
            return self._row(record.row, at_ms, partner, "refused", "answered", meta.nonce)
        if not self._must_wait(came):
            return self._row(record.row, at_ms, partner, "refused", "no_offer", meta.nonce)
        waits = self._row(record.row, at_ms, partner, "waiting", nonce=meta.nonce)
        return waits._replace(uid=meta.uid)

    def forget_old(self, now_ms: int) -> None:
        """Let go of what no callback can answer any more."""
        oldest = now_ms - LIVES_MS
        self._offers = {key: each for key, each in self._offers.items() if each.at_ms >= oldest}
        self._answered = {key: at_ms for key, at_ms in self._answered.items() if at_ms >= oldest}
        self._waiting = {key: each for key, each in self._waiting.items() if each.at_ms >= oldest}
        first = now_ms - CONFIRMS_MS
        self._unconfirmed = {key: ms for key, ms in self._unconfirmed.items() if ms >= first}

    def _must_wait(self, came: WaitingId) -> bool:
        before = self._waiting.get(came.nonce)
        if (before is None and len(self._waiting) >= WAITING_MAX) or (before and before.id):
            return False
        self._waiting[came.nonce] = came
        return True

    def _answer(
        self, place: int, came: WaitingId, partner: Partner, offer: Offer, allows: Allows
    ) -> PartnerRow:
        if offer.partner != came.partner:
            # Why no visitor: an offer to another partner does not prove whose id this is.
            return self._row(place, came.at_ms, partner, "refused", "no_offer", came.nonce)
        if not came.id:
            return self._row(
                place, came.at_ms, partner, "deleted", nonce=came.nonce, visitor=offer.visitor
            )
        if not allows(partner, offer.visitor, place & ~BEFORE_ITS_OFFER):
            # Why no visitor: who refused is not to be kept as one whose id came.
            return self._row(place, came.at_ms, partner, "refused", NO_CONSENT, came.nonce)
        del self._offers[came.nonce]
        self._answered[came.nonce] = came.at_ms
        row = self._row(
            place, came.at_ms, partner, "stored", "", came.nonce, offer.visitor, came.id
        )
        if partner.sync.token_place is TokenPlace.COOKIE and not self._confirms(row):
            return row._replace(action="refused", reason=UNCONFIRMED)
        return row._replace(browser=offer.browser)

    def _confirms(self, row: PartnerRow) -> bool:
        """Tell whether an earlier offer brought this id, too; without a token one is no proof."""
        before = self._unconfirmed.get((row.visitor, row.id_ordinal))
        self._unconfirmed[row.visitor, row.id_ordinal] = row.at_ms
        return before is not None and row.at_ms - before <= CONFIRMS_MS

    def _row(
        self,
        place: int,
        at_ms: int,
        partner: Partner,
        action: str,
        reason: str = "",
        nonce: int = 0,
        visitor: int = 0,
        uid: str = "",
    ) -> PartnerRow:
        ordinal = int(self._ordinals(partner.id_space, [uid])[0]) if uid else 0
        return PartnerRow(
            place,
            at_ms,
            partner.key,
            partner.id_space,
            action,
            reason,
            nonce,
            visitor,
            uid,
            ordinal,
        )
