"""Whom a seat reaches, against a slow count over every person and every id."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroaring import BitMap

from audiences.exports.reach import ReachStep, SeatReach, reach
from matching.ids import VISITOR_FIRST
from matching.people import Identity, People

VISITORS = 6
IDS = ("X7", "X8", "X9")
ORDINALS = {text: number for number, text in enumerate(IDS, start=1)}
PAUL = 1


def visitor(number: int) -> int:
    """Give the ordinal of the visitor of that number."""
    return VISITOR_FIRST + number


def people_of(customer_of: list[int], identity: Identity) -> People:
    """Make people from the customer of each visitor."""
    return People(identity=identity, version=1, customer_of=np.array(customer_of, dtype=np.uint32))


def test_paul_is_reached_by_his_browser(make_live: Any) -> None:
    """Customer 1 with browser 0 that carries X7 is one person, one browser, one id."""
    found = reach(
        BitMap([PAUL]),
        people=people_of([PAUL], Identity.LAST_AUTHENTICATED),
        live=[make_live([(0, "X7")], ORDINALS)],
        allowed=BitMap([visitor(0)]),
        suppressed=BitMap(),
    )
    assert (found.people, found.ids) == (1, BitMap([ORDINALS["X7"]]))
    assert [each.step for each in found.waterfall] == list(ReachStep)


@pytest.mark.parametrize(
    ("allowed", "suppressed", "last_people_at"),
    [
        ([0], [PAUL], ReachStep.MEMBERS),
        ([0], [visitor(0)], ReachStep.NOT_SUPPRESSED),
        ([], [], ReachStep.WITH_BROWSER),
        ([0], [], ReachStep.WITH_LIVE_ID),
    ],
    ids=["customer suppressed", "browser suppressed", "no consent", "id of a denied browser"],
)
def test_each_step_tells_where_people_are_lost(
    make_live: Any, allowed: list[int], suppressed: list[int], last_people_at: ReachStep
) -> None:
    """The waterfall loses Paul at the step that stops him; browser 1, denied, carries X7 too."""
    found = reach(
        BitMap([PAUL]),
        people=people_of([PAUL, 2], Identity.LAST_AUTHENTICATED),
        live=[make_live([(0, "X7"), (1, "X7")], ORDINALS)],
        allowed=BitMap([visitor(each) for each in allowed]),
        suppressed=BitMap(suppressed),
    )
    assert found.ids == BitMap()
    assert [each.step for each in found.waterfall if each.people][-1] is last_people_at


def test_a_seat_without_live_ids_reaches_nobody(make_live: Any) -> None:
    """No id at all is a reach of zero, not an error."""
    found = reach(
        BitMap([PAUL]),
        people=people_of([PAUL], Identity.LAST_AUTHENTICATED),
        live=[make_live([], ORDINALS)],
        allowed=BitMap([visitor(0)]),
        suppressed=BitMap(),
    )
    assert (found.people, found.ids) == (0, BitMap())


some_visitors = st.sets(st.integers(0, VISITORS - 1))
worlds = st.fixed_dictionaries(
    {
        "customer_of": st.lists(st.integers(0, 3), min_size=VISITORS, max_size=VISITORS),
        "identity": st.sampled_from(Identity),
        "members": st.sets(st.integers(1, 3)),
        "browsers": some_visitors,
        "carried": st.sets(st.tuples(st.integers(0, VISITORS - 1), st.sampled_from(IDS))),
        "allowed": some_visitors,
        "suppressed_customers": st.sets(st.integers(1, 3), max_size=1),
        "suppressed_visitors": st.sets(st.integers(0, VISITORS - 1), max_size=1),
    }
)


def person_of(world: Any, number: int) -> int:
    """Tell whose a visitor is, the slow way."""
    linked = world["customer_of"][number]
    return linked if linked and world["identity"] is not Identity.BROWSER else visitor(number)


def naive_persons(world: Any) -> set[int]:
    """Choose members that exist under the world's identity."""
    visitors = {visitor(each) for each in world["browsers"] if person_of(world, each) > 3}
    return visitors if world["identity"] is Identity.BROWSER else visitors | world["members"]


def naive_reach(world: Any) -> tuple[set[int], set[str]]:
    """Ask every visitor and every id in turn."""
    sendable = {
        each
        for each in world["allowed"] - world["suppressed_visitors"]
        if world["customer_of"][each] not in world["suppressed_customers"]
    }
    denied = {text for number, text in world["carried"] if number not in sendable}
    members = naive_persons(world)
    sent = {
        (person_of(world, number), text)
        for number, text in world["carried"]
        if text not in denied and person_of(world, number) in members
    }
    return {person for person, _ in sent}, {text for _, text in sent}


@given(world=worlds)
def test_reach_equals_the_slow_count(make_live: Any, world: Any) -> None:
    """People and ids are those of a loop over everything; steps never grow."""
    found: SeatReach = reach(
        BitMap(naive_persons(world)),
        people=people_of(world["customer_of"], world["identity"]),
        live=[make_live(sorted(world["carried"]), ORDINALS)],
        allowed=BitMap(visitor(each) for each in world["allowed"]),
        suppressed=BitMap(
            [*world["suppressed_customers"], *map(visitor, world["suppressed_visitors"])]
        ),
    )
    persons, texts = naive_reach(world)
    assert found.people == len(persons)
    assert found.ids == BitMap(ORDINALS[text] for text in texts)
    for before, after in zip(found.waterfall, found.waterfall[1:], strict=False):
        assert before.people >= after.people
        assert before.browsers >= after.browsers
        assert before.ids >= after.ids
