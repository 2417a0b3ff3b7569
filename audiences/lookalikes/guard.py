"""What a lookalike must not know: what defines the seed, what came after it, what is sensitive.

In come a seed's rule and the names of traits; out go those to leave out, and the day to stop at.
Leaks that only counts tell are found in `lookalikes.traits`.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import msgspec

from audiences.calendar_days import day_of
from audiences.conditions import Condition, Op
from audiences.rule import (
    Audience,
    Did,
    DidInOrder,
    HasTrait,
    InAudience,
    Rule,
    SeenOn,
    walk,
)

CUT_DAYS_MAX: Final = 90
"""A seed of what people did within so many days is told apart by what they had done before."""

COMPUTED: Final = "rfm_"
LINES: Final = {"products.category": "category:", "products.name": "product:"}

SENSITIVE: Final = frozenset(
    [
        "health",
        "medical",
        "medicine",
        "medication",
        "disease",
        "illness",
        "diagnosis",
        "therapy",
        "hospital",
        "pregnancy",
        "pregnant",
        "fertility",
        "disability",
        "disabled",
        "hiv",
        "diabetes",
        "cancer",
        "genetic",
        "biometric",
        "religion",
        "religious",
        "faith",
        "church",
        "mosque",
        "synagogue",
        "political",
        "politics",
        "vote",
        "union",
        "ethnic",
        "ethnicity",
        "racial",
        "nationality",
        "immigration",
        "sexual",
        "sexuality",
        "sex",
        "orientation",
        "gay",
        "lesbian",
        "conviction",
        "criminal",
        "offence",
        "arrest",
    ]
)
"""Words that name what the law protects specially; a trait that has one is never used."""


class Defining(msgspec.Struct, frozen=True, kw_only=True):
    """The traits that a rule is made of, by whole name and by how a name begins."""

    names: frozenset[str] = frozenset()
    beginnings: tuple[str, ...] = ()

    def holds(self, trait: str) -> bool:
        """Tell whether a trait is one of them."""
        return trait in self.names or trait.startswith(self.beginnings)


def is_sensitive(trait: str) -> bool:
    """Tell whether a trait's name speaks of what the law protects specially."""
    return not SENSITIVE.isdisjoint(re.findall(r"[a-z]+", trait.lower()))


def defining(rule: Rule, audience: Callable[[str], Audience | None]) -> Defining:
    """Name the traits that the rule asks for, also through other audiences."""
    names: set[str] = set()
    beginnings: set[str] = set()
    for node in _nodes(rule, audience, set()):
        match node:
            case HasTrait():
                beginnings.add(COMPUTED if node.trait.startswith(COMPUTED) else f"{node.trait}=")
            case SeenOn():
                names.add(f"site:{node.site}")
            case Did():
                if node.sum is not None or node.counts() != (1, None):
                    beginnings.add(COMPUTED)
                _take_event(node.event, node.where, names, beginnings)
            case DidInOrder():
                for step in node.steps:
                    _take_event(step.event, step.where, names, beginnings)
    return Defining(names=frozenset(names), beginnings=tuple(sorted(beginnings)))


def seed_began(rule: Rule, audience: Callable[[str], Audience | None], *, today: int) -> int | None:
    """Give the day on which the youngest events of a rule began, if it asks for events of late.

    What was recorded since then may tell of the seed only because it was seed already.
    """
    begins = [
        _begin(node, today)
        for node in _nodes(rule, audience, set())
        if isinstance(node, Did | DidInOrder)
    ]
    late = [begin for begin in begins if begin is not None and begin >= today - CUT_DAYS_MAX]
    return max(late, default=None)


def _nodes(
    rule: Rule, audience: Callable[[str], Audience | None], seen: set[str]
) -> Iterator[Rule]:
    for _, node in walk(rule):
        yield node
        if isinstance(node, InAudience) and node.audience not in seen:
            seen.add(node.audience)
            other = audience(node.audience)
            if other is not None and other.rule is not None:
                yield from _nodes(other.rule, audience, seen)


def _take_event(
    event: str, where: Iterable[Condition], names: set[str], beginnings: set[str]
) -> None:
    lines = [each for each in where if each.field in LINES]
    if not lines:
        beginnings.add(f"event:{event}=")
    for each in lines:
        values = each.value if isinstance(each.value, tuple) else (each.value,)
        named = {f"{LINES[each.field]}{value}" for value in values}
        if each.op in (Op.IS, Op.IN):
            names |= named
        else:
            # Why all of them: of `contains` and bounds nobody can say here whose values pass.
            beginnings.add(LINES[each.field])


def _begin(node: Did | DidInOrder, today: int) -> int | None:
    if isinstance(node, DidInOrder):
        return None
    if node.since is not None:
        return day_of(node.since)
    return None if node.within_days is None else today - node.within_days
