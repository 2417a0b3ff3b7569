"""What third parties say beside the CRM's word: whom it makes pass, and that it is read alike."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroaring import BitMap

from audiences.conditions import Op
from audiences.third_party import with_third_parties
from audiences.third_party_trait_store import ThirdPartyTraitStore
from audiences.trait_store import TraitStore
from matching.customer_traits_store import CustomerTrait, insert_traits
from matching.ids import VISITOR_FIRST
from matching.people import Identity, People
from matching.third_party_store import ThirdPartyStore, ThirdPartyTrait

CUSTOMERS, BROWSERS = (1, 2, 3), tuple(range(VISITOR_FIRST, VISITOR_FIRST + 5))
VALUES = ("high", "low")

links = st.lists(st.integers(0, 3), min_size=len(BROWSERS), max_size=len(BROWSERS))
own_values = st.dictionaries(st.sampled_from(CUSTOMERS), st.sampled_from(VALUES))
said_values = st.lists(
    st.tuples(st.sampled_from((*CUSTOMERS, *BROWSERS)), st.sampled_from(VALUES)), max_size=8
)


@given(linked=links, own=own_values, said=said_values, identity=st.sampled_from(tuple(Identity)))
def test_a_third_party_is_heard_where_the_crm_says_nothing(
    linked: list[int],
    own: dict[int, str],
    said: list[tuple[int, str]],
    identity: Identity,
) -> None:
    """Whoever is asked, person by person, has the CRM's value, or else all that others say."""
    customer_of = np.array(linked, dtype=np.uint32)
    people = People(identity=identity, version=1, customer_of=customer_of)
    base = people.base(customers=BitMap(CUSTOMERS), visitors=BitMap(BROWSERS))

    def values_of(person: int) -> set[str]:
        browsers = [each for each, who in zip(BROWSERS, linked, strict=True) if who == person]
        customer = person if person < VISITOR_FIRST else linked[person - VISITOR_FIRST]
        if customer in own:
            return {own[customer]}
        if identity is Identity.BROWSER:
            browsers = [person]
        return {value for who, value in said if who in {person, customer, *browsers}}

    for value in VALUES:
        passing = BitMap([who for who, found in own.items() if found == value])
        found = with_third_parties(
            people.persons_of_customers(passing) & base,
            BitMap([who for who, each in said if each == value]),
            having=people.persons_of_customers(BitMap(own)) & base,
            people=people,
            base=base,
        )
        assert set(found) == {person for person in base if value in values_of(person)}


STORED: list[tuple[int, str, str, str, float]] = [
    (1, "age", "number", "", 26.0),
    (2, "age", "number", "", 41.5),
    (3, "age", "", "", 0.0),
    (1, "size", "text", "2", 0.0),
    (2, "size", "text", "5+", 0.0),
    (1, "vip", "boolean", "true", 1.0),
    (2, "vip", "boolean", "false", 0.0),
    (1, "likes", "set", '["cycling","running"]', 2.0),
    (2, "likes", "set", '["biking"]', 1.0),
    (3, "likes", "set", '["7","9"]', 2.0),
    (1, "since", "date", "2020-02-29", 18_321.0),
]
TESTS: list[tuple[str, Op, Any]] = [
    ("age", Op.IS, 26),
    ("age", Op.IS, "26"),
    ("age", Op.IN, (26, 41.5)),
    ("age", Op.AT_LEAST, 26.5),
    ("age", Op.BETWEEN, (20, 30)),
    ("age", Op.EXISTS, None),
    ("size", Op.AT_MOST, 3),
    ("size", Op.CONTAINS, "+"),
    ("vip", Op.IS, True),
    ("vip", Op.IS, False),
    ("likes", Op.IS, "cycling"),
    ("likes", Op.CONTAINS, "biking"),
    ("likes", Op.AT_LEAST, 8),
    ("since", Op.AT_LEAST, "2020-01-01"),
    ("since", Op.BETWEEN, ("2019-01-01", "2020-01-01")),
    ("nothing", Op.EXISTS, None),
]


@pytest.mark.clickhouse
@pytest.mark.embedded
def test_values_are_compared_as_the_crm_s_are(database: Any) -> None:
    """Each operator finds the same people in both tables, and breakdowns give the same values."""
    client = database.client()
    insert_traits(
        client,
        [
            CustomerTrait(
                customer=who,
                trait=trait,
                kind=kind,
                text=text,
                number=number,
                source="crm",
                at_ms=1,
            )
            for who, trait, kind, text, number in STORED
        ],
    )
    ThirdPartyStore(client).insert(
        [
            ThirdPartyTrait(
                holder=who, trait=trait, kind=kind, text=text, number=number, source="a", at_ms=1
            )
            for who, trait, kind, text, number in STORED
        ]
    )
    own, said = TraitStore(client), ThirdPartyTraitStore(client)
    for trait, op, value in TESTS:
        assert said.holders(trait, op, value) == own.holders(trait, op, value), (trait, op, value)
    for trait in ("age", "size", "vip", "likes", "since"):
        told = [(each.value, each.holders) for each in own.values(trait)]
        assert said.values(trait) == told, trait
    with pytest.raises(ValueError, match="ask for `is`"):
        said.holders("age", Op.IS_NOT, 26)
    infos = [(each.trait, each.holders, each.sources) for each in said.traits()]
    assert infos[0] == ("age", 2, ("a",))
    assert len(infos) == 5


@pytest.mark.clickhouse
@pytest.mark.embedded
def test_of_one_person_several_may_say_several_things(database: Any) -> None:
    """Each source's newest value counts, of customers and of browsers."""
    client = database.client()
    store, said = ThirdPartyStore(client), ThirdPartyTraitStore(client)
    rows = [(1, "acme", "high", 1), (1, "panel", "low", 1), (BROWSERS[0], "acme", "low", 1)]
    rows.append((1, "panel", "middle", 2))
    store.insert(
        [
            ThirdPartyTrait(
                holder=who, trait="income", kind="text", text=text, source=source, at_ms=at_ms
            )
            for who, source, text, at_ms in rows
        ]
    )
    found = {
        value: set(said.holders("income", Op.IS, value)) for value in ("high", "low", "middle")
    }
    assert found == {"high": {1}, "low": {BROWSERS[0]}, "middle": {1}}
    (info,) = said.traits()
    assert (info.holders, info.sources) == (2, ("acme", "panel"))
