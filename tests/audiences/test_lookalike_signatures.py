"""Signatures: the same bits as datasketch, and likeness to a seed without pairs."""

from itertools import pairwise

import numpy as np
import pytest
from datasketch import LeanMinHash, MinHash
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from audiences.lookalike_signatures import (
    FOLD_BLOCK_PEOPLE,
    SchemeMismatch,
    Signatures,
    SignatureScheme,
    alike_pairs,
    fold_signatures,
    from_lean,
    hash_function,
    mean_similarity,
    to_lean,
    token_table,
)

SCHEMES = [
    SignatureScheme(),
    SignatureScheme(seed=42, num_perm=16),
    SignatureScheme(scheme="affine64", num_perm=32),
    SignatureScheme(scheme="legacy", num_perm=32),
]
VOCABULARY = [f"product:vélo {number}" for number in range(200)]


def lay_out(people: list[list[int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    starts = np.cumsum([0, *map(len, people)])
    return starts, np.array([token for tokens in people for token in tokens], dtype=np.int64)


def draw_people(count: int, seed: int) -> list[list[int]]:
    rng = np.random.default_rng(seed)
    return [
        rng.choice(len(VOCABULARY), int(rng.integers(0, 30)), replace=False).tolist()
        for _ in range(count)
    ]


def sign_with_datasketch(people: list[list[int]], scheme: SignatureScheme) -> NDArray[np.uint64]:
    signed = MinHash.bulk(
        [[VOCABULARY[token].encode() for token in tokens] for tokens in people],
        num_perm=scheme.num_perm,
        seed=scheme.seed,
        scheme=scheme.scheme,
        hashfunc=hash_function(scheme),
    )
    return np.array([each.hashvalues for each in signed])


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda each: f"{each.scheme}-{each.num_perm}")
def test_signatures_are_the_bits_of_minhash_bulk(scheme: SignatureScheme) -> None:
    """Every scheme, several blocks, people without tokens: not a bit differs from datasketch."""
    people = draw_people(FOLD_BLOCK_PEOPLE // 16, seed=3)
    ours = fold_signatures(token_table(VOCABULARY, scheme), *lay_out(people))
    theirs = sign_with_datasketch(people, scheme)
    assert ours.values.dtype == theirs.dtype
    assert np.array_equal(ours.values, theirs)


def test_blocks_are_joined_in_order() -> None:
    """People beyond the first block are signed as if they stood alone."""
    scheme = SignatureScheme(num_perm=8)
    table = token_table(VOCABULARY, scheme)
    people = [[number % len(VOCABULARY)] for number in range(FOLD_BLOCK_PEOPLE + 10)]
    signed = fold_signatures(table, *lay_out(people))
    alone = fold_signatures(table, *lay_out(people[FOLD_BLOCK_PEOPLE:]))
    assert np.array_equal(signed.values[FOLD_BLOCK_PEOPLE:], alone.values)


@given(st.lists(st.lists(st.integers(0, len(VOCABULARY) - 1), max_size=12), max_size=8))
def test_any_tokens_give_the_bits_of_datasketch(people: list[list[int]]) -> None:
    """Repeated tokens, empty people and nobody at all change nothing."""
    scheme = SignatureScheme(num_perm=4)
    signed = fold_signatures(token_table(VOCABULARY, scheme), *lay_out(people))
    theirs = sign_with_datasketch(people, scheme).reshape(len(people), 4)
    assert np.array_equal(signed.values, theirs)


def test_a_row_is_a_minhash_of_datasketch() -> None:
    """A signature handed to datasketch compares with datasketch's own."""
    scheme = SignatureScheme()
    values = fold_signatures(
        token_table(VOCABULARY, scheme), *lay_out([[1, 2, 3], [2, 3, 4]])
    ).values
    ours = [MinHash(hashvalues=row, scheme=scheme.scheme, seed=scheme.seed) for row in values]
    estimate = np.mean(values[0] == values[1])
    assert ours[0].jaccard(ours[1]) == estimate
    assert estimate == pytest.approx(0.5, abs=0.15)


def test_mean_similarity_is_the_mean_over_all_pairs() -> None:
    """Histograms give what comparing the low bytes of every pair gives."""
    scheme = SignatureScheme(num_perm=32)
    people = draw_people(60, seed=5)
    signed = fold_signatures(token_table(VOCABULARY, scheme), *lay_out(people))
    seed = Signatures(scheme=scheme, values=signed.values[:20])
    kept = [i for i in range(20) if people[i]]
    pairs = (signed.values[:, None, :] & 255) == (signed.values[None, kept, :] & 255)
    agreed = pairs.mean(axis=(1, 2))
    expected = [(a - 1 / 256) / (1 - 1 / 256) if people[i] else 0.0 for i, a in enumerate(agreed)]
    assert mean_similarity(signed, seed) == pytest.approx(expected)


def test_mean_similarity_estimates_jaccard() -> None:
    """The estimate follows the true mean Jaccard likeness."""
    people = [tokens for tokens in draw_people(300, seed=9) if tokens]
    signed = fold_signatures(token_table(VOCABULARY), *lay_out(people))
    seed = Signatures(scheme=signed.scheme, values=signed.values[:50])
    sets = [set(tokens) for tokens in people]
    exact = [np.mean([len(a & b) / len(a | b) for b in sets[:50]]) for a in sets]
    assert np.corrcoef(mean_similarity(signed, seed), exact)[0, 1] > 0.9


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda each: f"{each.scheme}-{each.num_perm}")
def test_people_without_tokens_are_like_nobody(scheme: SignatureScheme) -> None:
    """Two people of whom nothing is known are not twins."""
    signed = fold_signatures(token_table(VOCABULARY, scheme), *lay_out([[], [], [1]]))
    nothing = Signatures(scheme=scheme, values=signed.values[:2])
    assert signed.has_tokens().tolist() == [False, False, True]
    assert mean_similarity(signed, nothing).tolist() == [0.0, 0.0, 0.0]


def test_schemes_are_not_mixed() -> None:
    """Signatures of two schemes are refused instead of compared."""
    ours, theirs = (
        fold_signatures(token_table(VOCABULARY, scheme), *lay_out([[1]])) for scheme in SCHEMES[:2]
    )
    with pytest.raises(SchemeMismatch, match="sign both again"):
        mean_similarity(ours, theirs)


def test_scheme_names_its_hash() -> None:
    """What was hashed how stands beside the values."""
    assert [each.hash_name for each in SCHEMES] == ["mmh3_32", "mmh3_32", "mmh3_64", "mmh3_32"]
    assert all(a != b for a, b in pairwise(SCHEMES))


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda each: f"{each.scheme}-{each.num_perm}")
def test_lean_signatures_go_out_and_come_in(scheme: SignatureScheme) -> None:
    """LeanMinHash reads what is written as its own, and what it wrote is read as the same bits."""
    signed = fold_signatures(token_table(VOCABULARY, scheme), *lay_out(draw_people(20, seed=6)))
    written = to_lean(signed)
    for row, each in zip(signed.values, written, strict=True):
        lean = LeanMinHash.deserialize(each, "!")
        assert (lean.seed, lean.scheme) == (scheme.seed, scheme.scheme)
        assert np.array_equal(lean.hashvalues, row)
    read = from_lean(written, scheme)
    assert read.scheme == scheme
    assert read.values.dtype == signed.values.dtype
    assert np.array_equal(read.values, signed.values)
    assert from_lean([], scheme).values.shape == (0, scheme.num_perm)


def test_lean_signatures_of_another_scheme_are_refused() -> None:
    """What was signed otherwise is not taken in."""
    written = to_lean(fold_signatures(token_table(VOCABULARY), *lay_out([[1]])))
    for other in (SignatureScheme(seed=2), SignatureScheme(num_perm=64), SCHEMES[2]):
        with pytest.raises(SchemeMismatch):
            from_lean(written, other)


def test_alike_pairs_are_found_by_bands() -> None:
    """Sets that share most tokens are paired with the share of values they agree in."""
    scheme = SignatureScheme()
    table = token_table(VOCABULARY, scheme)
    sets = {"a": range(60), "b": range(5, 65), "c": range(100, 160), "d": range(100, 130)}
    signed = {key: table.values[list(rows)].min(axis=0) for key, rows in sets.items()}
    found = alike_pairs(signed, scheme, least=0.3)
    assert [(first, second) for first, second, _ in found] == [("a", "b"), ("c", "d")]
    assert all(alike == np.mean(signed[first] == signed[second]) for first, second, alike in found)


def test_tokens_beyond_the_table_are_refused() -> None:
    """A number that is no row of the table is a mistake, not another token."""
    for wrong in (len(VOCABULARY) + 1, -1):
        with pytest.raises(IndexError, match="rows of a table"):
            fold_signatures(token_table(VOCABULARY), *lay_out([[0, wrong]]))
