"""The built-in trial of a lookalike: hide a part of the seed, rank all, see where the hidden stand.

In comes a bounded sample of people with their traits; out go AUC, lift and recall per method beside
two baselines. It says how alike people are, not what a campaign will earn.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap
from scipy.sparse import csr_matrix

from audiences.lookalike_ranges import fold_of, rows_of
from audiences.lookalike_report import CURVE_PERCENTS, Baseline, HoldOut, Spread
from audiences.lookalike_signatures import Signatures, mean_similarity
from audiences.lookalike_weights import LookalikeMethod, Sample, TraitCounts, weigh
from matching.bitmaps import bitmap_of, ordinals_of

REPEATS = 3
HIDDEN_SHARE = 0.2
HIDDEN_LEAST = 20
SEED_SAMPLED_MAX = 20_000
OTHERS_SAMPLED_MAX = 40_000
LIFT_SHARE = 0.05


class Panel(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Sampled people of the seed and of the others; each stands for so many of its kind."""

    ordinals: NDArray[np.uint32]
    rows: csr_matrix
    is_seed: NDArray[np.bool_]
    seed_stands_for: float
    other_stands_for: float

    def sample(self, is_seed: NDArray[np.bool_]) -> Sample:
        """Give everybody on the panel for learning, with those held to be seed."""
        return Sample(rows=self.rows, is_seed=is_seed, fold=fold_of(self.ordinals))


class Trial(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What one method found in all repeats, and its mean recall along the curve."""

    hold_out: HoldOut
    curve: tuple[float, ...]


def draw_panel(
    seed: BitMap, others: BitMap, traits: Sequence[BitMap], rng: np.random.Generator
) -> Panel:
    """Sample people and gather their traits; small seeds and bases are taken whole."""
    seed_sample = _draw(seed, SEED_SAMPLED_MAX, rng)
    other_sample = _draw(others, OTHERS_SAMPLED_MAX, rng)
    people = seed_sample | other_sample
    ordinals = ordinals_of(people)
    return Panel(
        ordinals=ordinals,
        rows=rows_of(people, traits),
        is_seed=np.isin(ordinals, ordinals_of(seed_sample)),
        seed_stands_for=len(seed) / len(seed_sample),
        other_stands_for=len(others) / len(other_sample),
    )


def _draw(people: BitMap, most: int, rng: np.random.Generator) -> BitMap:
    if len(people) <= most:
        return people
    return bitmap_of(rng.choice(ordinals_of(people), most, replace=False, shuffle=False))


def hold_out(
    panel: Panel,
    methods: Sequence[LookalikeMethod],
    *,
    in_all: NDArray[np.int64],
    everybody: int,
    signatures: Signatures,
    share: float,
    rng: np.random.Generator,
) -> dict[str, Trial]:
    """Try methods and baselines on the same hidden people, three times over."""
    names: list[LookalikeMethod | Baseline] = [*methods, *Baseline]
    shares = [LIFT_SHARE, share, *(percent / 100 for percent in CURVE_PERCENTS)]
    found: dict[str, list[NDArray[np.float64]]] = {name: [] for name in names}
    for _ in range(REPEATS):
        kept, ranked = _hide(panel.is_seed, rng)
        counts = TraitCounts(
            in_seed=_column_sums(panel.rows[kept]),
            in_all=in_all,
            seed=int(kept.sum()),
            everybody=everybody,
        )
        hidden = panel.is_seed[ranked]
        ties = rng.random(len(hidden))
        for name in names:
            scores = _scores(name, panel, kept, ranked, counts, signatures, rng)
            stands_for = np.where(hidden, panel.seed_stands_for, panel.other_stands_for)
            recalls = recall_at(scores, hidden, stands_for, shares, ties)
            found[name].append(np.array([auc(scores, hidden), *recalls]))
    return {name: _trial(name, np.array(repeats)) for name, repeats in found.items()}


def _hide(
    is_seed: NDArray[np.bool_], rng: np.random.Generator
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Choose who stays seed, and who is ranked: the hidden and all others."""
    seed = np.flatnonzero(is_seed)
    hidden = min(max(round(HIDDEN_SHARE * len(seed)), HIDDEN_LEAST), len(seed) // 2)
    kept = is_seed.copy()
    kept[rng.choice(seed, hidden, replace=False)] = False
    return kept, ~kept


def _column_sums(rows: csr_matrix) -> NDArray[np.int64]:
    return np.bincount(rows.indices, minlength=rows.shape[1]).astype(np.int64)


def _scores(
    name: LookalikeMethod | Baseline,
    panel: Panel,
    kept: NDArray[np.bool_],
    ranked: NDArray[np.bool_],
    counts: TraitCounts,
    signatures: Signatures,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    match name:
        case Baseline.RANDOM:
            return rng.random(int(ranked.sum()))
        case Baseline.ACTIVITY_ONLY:
            return np.asarray(np.diff(panel.rows.indptr)[ranked], dtype=np.float64)
        case LookalikeMethod.MINHASH:
            return mean_similarity(_only(signatures, ranked), _only(signatures, kept))
        case _:
            sample = panel.sample(kept)
            return weigh(name, counts, sample).score(panel.rows[ranked], sample.fold[ranked])


def _only(signatures: Signatures, people: NDArray[np.bool_]) -> Signatures:
    return Signatures(scheme=signatures.scheme, values=signatures.values[people])


def auc(scores: NDArray[Any], hidden: NDArray[np.bool_]) -> float:
    """Give the chance that a hidden person stands above another, ties counting half."""
    others = np.sort(scores[~hidden])
    below = np.searchsorted(others, scores[hidden], side="left")
    not_above = np.searchsorted(others, scores[hidden], side="right")
    return float((below + not_above).mean() / (2 * len(others)))


def recall_at(
    scores: NDArray[Any],
    hidden: NDArray[np.bool_],
    stands_for: NDArray[np.float64],
    shares: Sequence[float],
    ties: NDArray[np.float64],
) -> list[float]:
    """Give the share of hidden people in the best 1 %, 5 % ... of all that the panel stands for."""
    order = np.lexsort((ties, -scores))
    people = np.cumsum(stands_for[order])
    found = np.concatenate([[0], np.cumsum(hidden[order])]) / hidden.sum()
    # Why the half: sums of weights are not exact, and a whole person must not be lost to rounding.
    limits = [min(share, 1.0) * people[-1] + stands_for.min() / 2 for share in shares]
    return [float(found[np.searchsorted(people, limit, side="right")]) for limit in limits]


def _trial(name: str, repeats: NDArray[np.float64]) -> Trial:
    """Sum up the repeats; their columns: AUC, recall at 5 %, recall at the size, the curve."""
    return Trial(
        hold_out=HoldOut(
            method=str(name),
            auc=_spread(repeats[:, 0]),
            lift_at_5=_spread(repeats[:, 1] / LIFT_SHARE),
            recall=_spread(repeats[:, 2]),
        ),
        curve=tuple(repeats[:, 3:].mean(axis=0).tolist()),
    )


def _spread(values: NDArray[np.float64]) -> Spread:
    return Spread(mean=round(float(values.mean()), 4), spread=round(float(values.std(ddof=1)), 4))
