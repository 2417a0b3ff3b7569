"""Traits of customers by operator, and what is told of them."""

from typing import Any

import numpy as np
import pytest

from audiences.conditions import Op
from audiences.trait_store import ComputedTrait
from matching.customer_traits_store import CustomerTrait, insert_traits


def trait(customer: int, name: str, value: Any, *, at_ms: int = 1) -> CustomerTrait:
    """Write a value as the import does."""
    kind, text, number = "text", str(value), 0.0
    if isinstance(value, bool):
        kind, text, number = "boolean", str(value).lower(), float(value)
    elif isinstance(value, int | float):
        kind, text, number = "number", "", float(value)
    elif isinstance(value, list):
        kind, text = "set", "[" + ",".join(f'"{each}"' for each in value) + "]"
    return CustomerTrait(
        customer=customer,
        trait=name,
        kind=kind,
        text=text,
        number=number,
        source="crm",
        at_ms=at_ms,
    )


@pytest.fixture
def filled(shop: Any) -> Any:
    """Give a shop whose customers have traits of every kind."""
    rows = [
        trait(1, "age", 26),
        trait(2, "age", 41.5),
        trait(3, "age", 99),
        trait(3, "age", "", at_ms=2),
        trait(1, "size", "2"),
        trait(2, "size", "5+"),
        trait(1, "vip", True),
        trait(2, "vip", False),
        trait(1, "likes", ["cycling", "running"]),
        trait(2, "likes", ["biking"]),
        trait(1, "city", "Nantes"),
        trait(1, "city", "Saint-Denis", at_ms=2),
        trait(2, "city", "Denver"),
        trait(1, "since", "2020-02-29"),
        trait(1, "shoes", ["40", "44.5"]),
        trait(2, "shoes", ["38"]),
        trait(3, "shoes", []),
        trait(3, "size", "inf"),
    ]
    gone = CustomerTrait(customer=2, trait="city", kind="", source="crm", at_ms=3)
    insert_traits(shop.client, [*rows, gone])
    return shop


HOLDERS: dict[str, tuple[str, Op, Any, set[int]]] = {
    "number": ("age", Op.IS, 26, {1}),
    "float": ("age", Op.IS, 26.0, {1}),
    "number as text": ("age", Op.IS, "26", {1}),
    "in, a newer row stands": ("age", Op.IN, (26, 41.5, 99), {1, 2}),
    "at_least": ("age", Op.AT_LEAST, 40, {2}),
    "at_most": ("age", Op.AT_MOST, 40, {1}),
    "between": ("age", Op.BETWEEN, (26, 42), {1, 2}),
    "exists": ("age", Op.EXISTS, None, {1, 2, 3}),
    "text that is a number": ("size", Op.AT_LEAST, 2, {1}),
    "text or number": ("size", Op.IN, ("5+", 2), {1, 2}),
    "true": ("vip", Op.IS, True, {1}),
    "false": ("vip", Op.IS, False, {2}),
    "true is not 1": ("vip", Op.IS, 1, set()),
    "member of a set": ("likes", Op.IS, "cycling", {1}),
    "set contains": ("likes", Op.CONTAINS, "biking", {2}),
    "set contains whole members": ("likes", Op.CONTAINS, "bik", set()),
    "text contains": ("city", Op.CONTAINS, "Denis", {1}),
    "taken away": ("city", Op.EXISTS, None, {1}),
    "date as text": ("since", Op.AT_LEAST, "2020-01-01", {1}),
    "unknown": ("nothing", Op.EXISTS, None, set()),
    "a member is at least": ("shoes", Op.AT_LEAST, 42, {1}),
    "a member is between": ("shoes", Op.BETWEEN, (36, 40), {1, 2}),
    "a member as number": ("shoes", Op.IS, 40.0, {1}),
    "an empty set is there": ("shoes", Op.EXISTS, None, {1, 2, 3}),
    "infinity is no number": ("size", Op.AT_MOST, 9_000_000, {1}),
}


def test_holders_are_the_customers_whose_value_passes(filled: Any) -> None:
    """Each operator finds the customers whose newest value passes."""
    found = {
        case: set(filled.traits.holders(name, op, value))
        for case, (name, op, value, _) in HOLDERS.items()
    }
    assert found == {case: expected for case, (*_, expected) in HOLDERS.items()}


def test_is_not_is_for_the_base_to_answer(filled: Any) -> None:
    """Who lacks a trait is not known here, so the store refuses to say."""
    with pytest.raises(ValueError, match="take the rest"):
        filled.traits.holders("age", Op.IS_NOT, 26)


def test_values_and_traits_are_listed_with_their_holders(filled: Any) -> None:
    """A breakdown sees the frequent values, a set once per member; the list tells the fill."""
    values = {each.value: set(each.holders) for each in filled.traits.values("likes")}
    assert values == {"cycling": {1}, "running": {1}, "biking": {2}}
    assert [each.value for each in filled.traits.values("vip")] == ["false", "true"]
    found = {each.trait: (each.kind, each.holders) for each in filled.traits.traits()}
    assert (found["likes"], found["city"]) == (("set", 2), ("text", 1))


def test_computed_traits_stand_before_stored_ones(filled: Any) -> None:
    """A computed trait hides a stored one of its name and is listed with its values."""
    computed = ComputedTrait(
        persons=np.array([2, 3], dtype=np.uint32),
        codes=np.array([1, 0], dtype=np.uint8),
        values=("lapsed", "champion"),
    )
    filled.traits.set_computed({"city": computed})
    assert set(filled.traits.holders("city", Op.IS, "champion")) == {2}
    assert set(filled.traits.holders("city", Op.EXISTS, None)) == {2, 3}
    values = {each.value: set(each.holders) for each in filled.traits.values("city")}
    assert values == {"lapsed": {3}, "champion": {2}}
    assert [each.kind for each in filled.traits.traits() if each.trait == "city"] == ["computed"]
    assert filled.traits.traits_of(2)["city"] == "champion"
    assert filled.traits.traits_of(1)["age"] == 26
