"""Tries methods on hidden parts of a seed, then ranks everybody by the best or the one asked for.

In come the traits to use, seed and candidates; out goes a `Study`. Whom to take of the ranking, and
what to tell of it, is for others.
"""

from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from audiences.lookalike_signatures import (
    Signatures,
    TokenTable,
    fold_signatures,
    low_bytes,
    mean_similarity,
    token_table,
)
from audiences.lookalike_weights import (
    BLEND,
    LookalikeMethod,
    Others,
    Weights,
    counted,
    positive_information,
    z_sum,
)
from audiences.lookalikes.holdout import HoldOuts, hide, hold_out
from audiences.lookalikes.likeness import Likeness
from audiences.lookalikes.panel import OTHERS_SAMPLED_MAX, Panel, draw_panel
from audiences.lookalikes.ranges import Ranking, rank_by_likeness, rank_by_weights
from audiences.lookalikes.regression import regress
from audiences.lookalikes.traits import KnownTraits

COMMON_ABOVE: Final = 0.3
"""MinHash leaves out traits of more people than this: what all share makes nobody alike."""
FEW_OF_MANY: Final = 5
"""Where each other on the panel stands for so many, hardly anybody was learnt from."""


class Study(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Everybody ranked, by which method, and how that method and the others stood the trial."""

    method: LookalikeMethod
    methods: tuple[LookalikeMethod, ...]
    trials: HoldOuts
    weights: Weights | None
    ranking: Ranking
    known: KnownTraits

    @property
    def likeness(self) -> Likeness:
        """What a score means."""
        return self.trials.likeness(self.method)

    def per_trait(self) -> NDArray[np.float64]:
        """Give a weight to show per trait; MinHash has none, so what tells the seed is shown."""
        counts = self.known.counts
        if self.weights is None:
            return positive_information(counts)
        return self.weights.on_average(float(counts.in_all.sum() / counts.everybody))


def study_seed(
    method: LookalikeMethod,
    known: KnownTraits,
    *,
    seed: BitMap,
    candidates: BitMap,
    rng: np.random.Generator,
    others_max: int = OTHERS_SAMPLED_MAX,
) -> Study:
    """Try the methods on hidden parts of the seed, and rank everybody by the one asked for."""
    panel = draw_panel(
        seed, candidates, known.bitmaps, rng, others_max=others_max, gathered=known.gathered
    )
    sketch = _sketch(known, panel)
    methods = _methods_to_try(method, panel)
    hidings = hide(panel, methods, known.counts, low_bytes(sketch.panel), rng)
    trials = hold_out(panel, methods, hidings, rng=rng)
    chosen = trials.best(methods) if method is LookalikeMethod.AUTO else method
    others = panel.others()
    learnt = (
        regress(known.counts, panel.sample(panel.is_seed), hidings.shared).weights(
            trials.strength, len(known.names)
        )
        if hidings.shared is not None
        else None
    )
    weights = _weights(chosen, known, others, learnt)
    if weights is not None and panel.other_stands_for >= FEW_OF_MANY:
        weights = weights.merged()
    return Study(
        method=chosen,
        methods=tuple(methods),
        trials=trials,
        weights=weights,
        ranking=_rank(candidates, known, weights, sketch, panel, others),
        known=known,
    )


class _Sketch(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The traits that signatures are made of, and the signatures of the panel."""

    bitmaps: tuple[BitMap, ...]
    table: TokenTable
    panel: Signatures


def _sketch(known: KnownTraits, panel: Panel) -> _Sketch:
    few = np.flatnonzero(known.counts.in_all <= COMMON_ABOVE * known.counts.everybody)
    table = token_table([known.names[i] for i in few])
    # Why one more number: every common trait is that token, which nobody is given.
    token = np.full(len(known.names), len(few), dtype=np.int32)
    token[few] = np.arange(len(few), dtype=np.int32)
    tokens = token[panel.rows.indices]
    used = tokens < len(few)
    starts = np.concatenate([[0], np.cumsum(used, dtype=np.int64)])[panel.rows.indptr]
    return _Sketch(
        bitmaps=tuple(known.bitmaps[i] for i in few),
        table=table,
        panel=fold_signatures(table, starts, tokens[used]),
    )


def _methods_to_try(method: LookalikeMethod, panel: Panel) -> list[LookalikeMethod]:
    """List what the hold-out compares: the method asked for, or all that the seed allows."""
    if method is not LookalikeMethod.AUTO:
        return list(dict.fromkeys([method, LookalikeMethod.MINHASH]))
    methods = [LookalikeMethod.BLEND, LookalikeMethod.LOGODDS, LookalikeMethod.IV]
    if panel.learns:
        methods.append(LookalikeMethod.LR)
    return [*methods, LookalikeMethod.MINHASH]


def _weights(
    method: LookalikeMethod, known: KnownTraits, others: Others, learnt: Weights | None
) -> Weights | None:
    """Find the weights of one method in units of the sampled others' deviation."""
    if method is LookalikeMethod.MINHASH:
        return None
    names = BLEND if method is LookalikeMethod.BLEND else {method.value: 1.0}
    parts = []
    for name, share in names.items():
        if name != LookalikeMethod.LR:
            parts.append((counted(LookalikeMethod(name), known.counts), share))
        elif learnt is not None:
            parts.append((learnt, share))
    return z_sum([(z_sum(parts, others), 1.0)], others)


def _rank(
    candidates: BitMap,
    known: KnownTraits,
    weights: Weights | None,
    sketch: _Sketch,
    panel: Panel,
    others: Others,
) -> Ranking:
    if weights is not None:
        if panel.other_stands_for == 1:
            scores = weights.score(others.rows, others.fold).astype(np.float32)
            return Ranking(ordinals=panel.ordinals[~panel.is_seed], scores=scores)
        return rank_by_weights(candidates, known.bitmaps, weights)
    values = sketch.panel.values
    seed = Signatures(scheme=sketch.table.scheme, values=values[panel.is_seed])
    rest = Signatures(scheme=sketch.table.scheme, values=values[~panel.is_seed])
    everyday = mean_similarity(rest, seed)
    ranking = rank_by_likeness(candidates, sketch.bitmaps, sketch.table, seed)
    scores = (ranking.scores - everyday.mean()) / (everyday.std() or 1.0)
    return Ranking(ordinals=ranking.ordinals, scores=scores.astype(np.float32))
