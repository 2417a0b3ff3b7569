"""The built-in trial of a lookalike: hide a part of the seed, rank all, see where the hidden stand.

In comes a bounded sample of people with their traits; out go AUC, lift and recall per method beside
two baselines. It says how alike people are, not what a campaign will earn.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from audiences.lookalike_signatures import LowBytes, mean_agreement
from audiences.lookalike_weights import (
    BLEND,
    LookalikeMethod,
    TraitCounts,
    counted,
    score_together,
)
from audiences.lookalikes.likeness import Likeness, learn_likeness
from audiences.lookalikes.panel import Panel
from audiences.lookalikes.regression import STRENGTHS, Shared, regress, share_products
from audiences.lookalikes.report import Baseline, HoldOut, Spread

REPEATS: Final = 3
HIDDEN_SHARE: Final = 0.2
HIDDEN_LEAST: Final = 20
LIFT_SHARE: Final = 0.05
LEARNT: Final = frozenset({LookalikeMethod.LR, LookalikeMethod.BLEND})


class Trial(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What one method found in all repeats, and its mean recall along the curve."""

    hold_out: HoldOut
    curve: tuple[float, ...]


class Repeat(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One hiding: who is hidden of those ranked, and scores by name and strength of regression."""

    hidden: NDArray[np.bool_]
    stands_for: NDArray[np.float64]
    scores: dict[str, NDArray[np.float64]]
    by_strength: NDArray[np.float64]


class Hidings(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Who of the panel stays seed in each repeat, what is counted then, and what all share."""

    kept: tuple[NDArray[np.bool_], ...]
    counts: tuple[TraitCounts, ...]
    bytes: LowBytes
    shared: Shared | None


class HoldOuts(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """All that was ranked while parts of the seed were hidden; measured as often as asked."""

    repeats: tuple[Repeat, ...]
    strength: int
    """The place in STRENGTHS of the regression that found most of the hidden."""

    def aucs(self, name: LookalikeMethod | Baseline) -> NDArray[np.float64]:
        """Give the AUC of one method in each repeat."""
        found = [auc(_scores(name, each, self.strength), each.hidden) for each in self.repeats]
        return np.array(found)

    def best(self, methods: Sequence[LookalikeMethod]) -> LookalikeMethod:
        """Choose the first method, unless another did better in every repeat."""
        first = self.aucs(methods[0])
        gains = {method: self.aucs(method) - first for method in methods}
        sure = [method for method in methods if (gains[method] > 0).all()]
        return max(sure, key=lambda method: float(gains[method].mean()), default=methods[0])

    def likeness(self, method: LookalikeMethod) -> Likeness:
        """Give what scores of a method mean, learnt from the hidden and the others."""
        scores = [_scores(method, each, self.strength) for each in self.repeats]
        hidden = [each.hidden for each in self.repeats]
        return learn_likeness(np.concatenate(scores), np.concatenate(hidden))

    def trial(self, name: LookalikeMethod | Baseline, shares: Sequence[float]) -> Trial:
        """Measure one method: AUC, recall at 5 %, at the size (the first share), at the others."""
        measured = []
        for each in self.repeats:
            scores = _scores(name, each, self.strength)
            asked = [LIFT_SHARE, *shares]
            recalls = recall_at(scores, each.hidden, each.stands_for, asked)
            measured.append([auc(scores, each.hidden), *recalls])
        found = np.array(measured)
        return Trial(
            hold_out=HoldOut(
                method=name.value,
                auc=_spread(found[:, 0]),
                lift_at_5=_spread(found[:, 1] / LIFT_SHARE),
                lift=_spread(found[:, 2] / min(shares[0], 1.0)),
                recall=_spread(found[:, 2]),
            ),
            curve=tuple(found[:, 3:].mean(axis=0).tolist()),
        )


def hold_out(
    panel: Panel, methods: Sequence[LookalikeMethod], hidings: Hidings, *, rng: np.random.Generator
) -> HoldOuts:
    """Rank the same hidden people by all methods and baselines, three times over."""
    scores = _counted_scores(panel, hidings.counts)
    held = np.diff(panel.rows.indptr).astype(np.float64)
    repeats = []
    for kept, counts, by_count in zip(hidings.kept, hidings.counts, scores, strict=True):
        # Why by lot: whoever scores the same stands in the order that is met here.
        ranked = rng.permutation(np.flatnonzero(~kept))
        hidden = panel.is_seed[ranked]
        found = {name: standard(each[ranked], hidden) for name, each in by_count.items()}
        found[Baseline.RANDOM.value] = rng.random(len(hidden))
        found[Baseline.ACTIVITY_ONLY.value] = held[ranked]
        if LookalikeMethod.MINHASH in methods:
            alike = mean_agreement(hidings.bytes, hidings.bytes.only(kept))
            found[LookalikeMethod.MINHASH.value] = standard(alike[ranked], hidden)
        by_strength = np.zeros((0, 0))
        if hidings.shared is not None:
            by_strength = regress(counts, panel.sample(kept), hidings.shared).scores[ranked]
        repeats.append(
            Repeat(
                hidden=hidden,
                stands_for=np.where(hidden, panel.seed_stands_for, panel.other_stands_for),
                scores=found,
                by_strength=by_strength,
            )
        )
    return HoldOuts(repeats=tuple(repeats), strength=_best_strength(repeats))


def hide(
    panel: Panel,
    methods: Sequence[LookalikeMethod],
    counts: TraitCounts,
    low_bytes: LowBytes,
    rng: np.random.Generator,
) -> Hidings:
    """Choose who is hidden in each repeat, and lay out what all of them share."""
    kept = tuple(_keep(panel.is_seed, rng) for _ in range(REPEATS))
    # Why one product: traits by people times people by repeats counts every trait for all repeats.
    in_seed = panel.columns.T @ np.stack(kept, axis=1).astype(np.float32)
    told = [
        msgspec.structs.replace(counts, in_seed=each.astype(np.int64), seed=int(stay.sum()))
        for each, stay in zip(in_seed.T, kept, strict=True)
    ]
    learns = panel.learns and LEARNT & set(methods)
    shared = share_products(panel.sample(panel.is_seed), [counts, *told]) if learns else None
    return Hidings(kept=kept, counts=tuple(told), bytes=low_bytes, shared=shared)


def _keep(is_seed: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Choose who stays seed; the others of the seed are hidden."""
    seed = np.flatnonzero(is_seed)
    hidden = min(max(round(HIDDEN_SHARE * len(seed)), HIDDEN_LEAST), len(seed) // 2)
    kept = is_seed.copy()
    kept[rng.choice(seed, hidden, replace=False)] = False
    return kept


def _counted_scores(
    panel: Panel, counted_in: Sequence[TraitCounts]
) -> list[dict[str, NDArray[np.float64]]]:
    """Score everybody on the panel by what each repeat counted, in one pass over their traits."""
    methods = (LookalikeMethod.LOGODDS, LookalikeMethod.IV)
    found = score_together(
        [counted(method, counts) for counts in counted_in for method in methods], panel.rows
    )
    each = iter(found.T)
    return [{method.value: next(each) for method in methods} for _ in counted_in]


def standard(scores: NDArray[Any], is_seed: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Give scores mean 0 and deviation 1 over the others."""
    others = scores[~is_seed]
    return np.asarray((scores - others.mean()) / (others.std() or 1.0), dtype=np.float64)


def _best_strength(repeats: Sequence[Repeat]) -> int:
    """Choose how freely a regression may learn by how well the hidden are found."""
    if not repeats[0].by_strength.size:
        return 0
    found = [
        [auc(repeat.by_strength[:, i], repeat.hidden) for i in range(len(STRENGTHS))]
        for repeat in repeats
    ]
    return int(np.argmax(np.mean(found, axis=0)))


def _scores(name: LookalikeMethod | Baseline, repeat: Repeat, strength: int) -> NDArray[np.float64]:
    if name is LookalikeMethod.LR:
        return np.asarray(repeat.by_strength[:, strength])
    if name is not LookalikeMethod.BLEND:
        return repeat.scores[name.value]
    parts = [(share, repeat.scores[part]) for part, share in BLEND.items() if part != "lr"]
    if repeat.by_strength.size:
        parts.append((BLEND["lr"], repeat.by_strength[:, strength]))
    total = np.sum([share * scores for share, scores in parts], axis=0)
    return standard(total, repeat.hidden)


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
) -> list[float]:
    """Give the share of hidden people in the best 1 %, 5 % ... of all that the panel stands for.

    Nobody may stand where they stand because they are hidden: equal scores are taken as they come.
    """
    order = np.argsort(-scores)
    people = np.cumsum(stands_for[order])
    found = np.concatenate([[0], np.cumsum(hidden[order])]) / hidden.sum()
    # Why the half: sums of weights are not exact, and a whole person must not be lost to rounding.
    limits = [min(share, 1.0) * people[-1] + stands_for.min() / 2 for share in shares]
    return [float(found[np.searchsorted(people, limit, side="right")]) for limit in limits]


def _spread(values: NDArray[np.float64]) -> Spread:
    return Spread(mean=round(float(values.mean()), 4), spread=round(float(values.std(ddof=1)), 4))
