"""Whether consent still lets an id be kept that comes back: what was said since its offer counts.

What earlier chunks hold of the visitors and what this one tells come in, an answer for an id at its
row goes out. Later rows say nothing yet, so that a chunk which is read again decides alike.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable

from matching.consent.classes import Told, signals_of, stands_of, told_by
from matching.consent.decide import Use
from matching.consent_store import ConsentStore
from matching.partner_facts import Partner
from service.engine.chunk_links import SignalsTold
from service.tag.tag_state import Site, TagState


class SyncConsents:
    """What stands of some visitors' consent at each row of a chunk."""

    def __init__(
        self,
        state: TagState,
        store: ConsentStore,
        chunk: int,
        told: Iterable[SignalsTold],
        *,
        visitors: Collection[int],
    ) -> None:
        self._state = state
        self._before = store.stands(sorted(visitors), before_chunk=chunk) if visitors else {}
        self._told: dict[int, list[SignalsTold]] = defaultdict(list)
        for each in told if visitors else ():
            if each.visitor in visitors:
                self._told[each.visitor].append(each)

    def allow(self, partner: Partner, visitor: int, row: int) -> bool:
        """Tell whether this visitor's id may be kept that came in this row; who never spoke may."""
        before = self._before.get(visitor)
        told = [each for each in self._told.get(visitor, ()) if each.row < row]
        if before is None and not told:
            return True
        history = [told_by(each.signals) for each in reversed(told)]
        if before is not None:
            history.append(Told(signals_of(before), before.opted_out))
        signals = signals_of(stands_of(history, ""))
        if signals is None:
            return False
        site = self._site(told[-1].site if told or before is None else before.site)
        return self._state.decide(signals, Use.SYNC, site, partner.consent).allowed

    def _site(self, key: str) -> Site:
        sites = self._state.sites
        return next((each for each in sites if each.key == key), sites[0])
