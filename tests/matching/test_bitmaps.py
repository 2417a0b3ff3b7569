"""Bitmaps of many ordinals: the same by a mask and one by one."""

import numpy as np
import pytest
from pyroaring import BitMap

from matching.bitmaps import MASK_BYTES_AN_ORDINAL_MAX, MASK_FROM, bitmap_of
from matching.ids import VISITOR_FIRST


@pytest.mark.parametrize("first", [0, 1, 65_535, VISITOR_FIRST, VISITOR_FIRST + 70_001])
@pytest.mark.parametrize("count", [0, 1, MASK_FROM - 1, MASK_FROM, 3 * MASK_FROM])
@pytest.mark.parametrize("step", [1, MASK_BYTES_AN_ORDINAL_MAX, MASK_BYTES_AN_ORDINAL_MAX + 1])
def test_many_ordinals_in_any_order_are_a_set(first: int, count: int, step: int) -> None:
    """However many, how close and in what order, with repeats or not, all are in and no other."""
    ordinals = np.arange(first, first + count * step, step, dtype=np.uint32)
    mixed = np.random.default_rng(1).permutation(np.concatenate([ordinals, ordinals[:7]]))
    expected = BitMap(range(first, first + count * step, step))
    assert bitmap_of(ordinals) == bitmap_of(mixed) == expected
