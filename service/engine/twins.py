"""Finds the members of lookalike audiences: gathers what is known of people, ranks them, remembers.

Also finds people like one person. Twins are found anew when their definition changes, once a day,
and when somebody asks for it; in between a build keeps them, less those who left the base.
"""

from collections import deque
from collections.abc import Callable, Sequence
from datetime import date
from threading import Lock
from typing import Final

import msgspec
from pyroaring import BitMap

from audiences.calendar_days import date_of, day_of
from audiences.criteria import Criteria
from audiences.lookalike import Lookalike, LookalikeRequest, find_twins
from audiences.lookalikes.guard import Defining, defining, seed_began
from audiences.lookalikes.neighbourhood import Neighbour, Neighbourhood
from audiences.lookalikes.report import LookalikeReport, LookalikeWarning, WarningCode
from audiences.rule import Audience
from matching.people import Identity
from service.engine.person_traits import PersonTraits
from service.engine.stores import Stores

RNG_SEED: Final = 1
SEEDS_REMEMBERED: Final = 50
SEEDS_DIFFER_LEAST: Final = 10
"""Seeds that differ by fewer people are reported as one, so that no report tells of the others."""


class Twins:
    """Lookalikes over one engine's people."""

    def __init__(
        self,
        *,
        stores: Stores,
        criteria: Callable[[], Criteria],
        members: Callable[[str], BitMap],
        suppressed: Callable[[], BitMap],
        denied: Callable[[], BitMap],
    ) -> None:
        self._stores = stores
        self._criteria = criteria
        self._members = members
        self._suppressed = suppressed
        self._denied = denied
        self._traits = PersonTraits(stores)
        self._neighbourhoods: dict[Identity, Neighbourhood] = {}
        self._looking = Lock()
        self._found: dict[str, tuple[Audience, int, Lookalike]] = {}
        self._reported: deque[BitMap] = deque(maxlen=SEEDS_REMEMBERED)

    def __call__(self, audience: Audience, as_of_ms: int) -> BitMap:
        """Give an audience's members, found today or now."""
        base, day = self._base(audience.identity), self._criteria().days.day(as_of_ms)
        known = self._found.get(audience.key)
        if known is not None and known[:2] == (audience, day):
            return known[2].members & base
        if audience.lookalike is None:
            raise ValueError(f"the audience {audience.key!r} has a rule and no lookalike")
        request = msgspec.convert(msgspec.to_builtins(audience.lookalike), LookalikeRequest)
        found = self.find(request, audience.identity, as_of_ms)
        # Why less than was found: only a preview needs the ladder, and only members are explained.
        reasons = found.reasons.only(found.members)
        kept = msgspec.structs.replace(found, ladder=(), reasons=reasons)
        self._found[audience.key] = (audience, day, kept)
        return found.members

    def forget(self, key: str) -> None:
        """Let the next build find this audience's twins anew."""
        self._found.pop(key, None)

    def report(self, key: str) -> LookalikeReport | None:
        """Give the report of an audience's last finding, if it was found since the start."""
        known = self._found.get(key)
        return None if known is None else known[2].report

    def reasons(self, key: str, person: int) -> tuple[str, ...] | None:
        """Give the three traits that make a person a twin, if this audience was found here."""
        known = self._found.get(key)
        return None if known is None else known[2].reasons.of(person)

    def find(
        self,
        request: LookalikeRequest,
        identity: Identity,
        as_of_ms: int,
        *,
        sees_people: bool = True,
    ) -> Lookalike:
        """Rank everybody by likeness to the seed and report how well that works."""
        criteria = self._criteria()
        excluded = self._suppressed()
        for key in request.exclude:
            excluded = excluded | self._members(key)
        base = self._base(identity)
        seed = self._members(request.seed) & base
        today = criteria.days.day(as_of_ms)
        cut = self._cut(request, today)
        traits = self._traits.gather(criteria, identity, as_of_ms, cut=cut, edges=request.edges)
        made_of = self._defining(request.seed)
        found = find_twins(
            request,
            traits=traits,
            seed=seed if sees_people else self._steady(seed),
            base=base,
            excluded=excluded,
            rng_seed=RNG_SEED,
            defining=[trait for trait in traits if made_of.holds(trait)],
        )
        return found if cut is None else _with_cut(found, date_of(cut), request.cut is not None)

    def edges(self, as_of_ms: int) -> dict[str, tuple[float, ...]]:
        """Give where numbers are cut in bins today, to be kept with what is saved."""
        return self._traits.edges(self._criteria(), as_of_ms)

    def like(
        self, owners: Sequence[int], identity: Identity, as_of_ms: int, *, most: int
    ) -> tuple[Neighbour, ...] | None:
        """Give the people most like one, who has these ordinals; None if it may not be compared."""
        base = self._base(identity) - self._suppressed()
        person = next((each for each in owners if each in base), None)
        if person is None:
            return None
        traits = self._traits.gather(self._criteria(), identity, as_of_ms, cut=None)
        with self._looking:
            known = self._neighbourhoods.setdefault(identity, Neighbourhood())
            known.follow(base, traits)
            return tuple(known.nearest(person, traits, most=most))

    def _base(self, identity: Identity) -> BitMap:
        """Give who may be found and learnt from: nobody whose consent forbids it, at any time."""
        criteria = self._criteria()
        denied = criteria.people(identity).persons_of_visitors(self._denied())
        return criteria.base(identity) - denied

    def _defining(self, seed: str) -> Defining:
        audiences = self._criteria().world.audiences
        found = audiences.get(seed)
        if found is None or found.rule is None:
            return Defining()
        return defining(found.rule, audiences.get)

    def _cut(self, request: LookalikeRequest, today: int) -> int | None:
        """Give the first day that is not known of people: as asked, or when the seed began."""
        if request.cut is not None:
            return min(day_of(request.cut), today + 1)
        audiences = self._criteria().world.audiences
        seed = audiences.get(request.seed)
        if seed is None or seed.rule is None:
            return None
        return seed_began(seed.rule, audiences.get, today=today)

    def _steady(self, seed: BitMap) -> BitMap:
        """Give a seed reported before if this one differs from it by a few people only."""
        for known in self._reported:
            if len(known ^ seed) < SEEDS_DIFFER_LEAST:
                return known
        self._reported.append(seed)
        return seed


def _with_cut(found: Lookalike, cut: date, is_asked: bool) -> Lookalike:
    report = msgspec.structs.replace(found.report, cut=cut)
    if not is_asked:
        text = (
            f"The seed is made of what people did from {cut} on, so only what was known before is "
            "used."
        )
        warning = LookalikeWarning(code=WarningCode.CUT_AT_SEED_EVENT, text=text)
        report = msgspec.structs.replace(report, warnings=(*report.warnings, warning))
    return msgspec.structs.replace(found, report=report)
