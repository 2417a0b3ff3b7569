"""Shows what a rule selects before it is saved: exact size, what each criterion costs, and reach.

In go a rule and the criteria of the moment, out comes one value with everything that a marketer
asks; the size is computed by the very path that builds take. Nothing is stored.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Final

import msgspec
from pyroaring import BitMap

from audiences.canonical import rule_hash
from audiences.criteria import Criteria
from audiences.evaluate import Leaf, evaluate
from audiences.explain import Explanation, explain
from audiences.preview_warnings import PreviewWarning, warnings_of
from audiences.rounding import Shown, shown, shown_share
from audiences.rule import All, Rule
from audiences.rule_words import words_of
from matching.people import Identity, People

SAMPLE_PERSONS: Final = 10
OVERLAPS_SHOWN: Final = 20
VALUES_SHOWN: Final = 20


class SeatCount(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a seat could be sent: people, and their ids."""

    people: int
    ids: int


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """How many of some people each partner and each seat can reach."""

    partners: Mapping[str, int]
    seats: Mapping[str, SeatCount]


class ShownSeat(msgspec.Struct, frozen=True, kw_only=True):
    """A seat's reach as it may be shown."""

    people: Shown
    ids: Shown


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One criterion of the waterfall: its own size, who is left after it, who was lost to it."""

    criterion: str
    size: Shown
    kept: Shown
    lost: Shown


class LeftOut(msgspec.Struct, frozen=True, kw_only=True):
    """The size without one criterion, and how many more that is."""

    criterion: str
    size: Shown
    added: Shown


class Overlap(msgspec.Struct, frozen=True, kw_only=True):
    """How many people another audience has in common with the rule."""

    audience: str
    size: Shown
    jaccard: float | None


class ValueShare(msgspec.Struct, frozen=True, kw_only=True):
    """How frequent one value of a trait is; index 100 is as in the base."""

    value: str
    size: Shown
    share: float | None
    base_share: float | None
    index: int | None


class SamplePerson(msgspec.Struct, frozen=True, kw_only=True):
    """One person that the rule selects, by ordinal, and why."""

    person: int
    why: Explanation


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is shown of a rule; None stands where a number is hidden."""

    size: Shown
    base: Shown
    share: float | None
    waterfall: tuple[Step, ...]
    leave_one_out: tuple[LeftOut, ...]
    reach: dict[str, Shown]
    seats: dict[str, ShownSeat]
    overlaps: tuple[Overlap, ...]
    breakdown: dict[str, tuple[ValueShare, ...]]
    sample: tuple[SamplePerson, ...]
    warnings: tuple[PreviewWarning, ...]
    as_of: int
    seconds: float


def preview(
    rule: Rule,
    identity: Identity,
    *,
    criteria: Criteria,
    reach: Callable[[People, BitMap], Reach],
    other_audiences: Mapping[str, BitMap],
    breakdown: Sequence[str] = (),
    exact: bool,
    as_of_ms: int,
) -> Preview:
    """Evaluate a rule and show it; without `exact`, counts are rounded and small ones hidden."""
    started = time.perf_counter()
    base, leaf = criteria.base(identity), criteria.leaf(identity, as_of_ms)
    members = evaluate(rule, base=base, leaf=leaf)
    parts = rule.of if isinstance(rule, All) else (rule,)
    sets = [evaluate(part, base=base, leaf=leaf) for part in parts]
    reached = reach(criteria.people(identity), members)
    overlaps = _overlaps(members, other_audiences, exact)
    return Preview(
        size=shown(len(members), exact),
        base=shown(len(base), exact),
        share=shown_share(len(members), len(base), exact),
        waterfall=_waterfall(parts, sets, base, exact),
        leave_one_out=_leave_one_out(parts, sets, base, exact),
        reach={key: shown(count, exact) for key, count in reached.partners.items()},
        seats={
            key: ShownSeat(people=shown(seat.people, exact), ids=shown(seat.ids, exact))
            for key, seat in reached.seats.items()
        },
        overlaps=overlaps,
        breakdown={
            trait: _breakdown(trait, members, criteria, identity, exact) for trait in breakdown
        },
        sample=_sample(rule, members, leaf) if exact else (),
        warnings=warnings_of(
            rule, parts, sets, members, criteria=criteria, as_of_ms=as_of_ms, exact=exact
        ),
        as_of=as_of_ms,
        seconds=time.perf_counter() - started,
    )


def _waterfall(
    parts: Sequence[Rule], sets: Sequence[BitMap], base: BitMap, exact: bool
) -> tuple[Step, ...]:
    """Take the criteria one after the other, as they stand."""
    steps, left = [], base
    for part, members in zip(parts, sets, strict=True):
        kept = left & members
        steps.append(
            Step(
                criterion=words_of(part),
                size=shown(len(members), exact),
                kept=shown(len(kept), exact),
                lost=shown(len(left) - len(kept), exact),
            )
        )
        left = kept
    return tuple(steps)


def _leave_one_out(
    parts: Sequence[Rule], sets: Sequence[BitMap], base: BitMap, exact: bool
) -> tuple[LeftOut, ...]:
    """Count without each criterion: what all before it leave, met with what all after it leave."""
    after = [base]
    for members in reversed(sets):
        after.append(after[-1] & members)
    size, before, rows = len(after[-1]), base, []
    for place, (part, members) in enumerate(zip(parts, sets, strict=True)):
        without = before.intersection_cardinality(after[len(sets) - 1 - place])
        rows.append(
            LeftOut(
                criterion=words_of(part),
                size=shown(without, exact),
                added=shown(without - size, exact),
            )
        )
        before = before & members
    return tuple(rows)


def _overlaps(members: BitMap, others: Mapping[str, BitMap], exact: bool) -> tuple[Overlap, ...]:
    """Give the audiences that are most alike first."""
    rows = [
        (members.jaccard_index(other) if members or other else 0.0, key, other)
        for key, other in others.items()
    ]
    rows.sort(key=lambda row: (-row[0], row[1]))
    return tuple(
        Overlap(
            audience=key,
            size=(size := shown(members.intersection_cardinality(other), exact)),
            jaccard=None if size is None else round(jaccard, 4 if exact else 2),
        )
        for jaccard, key, other in rows[:OVERLAPS_SHOWN]
    )


def _breakdown(
    trait: str, members: BitMap, criteria: Criteria, identity: Identity, exact: bool
) -> tuple[ValueShare, ...]:
    """Count the frequent values; one whose count is hidden could name a person and is left out."""
    base, rows = criteria.base(identity), []
    for each in criteria.trait_values(trait, identity)[:VALUES_SHOWN]:
        size = members.intersection_cardinality(each.holders)
        if shown(size, exact) is None:
            continue
        share = shown_share(size, len(members), exact)
        base_share = shown_share(len(each.holders), len(base), exact)
        rows.append(
            ValueShare(
                value=each.value,
                size=shown(size, exact),
                share=share,
                base_share=base_share,
                index=round(100 * share / base_share) if share is not None and base_share else None,
            )
        )
    return tuple(rows)


def _sample(rule: Rule, members: BitMap, leaf: Leaf) -> tuple[SamplePerson, ...]:
    """Draw the same persons for the same rule, so that a preview can be repeated."""
    draw = Random(rule_hash(rule))
    places = draw.sample(range(len(members)), min(SAMPLE_PERSONS, len(members)))
    return tuple(
        SamplePerson(person=members[place], why=explain(rule, members[place], leaf=leaf))
        for place in sorted(places)
    )
