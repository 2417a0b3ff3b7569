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
from audiences.explain import Explanation, explain_all
from audiences.preview_sets import Part, count_parts
from audiences.preview_warnings import Measured, PreviewWarning, warnings_of
from audiences.rounding import Shown, shown, shown_share
from audiences.rule import All, AnyOf, AtLeast, Not, Rule
from audiences.rule_words import words_of
from matching.people import Identity, People

SAMPLE_PERSONS: Final = 10
OVERLAPS_SHOWN: Final = 20
VALUES_SHOWN: Final = 20


class SeatCount(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a seat could be sent: people, and their ids; below `min_size` people it adds none."""

    people: int
    ids: int
    min_size: int = 0


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
    rules = rule.of if isinstance(rule, All) else (rule,)
    parts = [_part(each, base, leaf) for each in rules]
    counts = count_parts(parts, base)
    members, kept, without = counts.members, counts.kept, counts.without
    words = [words_of(each) for each in rules]
    reached = reach(criteria.people(identity), members)
    common = {key: members.intersection_cardinality(each) for key, each in other_audiences.items()}
    overlaps = _overlaps(len(members), common, other_audiences, exact)
    measured = Measured(
        words=words, kept=kept, without=without, seats=reached.seats, overlaps=overlaps
    )
    return Preview(
        size=shown(len(members), exact),
        base=shown(len(base), exact),
        share=shown_share(len(members), len(base), exact),
        waterfall=_waterfall(words, [part.size(base) for part in parts], kept, len(base), exact),
        leave_one_out=_leave_one_out(words, without, len(members), exact),
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
        warnings=warnings_of(rule, measured, criteria=criteria, as_of_ms=as_of_ms, exact=exact),
        as_of=as_of_ms,
        seconds=time.perf_counter() - started,
    )


def _part(rule: Rule, base: BitMap, leaf: Leaf) -> Part:
    """Give a top criterion's people; one that is negated is taken away, never spread out."""
    if isinstance(rule, Not):
        inner = _part(rule.rule, base, leaf)
        return Part(members=inner.members, negated=not inner.negated)
    if isinstance(rule, All | AnyOf | AtLeast):
        return Part(members=evaluate(rule, base=base, leaf=leaf))
    return Part(members=leaf(rule))


def _waterfall(
    words: Sequence[str], sizes: Sequence[int], kept: Sequence[int], base: int, exact: bool
) -> tuple[Step, ...]:
    """Take the criteria one after the other, as they stand."""
    return tuple(
        Step(
            criterion=text,
            size=shown(size, exact),
            kept=shown(left, exact),
            lost=shown(before - left, exact),
        )
        for text, size, left, before in zip(words, sizes, kept, [base, *kept], strict=False)
    )


def _leave_one_out(
    words: Sequence[str], without: Sequence[int], size: int, exact: bool
) -> tuple[LeftOut, ...]:
    return tuple(
        LeftOut(criterion=text, size=shown(count, exact), added=shown(count - size, exact))
        for text, count in zip(words, without, strict=True)
    )


def _overlaps(
    size: int, common: Mapping[str, int], others: Mapping[str, BitMap], exact: bool
) -> tuple[Overlap, ...]:
    """Give the audiences that are most alike first."""
    rows = []
    for key, count in common.items():
        together = size + len(others[key]) - count
        rows.append((count / together if together else 0.0, key, count))
    rows.sort(key=lambda row: (-row[0], row[1]))
    return tuple(
        Overlap(
            audience=key,
            size=(told := shown(count, exact)),
            jaccard=None if told is None else round(jaccard, 4 if exact else 2),
        )
        for jaccard, key, count in rows[:OVERLAPS_SHOWN]
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
    persons = [members[place] for place in sorted(places)]
    return tuple(
        SamplePerson(person=person, why=why)
        for person, why in zip(persons, explain_all(rule, persons, leaf=leaf), strict=True)
    )
