"""People like one person, over traits that change: signatures that follow, bands laid when asked.

In come everybody's traits as they are now, out go a person's nearest with the traits they share. Of
a large base a sample is searched; nothing is stored, and a restart folds anew.
"""

from collections.abc import Mapping
from typing import Final

import msgspec
from pyroaring import BitMap

from audiences.lookalike_signatures import Signatures, SignatureScheme, TokenTable, token_table
from audiences.lookalikes.kept_signatures import KeptSignatures
from audiences.lookalikes.neighbours import Bands, lay_bands, nearest_to
from audiences.lookalikes.ranges import sign
from audiences.lookalikes.sample import steady_sample
from matching.bitmaps import ordinals_of

PEOPLE_MAX: Final = 200_000
"""Signatures and bands of so many take some 250 MB."""
COMMON_ABOVE: Final = 0.3
"""What so large a share of people has makes nobody alike."""
SHARED_SHOWN: Final = 3


class Neighbour(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody like the person asked for: by how much, and the rarest traits that both have."""

    person: int
    likeness: float
    shared: tuple[str, ...]


class Neighbourhood:
    """The signatures of one base, which follow its people's traits."""

    def __init__(self, *, people_max: int = PEOPLE_MAX) -> None:
        self._people_max = people_max
        self._scheme = SignatureScheme()
        self._seen: tuple[BitMap, Mapping[str, BitMap]] | None = None
        self._names: list[str] = []
        self._held: dict[str, BitMap] = {}
        self._table: TokenTable = token_table([], self._scheme)
        nobody = Signatures(scheme=self._scheme, values=self._table.values[:0])
        self._kept = KeptSignatures(BitMap(), nobody, self._table)
        self._bands: Bands | None = None
        self.people = BitMap()
        self.folded_anew = 0

    def follow(self, base: BitMap, traits: Mapping[str, BitMap]) -> None:
        """Take over what people have now: gains are added, who lost a trait is folded anew."""
        if self._seen is not None and self._seen[1] is traits and self._seen[0] == base:
            return
        self.people = steady_sample(base, self._people_max)
        most = COMMON_ABOVE * len(self.people)
        here = {name: people & self.people for name, people in traits.items()}
        now = {name: people for name, people in here.items() if 0 < len(people) <= most}
        self._names += sorted(now.keys() - set(self._names))
        self._table = token_table(self._names, self._scheme)
        self._kept.settle(self.people, self._table)
        for token, name in enumerate(self._names):
            then, people = self._held.get(name, BitMap()) & self.people, now.get(name, BitMap())
            self._kept.gained(token, people - then)
            self._kept.lost(token, then - people)
        dirty = self._kept.dirty.copy()
        bitmaps = [now.get(name, BitMap()) for name in self._names]
        self._kept.refolded(dirty, sign(dirty, bitmaps, self._table))
        self.folded_anew, self._held, self._bands = len(dirty), now, None
        self._seen = (base, traits)

    def nearest(self, person: int, traits: Mapping[str, BitMap], *, most: int) -> list[Neighbour]:
        """Give the people most like one, who need not be in the sample that is searched."""
        if self._bands is None:
            self._bands = lay_bands(self._kept.signatures)
        bitmaps = [traits[name] if name in self._held else BitMap() for name in self._names]
        own = sign(BitMap([person]), bitmaps, self._table)
        found = nearest_to(self._bands, own, most=most + 1)
        ordinals = ordinals_of(self.people)
        people = [(int(ordinals[place]), likeness) for place, likeness in found]
        has = [name for name, held in self._held.items() if person in traits[name]]
        rarest = sorted(has, key=lambda name: (len(self._held[name]), name))
        return [
            Neighbour(
                person=other,
                likeness=round(likeness, 3),
                shared=tuple(name for name in rarest if other in self._held[name])[:SHARED_SHOWN],
            )
            for other, likeness in people
            if other != person
        ][:most]
