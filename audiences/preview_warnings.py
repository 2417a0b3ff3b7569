"""Tells what a marketer should know of a rule before using it, each thing with a code."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final, Protocol

import msgspec

from audiences.behaviour import selection_of
from audiences.criteria import Criteria
from audiences.rounding import shown
from audiences.rule import Did, DidInOrder, HasTrait, Rule, criteria_of
from audiences.rule_words import words_of

SMALL_PERSONS: Final = 100
ALIKE_FROM: Final = 0.95
"""Two audiences with so much in common (Jaccard) are probably meant to be one."""
STALE_AFTER_MS: Final = 10 * 60_000


class WarningCode(StrEnum):
    """What may be wrong with a rule."""

    EMPTY = "empty"
    SMALL = "small"
    LEAVES_FEW = "leaves_few"
    REMOVES_NOBODY = "removes_nobody"
    BELOW_SEAT_MINIMUM = "below_seat_minimum"
    NEAR_DUPLICATE = "near_duplicate"
    STALE = "stale"
    UNKNOWN_EVENT = "unknown_event"
    UNKNOWN_TRAIT = "unknown_trait"
    OTHER_CURRENCY = "other_currency"
    MIXED_CURRENCIES = "mixed_currencies"


class PreviewWarning(msgspec.Struct, frozen=True, kw_only=True):
    """One warning, for programs and for people."""

    code: WarningCode
    text: str


class SeatSize(Protocol):
    """Whom a seat reaches, and how few it takes."""

    @property
    def people(self) -> int: ...

    @property
    def min_size(self) -> int: ...


class Likeness(Protocol):
    """Another audience and how much it has in common; None where that is hidden."""

    @property
    def audience(self) -> str: ...

    @property
    def jaccard(self) -> float | None: ...


class Measured(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What a preview counted: per top criterion its words, who is left, who would be without it."""

    words: Sequence[str]
    kept: Sequence[int]
    without: Sequence[int]
    seats: Mapping[str, SeatSize]
    overlaps: Sequence[Likeness]

    @property
    def size(self) -> int:
        """Count the members of the whole rule."""
        return self.kept[-1]


def warnings_of(
    rule: Rule, measured: Measured, *, criteria: Criteria, as_of_ms: int, exact: bool
) -> tuple[PreviewWarning, ...]:
    """Give all warnings of a rule.

    Without `exact` no warning tells more of a count than a rounded one would.
    """
    return (
        *_sizes(measured.size, exact),
        *_narrow_parts(measured, exact),
        *(_idle_parts(measured) if exact else ()),
        *_small_for_seats(measured, exact),
        *_near_duplicates(measured),
        *_stale(criteria, as_of_ms),
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


def _narrow_parts(measured: Measured, exact: bool) -> list[PreviewWarning]:
    """Name the criterion after which too few are left, and without which there would be enough."""
    for text, kept, without in zip(measured.words, measured.kept, measured.without, strict=True):
        if (shown(kept, exact) or 0) >= SMALL_PERSONS:
            continue
        if len(measured.words) == 1 or (shown(without, exact) or 0) < SMALL_PERSONS:
            return []
        found = f"Fewer than {SMALL_PERSONS} people are left after this criterion: {text}"
        return [PreviewWarning(code=WarningCode.LEAVES_FEW, text=found)]
    return []


def _idle_parts(measured: Measured) -> list[PreviewWarning]:
    """Name the criteria that change nothing, because the others imply them.

    Of nobody nothing is said: there each criterion but one changes nothing.
    """
    if len(measured.words) == 1 or not measured.size:
        return []
    return [
        PreviewWarning(
            code=WarningCode.REMOVES_NOBODY,
            text=f"Without this criterion the audience is the same: {text}",
        )
        for text, without in zip(measured.words, measured.without, strict=True)
        if without == measured.size
    ]


def _small_for_seats(measured: Measured, exact: bool) -> list[PreviewWarning]:
    """Name the seats that reach too few: an export adds nobody to them."""
    small = [
        f"{key} (at least {seat.min_size})"
        for key, seat in sorted(measured.seats.items())
        if (shown(seat.people, exact) or 0) < seat.min_size
    ]
    text = f"Too few people are reached for an export to these seats: {', '.join(small)}"
    return [PreviewWarning(code=WarningCode.BELOW_SEAT_MINIMUM, text=text)] if small else []


def _near_duplicates(measured: Measured) -> list[PreviewWarning]:
    """Name the audiences that hold almost the same people."""
    return [
        PreviewWarning(
            code=WarningCode.NEAR_DUPLICATE,
            text=f"Almost the same people are in the audience {each.audience!r}",
        )
        for each in measured.overlaps
        if each.jaccard is not None and each.jaccard >= ALIKE_FROM
    ]


def _stale(criteria: Criteria, as_of_ms: int) -> list[PreviewWarning]:
    minutes = (as_of_ms - criteria.loaded_until_ms()) // 60_000
    if as_of_ms - criteria.loaded_until_ms() <= STALE_AFTER_MS:
        return []
    text = f"What came in the last {minutes} minutes is not counted: it is not loaded yet"
    return [PreviewWarning(code=WarningCode.STALE, text=text)]


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
        *_unknown(WarningCode.UNKNOWN_EVENT, "event", events, criteria.known_events(events)),
        *_unknown(WarningCode.UNKNOWN_TRAIT, "trait", traits, criteria.known_traits(traits)),
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
        count = criteria.left_out(selection_of(each, day=criteria.days.day(as_of_ms)))
        if count:
            some = f"{count} events" if exact else "Events"
            text = f"{some} in another currency than their site's are not in the sum"
            warnings.append(PreviewWarning(code=WarningCode.OTHER_CURRENCY, text=text))
        if several and each.site is None:
            text = f"Sites have different currencies; name a site in: {words_of(each)}"
            warnings.append(PreviewWarning(code=WarningCode.MIXED_CURRENCIES, text=text))
    return warnings
