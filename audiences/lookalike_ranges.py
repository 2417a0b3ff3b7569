"""Everybody in ranges of ordinals: which exist, who is in them, and a score for each from bitmaps.

In come bitmaps of people, out go arrays in ordinal order. Memory is bounded by one range and one
number per person; there is never a matrix of people and traits, but of a bounded sample.
"""

from collections.abc import Iterator, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap
from scipy.sparse import csc_matrix, csr_matrix

from audiences.lookalike_signatures import Signatures, TokenTable, fold_signatures, mean_similarity
from audiences.lookalike_weights import FOLDS, Weights
from matching.bitmaps import bitmap_of, ordinals_of

RANGE_ORDINALS = 1 << 20
SIGNATURE_RANGE_ORDINALS = 1 << 15
"""Smaller, because signatures need the traits of each person side by side."""


class Ranking(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A score for each of `ordinals`, which ascend."""

    ordinals: NDArray[np.uint32]
    scores: NDArray[np.float32]


def rank_by_weights(people: BitMap, traits: Sequence[BitMap], weights: Weights) -> Ranking:
    """Score everybody in `people` by the weights of the traits they hold."""
    parts = [score_range(part, traits, weights) for part in ranges(people, RANGE_ORDINALS)]
    return Ranking(ordinals=ordinals_of(people), scores=np.concatenate(parts))


def rank_by_likeness(
    people: BitMap, traits: Sequence[BitMap], table: TokenTable, seed: Signatures
) -> Ranking:
    """Score everybody in `people` by the mean likeness of their signature to the seed's."""
    parts = []
    for part in ranges(people, SIGNATURE_RANGE_ORDINALS):
        rows = rows_of(part, traits)
        signed = fold_signatures(table, rows.indptr.astype(np.int64), rows.indices)
        parts.append(mean_similarity(signed, seed).astype(np.float32))
    return Ranking(ordinals=ordinals_of(people), scores=np.concatenate(parts))


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
    first = int(ordinals[0])
    straight = np.zeros(int(ordinals[-1]) - first + 1, dtype=np.float32)
    rooted = np.zeros_like(straight)
    held = np.zeros_like(straight)
    counts_traits = bool(weights.per_root.any())
    for fold, members in _folds_of(part, ordinals, len(weights.linear)):
        straight[ordinals_of(members) - first] -= np.float32(weights.offset[fold])
        for i, trait in enumerate(traits):
            holders = ordinals_of(trait & members) - first
            straight[holders] += np.float32(weights.linear[fold, i])
            if counts_traits:
                rooted[holders] += np.float32(weights.per_root[i])
                held[holders] += 1
    scores = straight + rooted / np.sqrt(np.maximum(held, 1))
    return np.asarray(scores[ordinals - first])


def _folds_of(
    part: BitMap, ordinals: NDArray[np.uint32], folds: int
) -> Iterator[tuple[int, BitMap]]:
    if folds == 1:
        yield 0, part
        return
    fold = fold_of(ordinals)
    for each in range(folds):
        yield each, bitmap_of(ordinals[fold == each])


def fold_of(ordinals: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """Give everybody a fold that neither the order of arrival nor the kind of person decides."""
    mixed = ordinals.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return ((mixed >> np.uint64(40)) % np.uint64(FOLDS)).astype(np.uint8)


def rows_of(people: BitMap, traits: Sequence[BitMap]) -> csr_matrix:
    """Give one row of trait columns per person; only for a sample or a small range of people."""
    ordinals = ordinals_of(people)
    holders = [np.searchsorted(ordinals, ordinals_of(trait & people)) for trait in traits]
    starts = np.concatenate([[0], np.cumsum([len(each) for each in holders])])
    indices = np.concatenate([*holders, np.zeros(0, dtype=np.int64)]).astype(np.int32)
    shape = (len(ordinals), len(traits))
    by_trait = csc_matrix((np.ones(len(indices), dtype=np.float32), indices, starts), shape=shape)
    return by_trait.tocsr()
