"""Tells of one person why a rule holds for it, or why not: every node with its answer."""

from collections.abc import Sequence
from itertools import repeat

import msgspec
from pyroaring import BitMap

from audiences.evaluate import Leaf, evaluate
from audiences.rule import Rule, children
from audiences.rule_words import words_of


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """One node of a rule in words, whether it holds, and the nodes inside it."""

    text: str
    holds: bool
    parts: tuple["Explanation", ...] = ()


def explain(rule: Rule, person: int, *, leaf: Leaf) -> Explanation:
    """Answer every node for one person of the base."""
    return explain_all(rule, [person], leaf=leaf)[0]


def explain_all(rule: Rule, persons: Sequence[int], *, leaf: Leaf) -> list[Explanation]:
    """Answer every node for each of some persons of the base."""
    # Why: with these persons alone as base, the same algebra answers for them in no time.
    alone = BitMap(persons)

    def narrow(node: Rule) -> list[Explanation]:
        text, members = words_of(node), evaluate(node, base=alone, leaf=leaf)
        inner = [narrow(each) for each in children(node)]
        parts = zip(*inner, strict=True) if inner else repeat((), len(persons))
        return [
            Explanation(text=text, holds=person in members, parts=each)
            for person, each in zip(persons, parts, strict=True)
        ]

    return narrow(rule)
