"""What a sync is worth: people of active audiences who could not be reached before."""

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroaring import BitMap

from audiences.exports.seats import Seat, load_seats
from matching.ids import CUSTOMER_FIRST, VISITOR_FIRST
from matching.partner_answers_store import PartnerAnswers, PartnerHealth
from matching.partner_ids_store import LiveIds
from matching.partners import Partner, known_facts
from matching.people import Identity, People
from service.engine.sync_weights import SyncWeights, Worth, unreached_browsers, weighted

V, C = VISITOR_FIRST, CUSTOMER_FIRST
NOW_MS = 1_795_000_000_000
EXAMPLE = Path(__file__).parents[2] / "service" / "example_config"
SEATS = {seat.key: seat for seat in load_seats(EXAMPLE)}
PIXEL = known_facts("pixel") | {"name": "P", "enabled": True}


def partner(key: str, **facts: Any) -> Partner:
    """Make a partner that is switched on."""
    return msgspec.convert(PIXEL | {"key": key, "id_space": key, **facts}, Partner)


def people(customer_of: list[int], identity: Identity = Identity.LAST_AUTHENTICATED) -> People:
    """Link the visitors V, V+1, ... to these customers; 0 links to nobody."""
    return People(identity=identity, version=1, customer_of=np.array(customer_of, dtype=np.uint32))


@given(
    customer_of=st.lists(st.integers(0, 4), min_size=1, max_size=12),
    members=st.sets(st.integers(0, 16)),
    live=st.sets(st.integers(0, 11)),
    allowed=st.sets(st.integers(0, 11)),
)
def test_unreached_browsers_equal_asking_each_browser(
    customer_of: list[int], members: set[int], live: set[int], allowed: set[int]
) -> None:
    """A browser is worth asking when it may be sent and none of its person's reaches the seat."""
    count = len(customer_of)
    found = people([C + each - 1 if each else 0 for each in customer_of])
    persons = {C + each if each < 4 else V + each - 4 for each in members if each - 4 < count}

    def person(visitor: int) -> int:
        linked = customer_of[visitor]
        return C + linked - 1 if linked else V + visitor

    persons &= {person(each) for each in range(count)}
    reached = {person(each) for each in live & allowed if each < count}
    expected = {
        V + each
        for each in allowed
        if each < count and person(each) in persons and person(each) not in reached
    }
    asked = unreached_browsers(
        [(found, BitMap(persons))],
        live=BitMap([V + each for each in live if each < count]),
        allowed=BitMap([V + each for each in allowed if each < count]),
    )
    assert set(asked) == expected


def worth(answered: int, offered: int, unreached: int) -> Worth:
    """Make what is known of a partner among a hundred browsers."""
    return Worth(answered=answered, offered=offered, unreached=unreached, browsers=100)


def test_more_people_and_better_answers_weigh_more() -> None:
    """The weight is the return rate times the chance that the next browser is still missing."""
    worths = {
        "good": worth(49, 98, 40),
        "silent": worth(0, 998, 100),
        "unknown": worth(0, 0, 40),
        "done": worth(50, 98, 0),
    }
    partners = [partner(key) for key in (*worths, "without")]
    weights = {each.key: each.weight for each in weighted(partners, worths)}
    assert weights == {"good": 200.0, "silent": 1.0, "unknown": 200.0, "done": 0.0, "without": 0.0}


def test_the_file_s_own_weight_multiplies() -> None:
    """An operator who prefers a partner still does."""
    worths = {"a": worth(0, 0, 10), "b": worth(0, 0, 10)}
    found = weighted([partner("a", weight=3), partner("b")], worths)
    assert [each.weight for each in found] == [150.0, 50.0]


def test_without_anything_active_the_file_s_weights_stand() -> None:
    """No activation, no value: nothing is changed."""
    partners = (partner("a", weight=3), partner("b"))
    assert weighted(partners, {"a": worth(5, 10, 0)}) == partners
    assert weighted(partners, {}) == partners


class Answers:
    """Counts of answers as they would stand in the table."""

    def __init__(self, counts: dict[str, tuple[int, int]]) -> None:
        self.counts = counts

    def read(self, *, since_ms: int) -> PartnerAnswers:
        """Give offers and answers of the last week."""
        assert NOW_MS - 7 * 86_400_000 <= since_ms <= NOW_MS
        health = [
            PartnerHealth(
                partner=key,
                offered=offered,
                returned=returned,
                refusals={},
                unanswered=0,
                last_returned_ms=0,
            )
            for key, (offered, returned) in self.counts.items()
        ]
        return PartnerAnswers(health=health, days=[])


def test_a_partner_is_weighed_by_its_seats_activations() -> None:
    """Seats of an id space count for its partners; audiences that were never built do not."""
    asked: list[str] = []
    built = {
        "buyers": (people([0, 0, 0, C]), BitMap([V, V + 1, C])),
        "readers": (people([0, 0, 0, C], Identity.BROWSER), BitMap([V + 3])),
    }
    activated = {"xandr_958": ["buyers", "never_built"], "pixel_csv": ["readers"]}

    def active(seat: str) -> list[str]:
        asked.append(seat)
        return activated.get(seat, [])

    clock = [NOW_MS]
    weights = SyncWeights(
        partners=[partner("xandr"), partner("pixel"), partner("ttd"), partner("other")],
        seats=tuple(SEATS.values()),
        answers=Answers({"xandr": (98, 49), "pixel": (8, 8)}),  # type: ignore[arg-type]
        activated=active,
        members=built.get,
        live=live_ids,
        allowed=lambda _: BitMap([V, V + 1, V + 3]),
        browsers=lambda: 4,
        now_ms=lambda: clock[0],
    )
    found = {each.key: each.weight for each in weights.partners()}
    # Of three buyers the first is reached at Xandr already; at the pixel the one reader is not.
    assert found == {"xandr": 250.0, "pixel": 225.0, "ttd": 0.0, "other": 0.0}
    count = len(asked)
    clock[0] += 59_999
    assert weights.partners() is weights.partners()
    assert len(asked) == count
    clock[0] += 3_600_000
    weights.partners()
    assert len(asked) == 2 * count


def live_ids(seat: Seat) -> list[LiveIds]:
    """Let the first visitor be known at Xandr."""
    visitors = [V] if seat.key == "xandr_958" else []
    return [
        LiveIds(
            visitors=np.array(visitors, dtype=np.uint32),
            id_ordinals=np.ones(len(visitors), dtype=np.uint32),
            ids=["X7"] * len(visitors),
        )
    ]


@pytest.mark.parametrize("direction", ["out", "in"])
def test_a_partner_that_keeps_our_id_counts_as_unknown(direction: str) -> None:
    """Nothing comes back from it, so its offers say nothing of how often it answers."""
    facts = PIXEL["sync"] | {"direction": direction}
    weights = SyncWeights(
        partners=[partner("pixel", sync=facts)],
        seats=[SEATS["pixel_csv"]],
        answers=Answers({"pixel": (1_000, 0)}),  # type: ignore[arg-type]
        activated=lambda _: ["readers"],
        members=lambda _: (people([0]), BitMap([V])),
        live=lambda _: [],
        allowed=lambda _: BitMap([V]),
        browsers=lambda: 1,
        now_ms=lambda: NOW_MS,
    )
    assert [each.weight for each in weights.partners()] == [500.0]
