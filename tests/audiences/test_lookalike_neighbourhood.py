"""People like one person: the same whether signatures followed their people or were folded anew."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyroaring import BitMap

from audiences.lookalikes.neighbourhood import Neighbourhood

PEOPLE = [*range(1, 13), (1 << 29) + 1, (1 << 29) + 2]
TRAITS = ["a", "b", "c", "d", "e"]
some_people = st.sets(st.sampled_from(PEOPLE)).map(BitMap)
worlds = st.tuples(
    st.sets(st.sampled_from(PEOPLE), min_size=8).map(BitMap),
    st.dictionaries(st.sampled_from(TRAITS), some_people),
)


@settings(max_examples=60)
@given(st.lists(worlds, min_size=2, max_size=4))
def test_following_equals_beginning_anew(
    seen: list[tuple[BitMap, dict[str, BitMap]]],
) -> None:
    """Whoever came, went, gained and lost before, everybody's neighbours are those of now."""
    followed = Neighbourhood()
    for base, traits in seen:
        followed.follow(base, traits)
    base, traits = seen[-1]
    anew = Neighbourhood()
    anew.follow(base, traits)
    for person in base:
        found = followed.nearest(person, traits, most=20)
        assert found == anew.nearest(person, traits, most=20)
        assert person not in {each.person for each in found}


def crowd(people: int = 600) -> tuple[BitMap, dict[str, BitMap]]:
    rng = np.random.default_rng(2)
    traits = {
        f"trait {i:02}": BitMap((np.flatnonzero(rng.random(people) < 0.12) + 1).tolist())
        for i in range(60)
    }
    return BitMap(range(1, people + 1)), traits


def test_a_gain_needs_no_fold_and_a_loss_folds_its_person() -> None:
    """Gains are minima of what is known; only who lost something may be folded."""
    base, traits = crowd()
    known = Neighbourhood()
    known.follow(base, traits)
    gaining = BitMap(range(1, 30)) - traits["trait 00"]
    more = traits | {"trait 00": traits["trait 00"] | gaining}
    known.follow(base, more)
    assert known.folded_anew == 0
    losing = next(iter(traits["trait 01"]))
    known.follow(base, more | {"trait 01": traits["trait 01"] - BitMap([losing])})
    assert known.folded_anew <= 1


def test_a_copy_of_a_person_is_nearest_and_shares_its_rarest_traits() -> None:
    """Who has the same traits stands first with likeness 1; the rarest shared traits are named."""
    base, traits = crowd()
    twin = 601
    copied = {
        name: people | BitMap([twin] if 7 in people else []) for name, people in traits.items()
    }
    copied["rare"] = BitMap([7, twin])
    known = Neighbourhood()
    known.follow(base | BitMap([twin]), copied)
    first = known.nearest(7, copied, most=5)[0]
    assert (first.person, first.likeness, first.shared[0]) == (twin, 1.0, "rare")


def test_who_is_not_in_the_sample_still_has_neighbours() -> None:
    """Of a base larger than may be signed a sample is searched, for anybody."""
    base, traits = crowd()
    known = Neighbourhood(people_max=100)
    known.follow(base, traits)
    outside = next(person for person in base if person not in known.people)
    found = known.nearest(outside, traits, most=10)
    assert len(known.people) == 100
    assert found
    assert {each.person for each in found} <= set(known.people)


def test_a_person_without_traits_is_like_nobody() -> None:
    """Nothing known, nobody alike."""
    base, traits = crowd(50)
    known = Neighbourhood()
    known.follow(base | BitMap([99]), traits)
    assert known.nearest(99, traits, most=5) == []


@pytest.mark.parametrize("most", [1, 3])
def test_so_many_are_given(most: int) -> None:
    """No more people than asked for, the most alike first."""
    base, traits = crowd()
    known = Neighbourhood()
    known.follow(base, traits)
    found = known.nearest(1, traits, most=most)
    assert len(found) == most
    assert [each.likeness for each in found] == sorted(
        (each.likeness for each in found), reverse=True
    )
