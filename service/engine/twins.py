"""Finds the members of lookalike audiences: gathers what is known of people, ranks them, remembers.

Twins are found anew when their definition changes, once a day, and when somebody asks for it; in
between a build keeps them, less those who left the base.
"""

from typing import TYPE_CHECKING, Final

import msgspec
from pyroaring import BitMap

from audiences.lookalike import Lookalike, LookalikeRequest, find_twins
from audiences.rule import Audience
from matching.people import Identity

if TYPE_CHECKING:
    from service.engine.engine import Engine

HISTORY_DAYS: Final = 365
DAY_MS: Final = 86_400_000
VALUES_PER_TRAIT_MAX: Final = 50
RNG_SEED: Final = 1


class Twins:
    """Lookalikes over one engine's people."""

    def __init__(self, engine: "Engine") -> None:
        self._engine = engine
        self._found: dict[str, tuple[Audience, int, BitMap]] = {}

    def __call__(self, audience: Audience, as_of_ms: int) -> BitMap:
        """Give an audience's members, found today or now."""
        base = self._engine.criteria.base(audience.identity)
        day = self._engine.days.day(as_of_ms)
        known = self._found.get(audience.key)
        if known is not None and known[:2] == (audience, day):
            return known[2] & base
        if audience.lookalike is None:
            raise ValueError(f"the audience {audience.key!r} has a rule and no lookalike")
        request = msgspec.convert(msgspec.to_builtins(audience.lookalike), LookalikeRequest)
        members = self.find(request, audience.identity, as_of_ms).members
        self._found[audience.key] = (audience, day, members)
        return members

    def forget(self, key: str) -> None:
        """Let the next build find this audience's twins anew."""
        self._found.pop(key, None)

    def find(self, request: LookalikeRequest, identity: Identity, as_of_ms: int) -> Lookalike:
        """Rank everybody by likeness to the seed and report how well that works."""
        engine = self._engine
        people = engine.criteria.people(identity)
        excluded = engine.suppressed.copy()
        for key in request.exclude:
            excluded |= engine.builder.members(key)
        tokens = engine.stores.tokens.tokens(
            people,
            since_ms=as_of_ms - HISTORY_DAYS * DAY_MS,
            until_ms=as_of_ms,
            extra=self._trait_tokens(identity),
        )
        return find_twins(
            request,
            traits=tokens,
            seed=engine.builder.members(request.seed),
            base=engine.criteria.base(identity),
            excluded=excluded,
            rng_seed=RNG_SEED,
        )

    def _trait_tokens(self, identity: Identity) -> dict[str, BitMap]:
        return {
            f"{trait.trait}={each.value}": each.holders
            for trait in self._engine.stores.traits.traits()
            if trait.values <= VALUES_PER_TRAIT_MAX
            for each in self._engine.criteria.trait_values(trait.trait, identity)
        }
