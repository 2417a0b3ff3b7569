"""Tells of one person why a rule holds for it, or why not: every node with its answer."""

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
    # Why: with the person alone as base, the same algebra answers for it in no time.
    alone = BitMap([person])

    def narrow(node: Rule) -> Explanation:
        return Explanation(
            text=words_of(node),
            holds=person in evaluate(node, base=alone, leaf=leaf),
            parts=tuple(map(narrow, children(node))),
        )

    return narrow(rule)
