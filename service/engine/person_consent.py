"""What the browsers of one person said of consent, and what stands of it, by point reads alone.

Browsers come in by ordinal; whether a partner may have each comes out, and whether one of them
sends GPC. Suppression, bots and the customer's own word are decided elsewhere.
"""

from collections.abc import Iterable, Sequence
from functools import cached_property

from matching.consent.decide import Signals, Use
from matching.consent.fold import fold
from matching.consent.history import ConsentRow, Standing, read_signals
from matching.consent_store import has_gpc
from matching.partner_facts import Partner
from matching.person_rows_store import CONSENTS_OF_EACH_MAX
from service.engine.engine import Engine


class PersonConsent:
    """The consent of some browsers; what is asked for the first time is read then."""

    def __init__(self, engine: Engine, visitors: Iterable[int]) -> None:
        self._engine = engine
        self._visitors = list(visitors)
        self._decided: dict[tuple[int, str], bool] = {}

    @cached_property
    def rows(self) -> dict[int, list[ConsentRow]]:
        """What each browser said of consent, newest first."""
        return self._engine.stores.person_rows.consents(self._visitors)

    @cached_property
    def sends_gpc(self) -> bool:
        """Whether one of the browsers sends GPC, which denies for all of them."""
        decide = self._engine.decide
        return any(
            each.signals is not None and has_gpc(each.signals, each.site, decide)
            for each in {id(each): each for each in self._standing.values()}.values()
        )

    def allows(self, partner: Partner | None, visitor: int) -> bool:
        """Tell whether a browser's own signals let this partner have it."""
        if partner is None:
            return False
        standing = self._standing.get(visitor)
        key = (id(standing), partner.key)
        if key not in self._decided:
            self._decided[key] = self._decide(partner, standing)
        return self._decided[key]

    @cached_property
    def _standing(self) -> dict[int, Standing]:
        """What stands of each browser that ever said anything; the same texts are folded once."""
        folded: dict[tuple[str, ...], Standing] = {}
        found = {}
        for visitor, rows in self.rows.items():
            if len(rows) == CONSENTS_OF_EACH_MAX:  # there may be more that still counts
                standing = self._engine.stores.consents.standing(visitor)
            else:
                key = (rows[0].site, *(row.signals for row in rows))
                standing = folded[key] = folded.get(key) or _fold(rows)
            if standing is not None:
                found[visitor] = standing
        return found

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


def _fold(newest_first: Sequence[ConsentRow]) -> Standing:
    """Fold what one browser said; a row that cannot be read denies, whatever else was said."""
    texts = dict.fromkeys(row.signals for row in newest_first)
    said = [read_signals(text) for text in texts]
    readable = [each for each in said if each is not None]
    signals = fold(readable) if len(readable) == len(said) else None
    return Standing(signals=signals, site=newest_first[0].site)
