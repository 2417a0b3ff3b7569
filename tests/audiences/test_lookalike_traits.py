"""The traits by which twins are found: counted alike in small bases and in large ones."""

import numpy as np
import pytest
from pyroaring import BitMap

from audiences.lookalikes.panel import draw_panel
from audiences.lookalikes.ranges import columns_of
from audiences.lookalikes.traits import GATHERED_WHOLE_MAX, gather_traits
from matching.bitmaps import bitmap_of

SIZES = [
    pytest.param(2_000, True, id="small base"),
    pytest.param(GATHERED_WHOLE_MAX + 1, False, id="large base"),
]


def draw(people: int) -> tuple[BitMap, BitMap, dict[str, BitMap]]:
    """Draw traits that others outside the base hold, too; every fifth is rare inside it."""
    rng = np.random.default_rng(9)
    ordinals = np.arange(1, 2 * people + 1, dtype=np.uint32)
    base, seed = bitmap_of(ordinals[:people]), bitmap_of(ordinals[: people // 10])
    traits = {
        f"trait {i:02}": bitmap_of(
            ordinals[rng.random(2 * people) < (20 / people if i % 5 == 0 else 0.1)]
        )
        for i in range(30)
    }
    return base, seed, traits


@pytest.mark.parametrize(("people", "is_gathered"), SIZES)
def test_traits_are_counted_in_the_base(people: int, is_gathered: bool) -> None:
    """Counts are those of each bitmap with the base and the seed, however they were taken."""
    base, seed, traits = draw(people)
    known = gather_traits(traits, seed=seed, base=base, rare_below=50)
    kept = [name for name in sorted(traits) if len(traits[name] & base) >= 50]
    assert list(known.names) == kept
    assert known.rare == len(traits) - len(kept) == 6
    assert known.counts.in_all.tolist() == [len(traits[name] & base) for name in kept]
    assert known.counts.in_seed.tolist() == [len(traits[name] & seed) for name in kept]
    assert (known.gathered is not None) == is_gathered


def test_what_was_gathered_gives_the_panel_of_bitmaps() -> None:
    """A panel of some of a small base has the same rows as one drawn from the bitmaps."""
    base, seed, traits = draw(2_000)
    known = gather_traits(traits, seed=seed, base=base, rare_below=50).best(12)
    some = bitmap_of(np.arange(500, 1_500, dtype=np.uint32))
    for others in (base - seed, some - seed):
        rng = np.random.default_rng(1)
        panel = draw_panel(seed, others, known.bitmaps, rng, gathered=known.gathered)
        expected = columns_of(seed | others, known.bitmaps)
        assert (panel.rows != expected.tocsr()).nnz == 0
        assert (panel.columns != expected).nnz == 0
