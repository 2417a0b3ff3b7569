"""Signatures that follow their people: equal to folding anew, or told as dirty."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyroaring import BitMap

from audiences.lookalike_signatures import SignatureScheme, token_table
from audiences.lookalikes.kept_signatures import KeptSignatures, UnknownPerson
from audiences.lookalikes.ranges import sign

PEOPLE = BitMap([3, 5, 8, 13, 21, 34, 1 << 30])
TABLE = token_table([f"trait {i}" for i in range(6)], SignatureScheme(num_perm=16))
some_people = st.sets(st.sampled_from(sorted(PEOPLE))).map(BitMap)
changes = st.lists(st.tuples(st.booleans(), st.integers(0, 5), some_people), max_size=12)


@settings(max_examples=60)
@given(st.lists(some_people, min_size=6, max_size=6), changes)
def test_clean_signatures_are_those_of_folding_anew(
    start: list[BitMap], changed: list[tuple[bool, int, BitMap]]
) -> None:
    """After any gains and losses everybody who is not dirty has the bits of a new fold."""
    traits = [people.copy() for people in start]
    kept = KeptSignatures(PEOPLE, sign(PEOPLE, traits, TABLE), TABLE)
    for is_gain, token, people in changed:
        if is_gain:
            traits[token] |= people
            kept.gained(token, people)
        else:
            losing = people & traits[token]
            traits[token] -= losing
            kept.lost(token, losing)
    anew = sign(PEOPLE, traits, TABLE).values
    clean = [i for i, person in enumerate(PEOPLE) if person not in kept.dirty]
    assert np.array_equal(kept.signatures.values[clean], anew[clean])
    kept.refolded(kept.dirty, sign(kept.dirty, traits, TABLE))
    assert not kept.dirty
    assert np.array_equal(kept.signatures.values, anew)


def test_a_loss_that_shows_nowhere_dirties_nobody() -> None:
    """Who loses a token whose values are nowhere in the signature needs no refold."""
    everything = [PEOPLE] * 6
    kept = KeptSignatures(PEOPLE, sign(PEOPLE, everything, TABLE), TABLE)
    least = TABLE.values[:6].min(axis=0)
    silent = [i for i in range(6) if not (TABLE.values[i] == least).any()]
    telling = [i for i in range(6) if i not in silent]
    for token in silent:
        assert not kept.lost(token, PEOPLE)
    assert kept.lost(telling[0], BitMap([5])) == BitMap([5]) == kept.dirty


def test_strangers_are_refused() -> None:
    """Who has no signature is named as unknown, not added in silence."""
    kept = KeptSignatures(PEOPLE, sign(PEOPLE, [PEOPLE] * 6, TABLE), TABLE)
    with pytest.raises(UnknownPerson, match="1 of 2 people"):
        kept.gained(0, BitMap([5, 6]))
    nobody = KeptSignatures(BitMap(), sign(BitMap(), [], TABLE), TABLE)
    with pytest.raises(UnknownPerson):
        nobody.gained(0, BitMap([5]))
