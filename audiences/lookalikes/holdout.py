"""The built-in trial of a lookalike: hide a part of the seed, rank all, see where the hidden stand.

In comes a bounded sample of people with their traits; out go AUC, lift and recall per method beside
two baselines. It says how alike people are, not what a campaign will earn.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from audiences.lookalike_signatures import Signatures, mean_similarity
from audiences.lookalike_weights import BLEND, LookalikeMethod, Sample, TraitCounts, counted
from audiences.lookalikes.likeness import Likeness, learn_likeness
from audiences.lookalikes.panel import Panel
from audiences.lookalikes.regression import STRENGTHS, regress
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
    """One hiding: who is ranked and hidden, and scores by name and by strength of regression."""

    hidden: NDArray[np.bool_]
    stands_for: NDArray[np.float64]
    ties: NDArray[np.float64]
    scores: dict[str, NDArray[np.float64]]
    by_strength: NDArray[np.float64]


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
            recalls = recall_at(scores, each.hidden, each.stands_for, asked, each.ties)
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
    panel: Panel,
    methods: Sequence[LookalikeMethod],
    *,
    in_all: NDArray[np.int64],
    everybody: int,
    signatures: Signatures,
    rng: np.random.Generator,
) -> HoldOuts:
    """Rank the same hidden people by all methods and baselines, three times over."""
    repeats = []
    for _ in range(REPEATS):
        kept = _keep(panel.is_seed, rng)
        in_seed = np.bincount(panel.rows[kept].indices, minlength=panel.rows.shape[1])
        counts = TraitCounts(
            in_seed=in_seed.astype(np.int64),
            in_all=in_all,
            seed=int(kept.sum()),
            everybody=everybody,
        )
        repeats.append(_repeat(panel, panel.sample(kept), methods, counts, signatures, rng))
    return HoldOuts(repeats=tuple(repeats), strength=_best_strength(repeats))


def _keep(is_seed: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Choose who stays seed; the others of the seed are hidden."""
    seed = np.flatnonzero(is_seed)
    hidden = min(max(round(HIDDEN_SHARE * len(seed)), HIDDEN_LEAST), len(seed) // 2)
    kept = is_seed.copy()
    kept[rng.choice(seed, hidden, replace=False)] = False
    return kept


def _repeat(
    panel: Panel,
    sample: Sample,
    methods: Sequence[LookalikeMethod],
    counts: TraitCounts,
    signatures: Signatures,
    rng: np.random.Generator,
) -> Repeat:
    ranked = ~sample.is_seed
    hidden = panel.is_seed[ranked]
    rows = panel.rows[ranked]
    scores = {
        Baseline.RANDOM.value: rng.random(len(hidden)),
        Baseline.ACTIVITY_ONLY.value: np.diff(rows.indptr).astype(np.float64),
    }
    for method in (LookalikeMethod.LOGODDS, LookalikeMethod.IV):
        found = counted(method, counts).score(rows, sample.fold[ranked])
        scores[method.value] = standard(found, hidden)
    if LookalikeMethod.MINHASH in methods:
        alike = mean_similarity(_only(signatures, ranked), _only(signatures, sample.is_seed))
        scores[LookalikeMethod.MINHASH.value] = standard(alike, hidden)
    learns = panel.learns and LEARNT & set(methods)
    return Repeat(
        hidden=hidden,
        stands_for=np.where(hidden, panel.seed_stands_for, panel.other_stands_for),
        ties=rng.random(len(hidden)),
        scores=scores,
        by_strength=regress(counts, sample).scores[ranked] if learns else np.zeros((0, 0)),
    )


def standard(scores: NDArray[Any], is_seed: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Give scores mean 0 and deviation 1 over the others."""
    others = scores[~is_seed]
    return np.asarray((scores - others.mean()) / (others.std() or 1.0), dtype=np.float64)


def _only(signatures: Signatures, people: NDArray[np.bool_]) -> Signatures:
    return Signatures(scheme=signatures.scheme, values=signatures.values[people])


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
    ties: NDArray[np.float64],
) -> list[float]:
    """Give the share of hidden people in the best 1 %, 5 % ... of all that the panel stands for."""
    order = np.lexsort((ties, -scores))
    people = np.cumsum(stands_for[order])
    found = np.concatenate([[0], np.cumsum(hidden[order])]) / hidden.sum()
    # Why the half: sums of weights are not exact, and a whole person must not be lost to rounding.
    limits = [min(share, 1.0) * people[-1] + stands_for.min() / 2 for share in shares]
    return [float(found[np.searchsorted(people, limit, side="right")]) for limit in limits]


def _spread(values: NDArray[np.float64]) -> Spread:
    return Spread(mean=round(float(values.mean()), 4), spread=round(float(values.std(ddof=1)), 4))
