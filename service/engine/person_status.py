"""Why a partner or seat reaches one person or not, told by point reads alone.

In go a person and what it is sent by, out comes one answer of `addressability.py` with its details:
the same that the bitmaps of `seat_reach.py` give for everybody.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Final

import msgspec

from matching.consent.decide import Signals, Use
from matching.consent.fold import fold
from matching.consent.history import ConsentRow, Standing, read_signals
from matching.consent_store import has_gpc
from matching.partner_facts import VISITORS_PER_ID_MAX, Partner
from matching.partner_ids_store import DAY_MS, PartnerIdRow
from matching.person_rows_store import CONSENTS_OF_EACH_MAX
from service.engine.addressability import ORDER, Addressability
from service.engine.engine import Engine
from service.engine.reach_facts import CONTACTS
from service.engine.seat_reach import Target
from service.engine.subjects import Subject

IDS: Final = frozenset({"stored", "deleted"})


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """How far one browser came at a target, and what is known of it there."""

    status: Addressability
    visitor: int = 0
    id_space: str = ""
    id: str | None = None
    """Its newest id; hashed contacts are not told."""
    last_offered: int | None = None
    last_returned: int | None = None
    expires_at: int | None = None
    refusal: str | None = None


class PersonStatus:
    """One person, with all that decides whether it may be sent; asked for as many targets."""

    def __init__(
        self, engine: Engine, subject: Subject, rows: Sequence[PartnerIdRow] | None = None
    ) -> None:
        """Take a person; `rows` are those of the table of correspondence, if they are there."""
        self._engine = engine
        self._subject = subject
        self._given = rows
        self._decided: dict[tuple[int, str], bool] = {}
        self._others: dict[int, PersonStatus | None] = {}
        self._answers: dict[str, list[Answer]] = {}
        self._now_ms = engine.now_ms()

    def at(self, target: Target) -> Answer:
        """Give the answer of the browser that comes furthest."""
        if self._subject.customer in self._engine.suppressed:
            return Answer(status=Addressability.SUPPRESSED)
        answers = self.browsers(target)
        if not answers:
            return Answer(status=Addressability.NO_BROWSER)
        return max(answers, key=lambda each: (ORDER.index(each.status), each.last_returned or 0))

    def browsers(self, target: Target) -> list[Answer]:
        """Give the answer of each browser."""
        if target.key not in self._answers:
            several = self._carriers(target)
            self._answers[target.key] = [
                self._browser(target, visitor, several) for visitor in self._subject.visitors
            ]
        return self._answers[target.key]

    def barred(self, target: Target, visitor: int) -> Addressability | None:
        """Say what forbids to send a browser there, whatever its ids; None when nothing does."""
        engine, customer = self._engine, self._subject.customer
        if visitor in engine.suppressed or customer in engine.suppressed:
            return Addressability.SUPPRESSED
        if visitor in engine.reaches.bots:
            return Addressability.BOT
        if self._sends_gpc:
            return Addressability.GPC
        return None if self._allows(target.partner, visitor) else Addressability.NO_CONSENT

    @cached_property
    def is_opted_in(self) -> bool:
        """Whether the customer lets its hashed contacts be sent."""
        return bool(self._subject.customer) and any(
            name.kind == "opt_in" and name.value == "1"
            for name in self._engine.stores.customers.names(self._subject.customer)
        )

    @cached_property
    def consents(self) -> dict[int, list[ConsentRow]]:
        """What each browser said of consent, newest first."""
        return self._engine.stores.person_rows.consents(list(self._subject.visitors))

    @cached_property
    def _rows(self) -> dict[int, list[PartnerIdRow]]:
        given = self._given
        if given is None:
            given = self._engine.subjects.partner_ids_of(self._subject)
        found: dict[int, list[PartnerIdRow]] = {}
        for row in given:
            found.setdefault(row.visitor, []).append(row)
        return found

    @cached_property
    def _standing(self) -> dict[int, Standing]:
        """What stands of each browser that ever said anything; the same texts are folded once."""
        folded: dict[tuple[str, ...], Standing] = {}
        found = {}
        for visitor, rows in self.consents.items():
            if len(rows) == CONSENTS_OF_EACH_MAX:  # there may be more that still counts
                standing = self._engine.stores.consents.standing(visitor)
            else:
                key = (rows[0].site, *(row.signals for row in rows))
                standing = folded[key] = folded.get(key) or _fold(rows)
            if standing is not None:
                found[visitor] = standing
        return found

    @cached_property
    def _sends_gpc(self) -> bool:
        """Whether one of the browsers sends GPC, which denies for all of them."""
        decide = self._engine.decide
        return any(
            each.signals is not None and has_gpc(each.signals, each.site, decide)
            for each in {id(each): each for each in self._standing.values()}.values()
        )

    def _allows(self, partner: Partner | None, visitor: int) -> bool:
        if partner is None:
            return False
        standing = self._standing.get(visitor)
        key = (id(standing), partner.key)
        if key not in self._decided:
            self._decided[key] = self._decide(partner, standing)
        return self._decided[key]

    def _decide(self, partner: Partner, standing: Standing | None) -> bool:
        decide = self._engine.decide
        if standing is None:
            site = self._engine.config.default_site.key
            return decide(Signals(), Use.EXPORT, partner.consent, site).allowed
        signals, site = standing.signals, standing.site
        return (
            signals is not None
            and decide(signals, Use.EXPORT, partner.consent, site).allowed
            and decide(signals, Use.AUDIENCES, None, site).allowed
        )

    def _browser(self, target: Target, visitor: int, several: dict[int, list[int]]) -> Answer:
        rows = self._rows.get(visitor, [])
        spaces = [
            self._in_space(target, space, visitor, rows, several) for space in target.id_spaces
        ]
        best = max(spaces, key=lambda each: ORDER.index(each.status))
        if barred := self.barred(target, visitor):
            return msgspec.structs.replace(best, status=barred)
        is_nearer = ORDER.index(best.status) < ORDER.index(Addressability.OTHER_ID_SPACE)
        if is_nearer and any(self._live_id(rows, pool, target.lives_days) for pool in target.pools):
            return msgspec.structs.replace(best, status=Addressability.OTHER_ID_SPACE)
        return best

    def _in_space(
        self,
        target: Target,
        id_space: str,
        visitor: int,
        rows: Sequence[PartnerIdRow],
        several: dict[int, list[int]],
    ) -> Answer:
        """Say how far a browser's ids of one space came, whatever consent says."""
        own = [row for row in rows if row.id_space == id_space]
        newest = self._newest(own)
        stored = newest if newest is not None and newest.action == "stored" else None
        offered = next((row.received_at_ms for row in own if row.action == "offered"), None)
        refusal = next((row.reason for row in own if row.action == "refused"), None)
        return Answer(
            status=self._status(target, visitor, newest, own, several),
            visitor=visitor,
            id_space=id_space,
            id=stored.id if stored and id_space not in CONTACTS else None,
            last_offered=offered,
            last_returned=newest.received_at_ms if newest else None,
            expires_at=stored.received_at_ms + target.lives_days * DAY_MS if stored else None,
            refusal=refusal,
        )

    def _status(
        self,
        target: Target,
        visitor: int,
        newest: PartnerIdRow | None,
        own: Sequence[PartnerIdRow],
        several: dict[int, list[int]],
    ) -> Addressability:
        if newest is None:
            did = {row.action for row in own}
            if "refused" in did:
                return Addressability.REFUSED_ID
            is_offered = "offered" in did
            return Addressability.NEVER_RETURNED if is_offered else Addressability.NEVER_OFFERED
        if newest.action == "deleted":
            return Addressability.DELETED
        if newest.received_at_ms < self._now_ms - target.lives_days * DAY_MS:
            return Addressability.EXPIRED
        others = [each for each in several.get(newest.id_ordinal, ()) if each != visitor]
        if len(others) >= VISITORS_PER_ID_MAX:
            return Addressability.FAN_OUT
        is_contact = newest.id_space in CONTACTS
        if is_contact and not self._subject.customer:
            return Addressability.NOT_LINKED
        if is_contact and not self.is_opted_in:
            return Addressability.NOT_OPTED_IN
        if any(self._denies(target, other, is_contact=is_contact) for other in others):
            return Addressability.DENIED_ELSEWHERE
        return Addressability.ADDRESSABLE

    def _carriers(self, target: Target) -> dict[int, list[int]]:
        """Give who else carries the live ids that several browsers carry; most often nobody."""
        found: dict[int, list[int]] = {}
        for space in target.id_spaces:
            live = [self._live_id(rows, space, target.lives_days) for rows in self._rows.values()]
            found |= self._engine.stores.partner_ids.states.carriers(
                space,
                {row.id_ordinal: row.id for row in live if row},
                as_of_ms=self._now_ms,
                lives_days=target.lives_days,
            )
        return found

    def _denies(self, target: Target, visitor: int, *, is_contact: bool) -> bool:
        """Tell whether another browser with the same id may not be sent, so that the id may not."""
        if visitor not in self._others:
            subject = self._engine.subjects.of_visitor(visitor)
            self._others[visitor] = PersonStatus(self._engine, subject) if subject else None
        other = self._others[visitor]
        if other is None or (is_contact and not other.is_opted_in):
            return False
        return other.barred(target, visitor) is not None

    def _live_id(
        self, rows: Sequence[PartnerIdRow], id_space: str, lives_days: int
    ) -> PartnerIdRow | None:
        newest = self._newest([row for row in rows if row.id_space == id_space])
        since_ms = self._now_ms - lives_days * DAY_MS
        is_live = newest and newest.action == "stored" and newest.received_at_ms >= since_ms
        return newest if is_live else None

    def _newest(self, own: Sequence[PartnerIdRow]) -> PartnerIdRow | None:
        """Give the newest id or deletion; one of a clock that is ahead does not count yet."""
        return next(
            (row for row in own if row.action in IDS and row.received_at_ms <= self._now_ms), None
        )


def _fold(newest_first: Sequence[ConsentRow]) -> Standing:
    """Fold what one browser said; a row that cannot be read denies, whatever else was said."""
    texts = dict.fromkeys(row.signals for row in newest_first)
    said = [read_signals(text) for text in texts]
    readable = [each for each in said if each is not None]
    signals = fold(readable) if len(readable) == len(said) else None
    return Standing(signals=signals, site=newest_first[0].site)
