"""Everybody in ranges of ordinals: which exist, who is in them, and a score for each from bitmaps.

In come bitmaps of people, out go arrays in ordinal order. Memory is bounded by one range and one
number per person; there is never a matrix of people and traits, but of a bounded sample.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap
from scipy.sparse import csc_matrix

from audiences.lookalike_signatures import Signatures, TokenTable, fold_signatures, mean_similarity
from audiences.lookalike_weights import FOLDS, Weights
from matching.bitmaps import ordinals_of

RANGE_ORDINALS: Final = 1 << 20
SIGNATURE_RANGE_ORDINALS: Final = 1 << 15
"""Smaller, because signatures need the traits of each person side by side."""

ENTRIES_AT_ONCE: Final = 1 << 22
"""So many pairs of person and trait are added up in one call; more would leave the cache."""

PLACES_MAX: Final = 1 << 22
"""Where ordinals lie so close together, a table of places is faster than searching for each."""


class Ranking(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A score for each of `ordinals`, which ascend."""

    ordinals: NDArray[np.uint32]
    scores: NDArray[np.float32]


def rank_by_weights(people: BitMap, traits: Sequence[BitMap], weights: Weights) -> Ranking:
    """Score everybody in `people` by the weights of the traits they hold."""
    scores = np.empty(len(people), dtype=np.float32)
    done = 0
    for part in ranges(people, RANGE_ORDINALS):
        found = score_range(part, traits, weights)
        scores[done : done + len(found)] = found
        done += len(found)
    return Ranking(ordinals=ordinals_of(people), scores=scores)


def rank_by_likeness(
    people: BitMap, traits: Sequence[BitMap], table: TokenTable, seed: Signatures
) -> Ranking:
    """Score everybody in `people` by the mean likeness of their signature to the seed's."""
    parts = [
        mean_similarity(sign(part, traits, table), seed).astype(np.float32)
        for part in ranges(people, SIGNATURE_RANGE_ORDINALS)
    ]
    return Ranking(ordinals=ordinals_of(people), scores=np.concatenate(parts))


def sign(people: BitMap, traits: Sequence[BitMap], table: TokenTable) -> Signatures:
    """Sign some people, in ordinal order; only for a sample or a small range of people."""
    rows = columns_of(people, traits).tocsr()
    return fold_signatures(table, rows.indptr.astype(np.int64), rows.indices)


def ranges(people: BitMap, width: int) -> Iterator[BitMap]:
    """Cut people into ranges of ordinals, skipping the wide gap between customers and visitors."""
    rest_from = people.min() if people else None
    while rest_from is not None:
        first = rest_from // width * width
        yield people & BitMap(range(first, first + width))
        last = first + width - 1
        rest_from = people.next_set_bit(first + width) if people.max() > last else None


def score_range(part: BitMap, traits: Sequence[BitMap], weights: Weights) -> NDArray[np.float32]:
    """Score the people of one range, in ordinal order."""
    ordinals = ordinals_of(part)
    per_trait = _per_trait(weights)
    sums = _sums(part, ordinals, traits, per_trait)
    folds = len(weights.linear)
    if folds > 1:
        fold = fold_of(ordinals)
        scores = sums[:folds][fold, np.arange(len(fold))] - weights.offset.astype(np.float32)[fold]
    else:
        scores = sums[0] - np.float32(weights.offset[0])
    if len(per_trait) > folds:
        scores += sums[folds] / np.sqrt(np.maximum(sums[folds + 1], 1))
    return np.asarray(scores, dtype=np.float32)


def _per_trait(weights: Weights) -> NDArray[np.float32]:
    """Lay out what a trait adds: its weight in each fold and, if asked for, per root, and one."""
    rows = [*weights.linear]
    if weights.per_root.any():
        rows += [weights.per_root, np.ones(len(weights.per_root))]
    return np.stack(rows).astype(np.float32)


def _sums(
    part: BitMap,
    ordinals: NDArray[np.uint32],
    traits: Sequence[BitMap],
    per_trait: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Add up what all traits add to each person, some millions of pairs at a time."""
    first = int(ordinals[0])
    span = int(ordinals[-1]) - first + 1
    sums = np.zeros((len(per_trait), span), dtype=np.float32)
    useful = np.flatnonzero(per_trait.any(axis=0)).tolist()
    begin, entries, held = 0, 0, []
    for at, i in enumerate(useful, start=1):
        held.append(ordinals_of(traits[i] & part))
        entries += len(held[-1])
        if entries >= ENTRIES_AT_ONCE or at == len(useful):
            _add(sums, held, first, per_trait[:, useful[begin:at]])
            begin, entries, held = at, 0, []
    return sums if span == len(ordinals) else sums[:, ordinals - np.uint32(first)]


def _add(
    sums: NDArray[np.float32],
    held: Sequence[NDArray[np.uint32]],
    first: int,
    per_trait: NDArray[np.float32],
) -> None:
    starts = np.concatenate([[0], np.cumsum([len(each) for each in held])]).astype(np.int32)
    places = (np.concatenate(held) - np.uint32(first)).view(np.int32)
    ones = np.ones(len(places), dtype=np.float32)
    by_trait = csc_matrix((ones, places, starts), shape=(sums.shape[1], len(held)))
    # Why one by one: several at once take scipy a call for each pair of person and trait.
    for row in np.flatnonzero(per_trait.any(axis=1)):
        sums[row] += by_trait @ np.ascontiguousarray(per_trait[row])


def fold_of(ordinals: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """Give everybody a fold that neither the order of arrival nor the kind of person decides."""
    mixed = ordinals.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return ((mixed >> np.uint64(40)) % np.uint64(FOLDS)).astype(np.uint8)


def columns_of(people: BitMap, traits: Sequence[BitMap]) -> csc_matrix:
    """Give one row per person and one column per trait; for a sample or a small range of people."""
    ordinals = ordinals_of(people)
    holders = [ordinals_of(trait & people) for trait in traits]
    starts = np.concatenate([[0], np.cumsum([len(each) for each in holders])])
    places = _places(ordinals, np.concatenate([*holders, np.zeros(0, dtype=np.uint32)]))
    ones = np.ones(len(places), dtype=np.float32)
    return csc_matrix((ones, places, starts), shape=(len(ordinals), len(traits)))


def _places(ordinals: NDArray[np.uint32], asked: NDArray[np.uint32]) -> NDArray[np.int32]:
    if not len(ordinals):
        return np.zeros(0, dtype=np.int32)
    first = ordinals[0]
    if int(ordinals[-1]) - int(first) >= PLACES_MAX:
        return np.searchsorted(ordinals, asked).astype(np.int32)
    table = np.zeros(int(ordinals[-1]) - int(first) + 1, dtype=np.int32)
    table[ordinals - first] = np.arange(len(ordinals), dtype=np.int32)
    return np.asarray(table[asked - first])
