"""The people that a lookalike learns from and is tried on: a bounded sample with their traits.

In come bitmaps of people and traits, out goes a `Panel`; small seeds and bases are taken whole.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap
from scipy.sparse import csc_matrix, csr_matrix

from audiences.lookalike_weights import SEED_FOR_LOGISTIC, Others, Sample
from audiences.lookalikes.ranges import columns_of, fold_of
from matching.bitmaps import bitmap_of, ordinals_of

SEED_SAMPLED_MAX: Final = 10_000
OTHERS_SAMPLED_MAX: Final = 20_000
QUICK_OTHERS: Final = 5_000


class Panel(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Sampled people of the seed and of the others; each stands for so many of its kind."""

    ordinals: NDArray[np.uint32]
    rows: csr_matrix
    columns: csc_matrix
    fold: NDArray[np.uint8]
    is_seed: NDArray[np.bool_]
    seed_stands_for: float
    other_stands_for: float

    @property
    def learns(self) -> bool:
        """Tell whether there is seed enough for a regression."""
        return int(self.is_seed.sum()) >= SEED_FOR_LOGISTIC

    def sample(self, is_seed: NDArray[np.bool_]) -> Sample:
        """Give everybody on the panel for learning, with those held to be seed."""
        return Sample(columns=self.columns, is_seed=is_seed, fold=self.fold)

    def others(self) -> Others:
        """Give those who are not seed."""
        return Others(rows=self.rows[~self.is_seed], fold=self.fold[~self.is_seed])


def draw_panel(
    seed: BitMap,
    others: BitMap,
    traits: Sequence[BitMap],
    rng: np.random.Generator,
    *,
    others_max: int = OTHERS_SAMPLED_MAX,
    gathered: tuple[BitMap, csc_matrix] | None = None,
) -> Panel:
    """Sample people and gather their traits, from bitmaps or from where they were `gathered`."""
    seed_sample = _draw(seed, min(SEED_SAMPLED_MAX, others_max), rng)
    other_sample = _draw(others, others_max, rng)
    people = seed_sample | other_sample
    ordinals = ordinals_of(people)
    columns = columns_of(people, traits) if gathered is None else _rows_of(people, *gathered)
    return Panel(
        ordinals=ordinals,
        rows=columns.tocsr(),
        columns=columns,
        fold=fold_of(ordinals),
        is_seed=np.isin(ordinals, ordinals_of(seed_sample)),
        seed_stands_for=len(seed) / len(seed_sample),
        other_stands_for=len(others) / len(other_sample),
    )


def _rows_of(people: BitMap, gathered: BitMap, columns: csc_matrix) -> csc_matrix:
    if people == gathered:
        return columns
    return columns[np.isin(ordinals_of(gathered), ordinals_of(people))]


def _draw(people: BitMap, most: int, rng: np.random.Generator) -> BitMap:
    if len(people) <= most:
        return people
    return bitmap_of(rng.choice(ordinals_of(people), most, replace=False, shuffle=False))
