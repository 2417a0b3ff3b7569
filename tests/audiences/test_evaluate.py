"""Set algebra of rules against the same rule asked person by person."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pyroaring import BitMap

from audiences.evaluate import at_least, evaluate
from audiences.explain import explain
from audiences.rule import All, AnyOf, AtLeast, HasTrait, Not, Rule, criteria_of, decode_rule

PEOPLE = range(1, 13)
BASE = BitMap(range(1, 11))
TRAITS = {
    name: BitMap(i for i in PEOPLE if i % divisor == 0)
    for name, divisor in zip("abcd", (2, 3, 4, 5), strict=True)
}

leaves = st.sampled_from("abcd").map(lambda name: {"type": "trait", "trait": name, "op": "exists"})


def groups(rules: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Put rules into groups of any kind."""
    some = st.lists(rules, min_size=1, max_size=4)
    return st.one_of(
        st.builds(lambda kind, of: {"type": kind, "of": of}, st.sampled_from(["all", "any"]), some),
        st.builds(lambda rule: {"type": "not", "rule": rule}, rules),
        some.flatmap(
            lambda of: st.integers(1, len(of)).map(lambda k: {"type": "at_least", "k": k, "of": of})
        ),
    )


rules = st.recursive(leaves, groups, max_leaves=10).map(decode_rule)


def leaf(criterion: Any) -> BitMap:
    return TRAITS[criterion.trait]


def naive(rule: Rule, person: int) -> bool:
    match rule:
        case All():
            return all(naive(each, person) for each in rule.of)
        case AnyOf():
            return any(naive(each, person) for each in rule.of)
        case AtLeast():
            return sum(naive(each, person) for each in rule.of) >= rule.k
        case Not():
            return not naive(rule.rule, person)
        case HasTrait():
            return person in TRAITS[rule.trait]
    raise AssertionError(rule)


@given(rules)
def test_algebra_equals_asking_every_person(rule: Rule) -> None:
    """The members are those of the base whom the rule holds for; no given set is changed."""
    before = {name: members.copy() for name, members in TRAITS.items()}
    assert set(evaluate(rule, base=BASE, leaf=leaf)) == {p for p in BASE if naive(rule, p)}
    assert before == TRAITS
    assert len(BASE) == 10


@given(rules, st.sampled_from(list(BASE)))
def test_an_explanation_answers_every_node(rule: Rule, person: int) -> None:
    """Why somebody is in or out is told by the same algebra, node by node."""
    found = explain(rule, person, leaf=leaf)
    assert found.holds == naive(rule, person)
    texts = [found]
    for each in texts:
        texts.extend(each.parts)
    assert len([each for each in texts if not each.parts]) >= len(criteria_of(rule))


@given(st.lists(st.sets(st.integers(0, 9)), max_size=6), st.integers(1, 7))
def test_at_least_k_counts_sets(sets: list[set[int]], k: int) -> None:
    """A member is in at least k of the sets, counted one by one."""
    found = at_least(k, [BitMap(each) for each in sets])
    assert set(found) == {i for i in range(10) if sum(i in each for each in sets) >= k}
