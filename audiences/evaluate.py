"""Evaluates a rule as set algebra over roaring bitmaps, within a base.

In go a rule, the base and a function that gives each criterion's people; out comes the set of
people. It asks for no data and changes none of the sets it is given.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from pyroaring import BitMap

from audiences.rule import All, AnyOf, AtLeast, Criterion, Not, Rule

Leaf: TypeAlias = Callable[[Criterion], BitMap]


def evaluate(rule: Rule, *, base: BitMap, leaf: Leaf) -> BitMap:
    """Give everyone of the base whom the rule holds for."""
    match rule:
        case All():
            return _all(rule.of, base=base, leaf=leaf)
        case AnyOf():
            return _any([_found(each, base=base, leaf=leaf) for each in rule.of], base)
        case Not():
            return base - _found(rule.rule, base=base, leaf=leaf)
        case AtLeast():
            sets = [_found(each, base=base, leaf=leaf) for each in rule.of]
            return at_least(rule.k, sets) & base
        case _:
            return leaf(rule) & base


def at_least(k: int, sets: Sequence[BitMap]) -> BitMap:
    """Give the members of at least k of the sets (k from 1 on)."""
    if k > len(sets):
        return BitMap()
    # reached[j] holds the members of more than j of the sets seen so far; from the top down, so
    # that one set lifts a member by one step only. Steps from which too few sets are left to come
    # to k are not kept up. The large sets go first, while there is little to intersect them with.
    reached = [BitMap() for _ in range(k)]
    for place, members in enumerate(sorted(sets, key=len, reverse=True)):
        least = max(0, k - (len(sets) - place))
        for j in range(min(k - 1, place), max(0, least - 1), -1):
            reached[j] |= reached[j - 1] & members
        if least == 0:
            reached[0] |= members
    return reached[-1]


def intersection(sets: Sequence[BitMap]) -> BitMap:
    """Intersect two sets or more, the small ones first; what comes out is new."""
    first, second, *others = sorted(sets, key=len)
    members = first & second
    for each in others:
        members &= each
    return members


def _found(rule: Rule, *, base: BitMap, leaf: Leaf) -> BitMap:
    """Give a set that is right within the base; a criterion's may reach beyond it.

    Why: a criterion's set is large, and whoever asks narrows the whole to the base once.
    """
    if isinstance(rule, All | AnyOf | Not | AtLeast):
        return evaluate(rule, base=base, leaf=leaf)
    return leaf(rule)


def _all(rules: Sequence[Rule], *, base: BitMap, leaf: Leaf) -> BitMap:
    """Intersect what costs nothing first, the small sets before the large ones.

    Of what is put together only those are asked who are left by then; the negated go last.
    """
    sets, nested, unwanted = [base], list[Rule](), list[Rule]()
    for each in rules:
        match each:
            case Not():
                unwanted.append(each.rule)
            case All() | AnyOf() | AtLeast():
                nested.append(each)
            case _:
                sets.append(leaf(each))
    members = intersection(sets) if len(sets) > 1 else base.copy()
    for rule in nested:
        members = evaluate(rule, base=members, leaf=leaf)
    for rule in unwanted:
        members -= _found(rule, base=members, leaf=leaf)
    return members


def _any(sets: Sequence[BitMap], base: BitMap) -> BitMap:
    if len(base) < max(map(len, sets)):  # few are asked of: none of the large sets is put together
        return BitMap.union(*(each & base for each in sets))
    return BitMap.union(*sets) & base
