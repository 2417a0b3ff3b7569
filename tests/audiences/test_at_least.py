"""At least k of some sets: by words and by bitmaps the same as counted one by one."""

from typing import Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pyroaring import BitMap

from audiences.at_least import BLOCKS_AT_ONCE, LARGE_LEAST, LARGE_MOST, at_least
from matching.bit_blocks import BLOCK, BitBlocks, are_bits, bitmap_of_words
from matching.ids import VISITOR_FIRST

FIRST: Final = VISITOR_FIRST // BLOCK * BLOCK

# A set is a gap, then of each block the share that is in it: 0.0625 lies where roaring changes from
# lists to bits, 1 makes runs where it was told to look for them.
sets_of_blocks = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.lists(st.sampled_from([0.0, 0.001, 0.06, 0.0625, 0.065, 0.5, 1.0]), max_size=5),
        st.booleans(),
    ),
    min_size=1,
    max_size=7,
)


def apart(bitmap: BitMap) -> BitMap:
    """Move the first two blocks to where customers are, far from browsers."""
    low = BitMap(bitmap)
    low.remove_range(FIRST + 2 * BLOCK, 1 << 32)
    return low.shift(-FIRST) | (bitmap - low)


def mask_of(gap: int, shares: list[float], draw: np.random.Generator) -> NDArray[np.bool_]:
    mask = np.zeros((9, BLOCK), dtype=np.bool_)
    for block, share in enumerate(shares, gap):
        mask[block] = draw.random(BLOCK) < share
    return mask.ravel()


def bitmap_of(mask: NDArray[np.bool_], *, runs: bool = False) -> BitMap:
    return BitMap((FIRST + np.flatnonzero(mask)).tolist(), optimize=runs)


@given(sets_of_blocks, st.integers(1, 8), st.integers(0, 99))
def test_members_of_large_and_small_sets_are_counted(
    made_of: list[tuple[int, list[float], bool]], k: int, seed: int
) -> None:
    """Whatever rests as lists, bits or runs, who is in k sets or more is found, and nobody else."""
    draw = np.random.default_rng(seed)
    masks = [mask_of(gap, shares, draw) for gap, shares, _ in made_of]
    sets = [
        apart(bitmap_of(mask, runs=runs)) for mask, (*_, runs) in zip(masks, made_of, strict=True)
    ]
    before = [each.copy() for each in sets]
    expected = apart(bitmap_of(np.sum(masks, axis=0, dtype=np.int64) >= k))
    assert at_least(k, sets) == expected
    assert sets == before


@pytest.mark.parametrize(
    ("count", "blocks"),
    [
        *((count, 1) for count in (LARGE_LEAST, LARGE_LEAST + 5, LARGE_MOST, LARGE_MOST + 1)),
        *((LARGE_LEAST, BLOCKS_AT_ONCE + more) for more in (0, 1)),
    ],
)
def test_many_large_sets_are_counted(count: int, blocks: int) -> None:
    """However many sets and blocks, and for every k, the counts of all are right."""
    draw = np.random.default_rng(count)
    masks = draw.random((count, blocks * BLOCK)) < draw.random((count, 1)) + 0.1
    sets = [bitmap_of(mask) for mask in masks]
    assert all(map(are_bits, sets))
    counts = masks.sum(axis=0)
    for k in {1, 2, 3, count // 2, count - 1, count}:
        assert at_least(k, sets) == bitmap_of(counts >= k), k


@pytest.mark.parametrize(
    ("shares", "bits"),
    [([0.5, 0.5, 0.01], True), ([0.5, 0.01], False), ([1.0, 1.0, 0.5], False), ([], False)],
    ids=["mostly bits", "half lists", "runs", "nobody"],
)
def test_only_sets_of_bits_are_large(shares: list[float], bits: bool) -> None:
    """Most blocks must rest as bits, and none as runs, which are refused as blocks of bits."""
    made = bitmap_of(mask_of(1, shares, np.random.default_rng(1)), runs=1.0 in shares)
    assert are_bits(made) == bits
    if 1.0 in shares:
        with pytest.raises(ValueError, match="runs"):
            BitBlocks(made)


@given(sets_of_blocks.map(lambda found: found[0]), st.integers(1, 6), st.integers(0, 99))
def test_words_and_bitmaps_are_the_same_members(
    made_of: tuple[int, list[float], bool], at_once: int, seed: int
) -> None:
    """Blocks read as words, some at a time, make the bitmap again that they were read from."""
    gap, shares, _ = made_of
    made = bitmap_of(mask_of(gap, shares, np.random.default_rng(seed)))
    if not made:
        return
    blocks, found = BitBlocks(made), BitMap()
    for begin in range(0, blocks.numbers.size, at_once):
        some = blocks.numbers[begin : begin + at_once]
        room = np.full((some.size, BLOCK // 64), 7, dtype=np.uint64)
        found |= bitmap_of_words(blocks.words(some, room), some)
    assert found == made
