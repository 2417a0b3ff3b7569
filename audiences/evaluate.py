"""Evaluates a rule as set algebra over roaring bitmaps, within a base.

In go a rule, the base and a function that gives each criterion's people; out comes the set of
people. It asks for no data and changes none of the sets it is given.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from pyroaring import BitMap

from audiences.at_least import at_least
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
