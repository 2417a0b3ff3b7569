"""Whom a seat reaches, against a slow count over every person and every id."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroaring import BitMap

from audiences.exports.id_counts import id_counts
from audiences.exports.reach import ReachStep, SeatReach, carriers, reach
from matching.ids import VISITOR_FIRST
from matching.partner_ids_store import CarriedIds
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


LAST, BROWSER = Identity.LAST_AUTHENTICATED, Identity.BROWSER


@pytest.mark.parametrize(
    ("identity", "browsers", "allowed", "suppressed", "contacts", "people"),
    [
        (LAST, [], [PAUL], [], [PAUL], 1),
        (LAST, [], [], [], [PAUL], 0),
        (LAST, [], [PAUL], [PAUL], [PAUL], 0),
        (LAST, [], [PAUL, 2], [], [PAUL, 2], 2),
        (LAST, [], [PAUL], [], [PAUL, 2], 0),
        (LAST, [PAUL], [PAUL], [], [PAUL], 1),
        (LAST, [PAUL], [PAUL], [visitor(0)], [PAUL], 1),
        (BROWSER, [], [PAUL], [], [PAUL], 0),
        (BROWSER, [PAUL, PAUL], [PAUL, visitor(0), visitor(1)], [], [PAUL], 2),
        (BROWSER, [PAUL, PAUL], [visitor(0), visitor(1)], [], [PAUL], 0),
        (BROWSER, [PAUL, PAUL], [PAUL, visitor(0)], [], [PAUL], 0),
        (BROWSER, [PAUL, 2], [PAUL, visitor(0)], [], [PAUL], 1),
        (BROWSER, [PAUL], [PAUL, visitor(0)], [PAUL], [PAUL], 0),
    ],
    ids=[
        "no browser",
        "not opted in",
        "suppressed",
        "shared",
        "shared with one who did not opt in",
        "browser that may not be sent",
        "suppressed browser",
        "no browser, under browser",
        "of both browsers",
        "of browsers whose customer did not opt in",
        "of browsers of which one may not be sent",
        "another's browser may not be sent",
        "of a suppressed customer's browser",
    ],
)
def test_a_contact_is_its_customer_s(
    identity: Identity,
    browsers: list[int],
    allowed: list[int],
    suppressed: list[int],
    contacts: list[int],
    people: int,
) -> None:
    """Customers are reached by contacts without a browser; under `browser` their browsers are."""
    rows = CarriedIds(
        visitors=np.array(contacts, dtype=np.uint32),
        id_ordinals=np.ones(len(contacts), dtype=np.uint32),
    )
    everybody = BitMap(map(visitor, range(len(browsers))))
    found = reach(
        everybody if identity is BROWSER else BitMap([PAUL, 2]),
        people=people_of(browsers, identity),
        live=[rows],
        allowed=BitMap(allowed),
        suppressed=BitMap(suppressed),
    )
    assert (found.people, len(found.ids)) == (people, min(people, 1))


some_visitors = st.sets(st.integers(0, VISITORS - 1))
worlds = st.fixed_dictionaries(
    {
        "customer_of": st.lists(st.integers(0, 3), min_size=VISITORS, max_size=VISITORS),
        "identity": st.sampled_from(Identity),
        "members": st.sets(st.integers(1, 3)),
        "browsers": some_visitors,
        "carried": st.sets(st.tuples(st.integers(0, VISITORS - 1), st.sampled_from(IDS))),
        "contacts": st.sets(st.tuples(st.integers(1, 3), st.sampled_from(IDS))),
        "opted_in": st.sets(st.integers(1, 3)),
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


def carried_by_all(world: Any, sendable: set[int], opted_in: set[int]) -> Any:
    """List (person, id, may it be sent) for everybody who carries an id."""
    for number, text in world["carried"]:
        yield person_of(world, number), text, number in sendable
    for customer, text in world["contacts"]:
        if world["identity"] is not Identity.BROWSER or customer not in opted_in:
            yield customer, text, customer in opted_in
            continue
        for number in range(VISITORS):
            if world["customer_of"][number] == customer:
                yield visitor(number), text, number in sendable


def naive_reach(world: Any) -> tuple[set[int], set[str]]:
    """Ask every browser, every customer and every id in turn."""
    sendable = {
        each
        for each in world["allowed"] - world["suppressed_visitors"]
        if world["customer_of"][each] not in world["suppressed_customers"]
    }
    opted_in = world["opted_in"] - world["suppressed_customers"]
    rows = list(carried_by_all(world, sendable, opted_in))
    denied = {text for _, text, is_open in rows if not is_open}
    members = naive_persons(world)
    sent = {(person, text) for person, text, _ in rows if text not in denied and person in members}
    return {person for person, _ in sent}, {text for _, text in sent}


def contacts_of(world: Any) -> CarriedIds:
    """Give the contacts of customers as they stand beside the ids of browsers."""
    rows = sorted(world["contacts"])
    return CarriedIds(
        visitors=np.array([customer for customer, _ in rows], dtype=np.uint32),
        id_ordinals=np.array([ORDINALS[text] for _, text in rows], dtype=np.uint32),
    )


@given(world=worlds)
def test_reach_equals_the_slow_count(make_live: Any, world: Any) -> None:
    """People and ids, and what previews count, are those of a loop over all; steps never grow."""
    people = people_of(world["customer_of"], world["identity"])
    live = [make_live(sorted(world["carried"]), ORDINALS), contacts_of(world)]
    allowed = BitMap([*map(visitor, world["allowed"]), *world["opted_in"]])
    suppressed = BitMap(
        [*world["suppressed_customers"], *map(visitor, world["suppressed_visitors"])]
    )
    members = BitMap(naive_persons(world))
    found: SeatReach = reach(
        members, people=people, live=live, allowed=allowed, suppressed=suppressed
    )
    persons, texts = naive_reach(world)
    assert found.people == len(persons)
    assert found.ids == BitMap(ORDINALS[text] for text in texts)
    seat = carriers(people=people, live=live, allowed=allowed, suppressed=suppressed)
    assert id_counts(seat, people).count(members) == len(texts)
    for before, after in zip(found.waterfall, found.waterfall[1:], strict=False):
        assert before.people >= after.people
        assert before.browsers >= after.browsers
        assert before.ids >= after.ids
