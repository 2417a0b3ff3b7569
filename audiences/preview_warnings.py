"""Tells what a marketer should know of a rule before using it, each thing with a code."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import msgspec
from pyroaring import BitMap

from audiences.behaviour import selection_of
from audiences.criteria import Criteria
from audiences.rounding import shown
from audiences.rule import Did, DidInOrder, HasTrait, Rule, criteria_of
from audiences.rule_words import words_of

SMALL_PERSONS: Final = 100


class WarningCode(StrEnum):
    """What may be wrong with a rule."""

    EMPTY = "empty"
    SMALL = "small"
    REMOVES_NOBODY = "removes_nobody"
    UNKNOWN_EVENT = "unknown_event"
    UNKNOWN_TRAIT = "unknown_trait"
    OTHER_CURRENCY = "other_currency"
    MIXED_CURRENCIES = "mixed_currencies"


class PreviewWarning(msgspec.Struct, frozen=True, kw_only=True):
    """One warning, for programs and for people."""

    code: WarningCode
    text: str


def warnings_of(
    rule: Rule,
    parts: Sequence[Rule],
    sets: Sequence[BitMap],
    members: BitMap,
    *,
    criteria: Criteria,
    as_of_ms: int,
    exact: bool,
) -> tuple[PreviewWarning, ...]:
    """Give all warnings of a rule; `parts` are its top criteria, `sets` their people.

    Without `exact` no warning tells more of a count than a rounded one would.
    """
    return (
        *_sizes(len(members), exact),
        *(_idle_parts(parts, sets) if exact else ()),
        *_unknown_names(rule, criteria),
        *_currencies(rule, criteria, as_of_ms, exact),
    )


def _sizes(persons: int, exact: bool) -> list[PreviewWarning]:
    if not persons and exact:
        return [PreviewWarning(code=WarningCode.EMPTY, text="Nobody meets this rule")]
    if (shown(persons, exact) or 0) < SMALL_PERSONS:
        text = f"Fewer than {SMALL_PERSONS} people meet this rule; most seats refuse so few"
        return [PreviewWarning(code=WarningCode.SMALL, text=text)]
    return []


def _idle_parts(parts: Sequence[Rule], sets: Sequence[BitMap]) -> list[PreviewWarning]:
    """Name the criteria that change nothing, because the others imply them."""
    warnings = []
    for place, part in enumerate(parts if len(parts) > 1 else ()):
        others = [each for other, each in enumerate(sets) if other != place]
        if BitMap.intersection(*others).issubset(sets[place]):
            text = f"Without this criterion the audience is the same: {words_of(part)}"
            warnings.append(PreviewWarning(code=WarningCode.REMOVES_NOBODY, text=text))
    return warnings


def _unknown_names(rule: Rule, criteria: Criteria) -> list[PreviewWarning]:
    events: list[str] = []
    traits: list[str] = []
    for each in criteria_of(rule):
        if isinstance(each, Did):
            events.append(each.event)
        elif isinstance(each, DidInOrder):
            events += [step.event for step in each.steps]
        elif isinstance(each, HasTrait):
            traits.append(each.trait)
    return [
        *_unknown(WarningCode.UNKNOWN_EVENT, "event", events, criteria.known_events),
        *_unknown(WarningCode.UNKNOWN_TRAIT, "trait", traits, criteria.known_traits),
    ]


def _unknown(
    code: WarningCode, kind: str, named: Sequence[str], known: frozenset[str]
) -> list[PreviewWarning]:
    unknown = [name for name in dict.fromkeys(named) if name not in known]
    text = "No {} called {!r} has come yet; names are case-sensitive"
    return [PreviewWarning(code=code, text=text.format(kind, name)) for name in unknown]


def _currencies(rule: Rule, criteria: Criteria, as_of_ms: int, exact: bool) -> list[PreviewWarning]:
    """Tell of sums that leave events out, or add different currencies up."""
    warnings, currencies = [], criteria.world.currencies
    several = len({each.upper() for each in currencies.values() if each}) > 1
    for each in criteria_of(rule):
        if not isinstance(each, Did) or each.sum is None:
            continue
        selection = selection_of(each, day=criteria.days.day(as_of_ms))
        count = criteria.events.left_out(selection, currencies)
        if count:
            some = f"{count} events" if exact else "Events"
            text = f"{some} in another currency than their site's are not in the sum"
            warnings.append(PreviewWarning(code=WarningCode.OTHER_CURRENCY, text=text))
        if several and each.site is None:
            text = f"Sites have different currencies; name a site in: {words_of(each)}"
            warnings.append(PreviewWarning(code=WarningCode.MIXED_CURRENCIES, text=text))
    return warnings
