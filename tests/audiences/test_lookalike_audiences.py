"""Likeness among audiences: the pairs that comparing all with all finds."""

from itertools import combinations

import numpy as np
import pytest
from pyroaring import BitMap

from audiences.lookalikes.audiences import PEOPLE_SAMPLED, alike_audiences


def draw(people: int, audiences: int) -> dict[str, BitMap]:
    """Make families of audiences that share from little to nearly all of their people."""
    rng = np.random.default_rng(3)
    found = {}
    for i in range(audiences):
        if i % 5 == 0:
            core = rng.choice(people, people // 20, replace=False)
        kept = core[rng.random(len(core)) < 1 - 0.12 * (i % 5)]
        more = rng.choice(people, people // 400, replace=False)
        found[f"audience {i:02}"] = BitMap(np.concatenate([kept, more]).tolist())
    return found


@pytest.mark.parametrize("people", [8_000, 3 * PEOPLE_SAMPLED], ids=["whole", "sampled"])
def test_pairs_are_those_of_comparing_all(people: int) -> None:
    """Every clearly alike pair is found with its exact likeness, and no other."""
    members = draw(people, 25)
    exact = {
        (a, b): members[a].jaccard_index(members[b]) for a, b in combinations(sorted(members), 2)
    }
    found = {(each.first, each.second): each.jaccard for each in alike_audiences(members)}
    assert {pair for pair, alike in exact.items() if alike >= 0.35} <= set(found)
    assert all(each == pytest.approx(exact[pair], abs=1e-6) for pair, each in found.items())
    assert min(found.values()) >= 0.3
    assert list(found.values()) == sorted(found.values(), reverse=True)


def test_the_empty_are_like_nobody() -> None:
    """Empty audiences are alike to none, and nothing at all gives no pairs."""
    same = BitMap(range(50))
    assert alike_audiences({}) == ()
    assert alike_audiences({"a": BitMap(), "b": BitMap()}) == ()
    found = alike_audiences({"a": BitMap(), "b": same, "c": same})
    assert [(each.first, each.second, each.jaccard) for each in found] == [("b", "c", 1.0)]
