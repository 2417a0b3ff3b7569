"""Counts what each top criterion of a rule costs: as it stands in line, and as the one left out.

In go the base and the sets of the criteria, out come the rule's members and counts. It knows no
rule, and it changes none of the sets it is given.
"""

from collections.abc import Sequence

import msgspec
from pyroaring import BitMap

from audiences.evaluate import intersection


class Part(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A top criterion: these people of the base, or with `negated` everyone else of it."""

    members: BitMap
    negated: bool = False

    def size(self, base: BitMap) -> int:
        """Count whom of the base it holds for."""
        return len(base) - len(self.members) if self.negated else len(self.members)

    def of(self, people: BitMap) -> BitMap:
        """Give whom of these people it holds for."""
        return people - self.members if self.negated else people & self.members


class Counts(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The members, and for each part who is left after it and who would be without it."""

    members: BitMap
    kept: list[int]
    without: list[int]


def count_parts(parts: Sequence[Part], base: BitMap) -> Counts:
    """Take the parts one after the other, and leave each one out."""
    before = [base]
    for part in parts:
        # Why: a part lies within the base, so that the first one need not be met with it.
        is_first = len(before) == 1 and not part.negated
        before.append(part.members if is_first else part.of(before[-1]))
    return Counts(
        members=before[-1],
        kept=[len(each) for each in before[1:]],
        without=_leave_one_out(parts, before),
    )


def _leave_one_out(parts: Sequence[Part], before: Sequence[BitMap]) -> list[int]:
    """Count whom the other parts hold for: what those before and those after leave, met.

    What comes after is intersected from the back, for the second half within what the first half
    leaves, and for the first half from the small sets of the second half on.
    """
    half = len(parts) // 2
    without = [0] * len(parts)
    after = before[half]
    for place in range(len(parts) - 1, half - 1, -1):
        without[place] = before[place].intersection_cardinality(after)
        after = parts[place].of(after)
    after = _of_all(parts[half:], before[0])
    for place in range(half - 1, -1, -1):
        without[place] = before[place].intersection_cardinality(after)
        after = parts[place].of(after) if place else after
    return without


def _of_all(parts: Sequence[Part], base: BitMap) -> BitMap:
    wanted = [part.members for part in parts if not part.negated]
    members = intersection(wanted) if len(wanted) > 1 else (wanted or [base])[0]
    for part in parts:
        if part.negated:
            members = members - part.members
    return members
