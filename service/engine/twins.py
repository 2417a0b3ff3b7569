"""Finds the members of lookalike audiences: gathers what is known of people, ranks them, remembers.

Twins are found anew when their definition changes, once a day, and when somebody asks for it; in
between a build keeps them, less those who left the base.
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from pyroaring import BitMap

from audiences.criteria import Criteria
from audiences.lookalike import Lookalike, LookalikeRequest, find_twins
from audiences.rule import Audience
from matching.people import Identity
from service.engine.stores import Stores

HISTORY_DAYS: Final = 365
DAY_MS: Final = 86_400_000
VALUES_PER_TRAIT_MAX: Final = 50
RNG_SEED: Final = 1


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
        self._found: dict[str, tuple[Audience, int, BitMap]] = {}

    def __call__(self, audience: Audience, as_of_ms: int) -> BitMap:
        """Give an audience's members, found today or now."""
        base, day = self._base(audience.identity), self._criteria().days.day(as_of_ms)
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
        criteria = self._criteria()
        people = criteria.people(identity)
        excluded = self._suppressed()
        for key in request.exclude:
            excluded = excluded | self._members(key)
        tokens = self._stores.tokens.tokens(
            people,
            since_ms=as_of_ms - HISTORY_DAYS * DAY_MS,
            until_ms=as_of_ms,
            extra=self._trait_tokens(criteria, identity),
        )
        return find_twins(
            request,
            traits=tokens,
            seed=self._members(request.seed),
            base=self._base(identity),
            excluded=excluded,
            rng_seed=RNG_SEED,
        )

    def _base(self, identity: Identity) -> BitMap:
        """Give who may be found and learnt from: nobody whose consent forbids it, at any time."""
        criteria = self._criteria()
        denied = criteria.people(identity).persons_of_visitors(self._denied())
        return criteria.base(identity) - denied

    def _trait_tokens(self, criteria: Criteria, identity: Identity) -> Mapping[str, BitMap]:
        return {
            f"{trait.trait}={each.value}": each.holders
            for trait in self._stores.traits.traits()
            if trait.values <= VALUES_PER_TRAIT_MAX
            for each in criteria.trait_values(trait.trait, identity)
        }
