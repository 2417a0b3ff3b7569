"""Twins of a seed: the people of a base that most resemble it, with an honest report.

In come bitmaps of people (traits, seed, base, excluded), out go members and the report. No
database, no HTTP; what an audience key means and whose traits they are is the caller's.
"""

from collections.abc import Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray
from pyroaring import BitMap

from audiences.lookalike_holdout import Panel, Trial, draw_panel, hold_out
from audiences.lookalike_ranges import (
    Ranking,
    rank_by_likeness,
    rank_by_weights,
)
from audiences.lookalike_report import (
    Baseline,
    LookalikeReport,
    draw_curve,
    give_reasons,
    judge,
    warn,
)
from audiences.lookalike_signatures import Signatures, TokenTable, fold_signatures, token_table
from audiences.lookalike_traits import KnownTraits, gather_traits
from audiences.lookalike_weights import (
    SEED_FOR_LOGISTIC,
    LookalikeMethod,
    TraitCounts,
    Weights,
    positive_information,
    weigh,
)
from matching.bitmaps import bitmap_of

SEED_LEAST = 100
SEED_LEAST_ALLOWED = 20
DEFAULT_PERCENT = 5.0
RARE_BELOW = 50
COMMON_ABOVE = 0.3
"""MinHash leaves out traits of more people than this: what all share makes nobody alike."""


class LookalikeRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What to find: twins of an audience, so many people or percent of the base (5 by default)."""

    seed: str
    method: LookalikeMethod = LookalikeMethod.AUTO
    size: int | None = None
    percent: float | None = None
    exclude: tuple[str, ...] = ()
    allow_small: bool = False


class Lookalike(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The twins, none of whom is in the seed, and how they were found."""

    members: BitMap
    report: LookalikeReport


class LookalikeError(Exception):
    """No twins can be found for this request."""


class SeedTooSmall(LookalikeError):
    """So few people share little but chance."""


class SeedUnusable(LookalikeError):
    """The seed is empty, or leaves nobody to choose from."""


class ContradictorySize(LookalikeError):
    """The size asked for cannot be."""


class NoUsableTraits(LookalikeError):
    """Nothing is known of these people that could make them alike."""


def find_twins(
    request: LookalikeRequest,
    *,
    traits: Mapping[str, BitMap],
    seed: BitMap,
    base: BitMap,
    excluded: BitMap,
    rng_seed: int,
    rare_below: int = RARE_BELOW,
) -> Lookalike:
    """Rank everybody in the base by likeness to the seed; take the best, no seed, no excluded."""
    seed = seed & base
    candidates = base - seed - excluded
    asked = _size_asked(request, base)
    _check_seed(request, seed, candidates)
    known = gather_traits(traits, seed=seed, base=base, rare_below=rare_below)
    _check_traits(request, known)
    rng = np.random.default_rng(rng_seed)
    panel = draw_panel(seed, candidates, known.bitmaps, rng)
    sketch = _sketch(known, panel)
    size = min(asked, len(candidates))
    trials = hold_out(
        panel,
        _methods_to_try(request.method, len(seed)),
        in_all=known.counts.in_all,
        everybody=len(base),
        signatures=sketch.panel,
        share=size / len(candidates),
        rng=rng,
    )
    method = _choose(request.method, trials)
    weights = _weights(method, known, panel)
    ranking = _rank(candidates, known, weights, sketch, panel)
    return Lookalike(
        members=_take_best(ranking, size, rng),
        report=_report(known, method, weights, trials, ranking, base, size, asked),
    )


class _Sketch(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The traits that signatures are made of, and the signatures of the panel."""

    bitmaps: tuple[BitMap, ...]
    table: TokenTable
    panel: Signatures


def _size_asked(request: LookalikeRequest, base: BitMap) -> int:
    if request.size is not None and request.percent is not None:
        raise ContradictorySize(
            f"Twins of {request.seed} were asked for with size {request.size} and percent "
            f"{request.percent}: give one of them."
        )
    if request.size is not None:
        if request.size < 1:
            raise ContradictorySize(
                f"Twins of {request.seed} were asked for with size {request.size}: give at least 1."
            )
        return request.size
    percent = DEFAULT_PERCENT if request.percent is None else request.percent
    if not 0 < percent <= 100:
        raise ContradictorySize(
            f"Twins of {request.seed} were asked for with percent {percent}: give 0 to 100."
        )
    return max(1, round(len(base) * percent / 100))


def _check_seed(request: LookalikeRequest, seed: BitMap, candidates: BitMap) -> None:
    if not seed:
        raise SeedUnusable(
            f"Seed {request.seed} has nobody in the base: build it, or choose another."
        )
    if not candidates:
        raise SeedUnusable(
            f"Seed {request.seed} and the excluded audiences hold the whole base: nobody is left."
        )
    least = SEED_LEAST_ALLOWED if request.allow_small else SEED_LEAST
    if request.method is LookalikeMethod.LR:
        least = max(least, SEED_FOR_LOGISTIC)
    if len(seed) < least:
        raise SeedTooSmall(
            f"Seed {request.seed} has fewer people than the {least} that method "
            f"{request.method} needs: "
            "choose a wider audience."
        )


def _check_traits(request: LookalikeRequest, known: KnownTraits) -> None:
    if not known.names:
        raise NoUsableTraits(
            f"No trait is left to find twins of {request.seed} by: {known.rare} are too rare, "
            f"{len(known.left_out)} define the seed. Record more about people."
        )


def _sketch(known: KnownTraits, panel: Panel) -> _Sketch:
    few = known.counts.in_all <= COMMON_ABOVE * known.counts.everybody
    table = token_table([known.names[i] for i in np.flatnonzero(few)])
    rows = panel.rows[:, np.flatnonzero(few)]
    return _Sketch(
        bitmaps=tuple(known.bitmaps[i] for i in np.flatnonzero(few)),
        table=table,
        panel=fold_signatures(table, rows.indptr.astype(np.int64), rows.indices),
    )


def _methods_to_try(method: LookalikeMethod, seed: int) -> list[LookalikeMethod]:
    """List what the hold-out compares: the method asked for, or all that the seed allows."""
    if method is not LookalikeMethod.AUTO:
        return list(dict.fromkeys([method, LookalikeMethod.MINHASH]))
    methods = [LookalikeMethod.BLEND, LookalikeMethod.LOGODDS, LookalikeMethod.IV]
    if seed >= SEED_FOR_LOGISTIC:
        methods.append(LookalikeMethod.LR)
    return [*methods, LookalikeMethod.MINHASH]


def _choose(method: LookalikeMethod, trials: Mapping[str, Trial]) -> LookalikeMethod:
    if method is not LookalikeMethod.AUTO:
        return method
    tried = [name for name in trials if name not in set(Baseline)]
    return LookalikeMethod(max(tried, key=lambda name: trials[name].hold_out.auc.mean))


def _weights(method: LookalikeMethod, known: KnownTraits, panel: Panel) -> Weights | None:
    if method is LookalikeMethod.MINHASH:
        return None
    return weigh(method, known.counts, panel.sample(panel.is_seed))


def _rank(
    candidates: BitMap, known: KnownTraits, weights: Weights | None, sketch: _Sketch, panel: Panel
) -> Ranking:
    if weights is not None:
        return rank_by_weights(candidates, known.bitmaps, weights)
    seed = Signatures(scheme=sketch.table.scheme, values=sketch.panel.values[panel.is_seed])
    return rank_by_likeness(candidates, sketch.bitmaps, sketch.table, seed)


def _take_best(ranking: Ranking, size: int, rng: np.random.Generator) -> BitMap:
    """Take people above the threshold, and by lot those on it: nobody wins by arriving early."""
    scores = ranking.scores
    threshold = np.partition(scores, len(scores) - size)[len(scores) - size]
    above = scores > threshold
    equal = np.flatnonzero(scores == threshold)
    lots = rng.choice(equal, size - int(above.sum()), replace=False)
    return bitmap_of(ranking.ordinals[above]) | bitmap_of(ranking.ordinals[lots])


def _report(
    known: KnownTraits,
    method: LookalikeMethod,
    weights: Weights | None,
    trials: Mapping[str, Trial],
    ranking: Ranking,
    base: BitMap,
    size: int,
    asked: int,
) -> LookalikeReport:
    counts = known.counts
    verdict, text = judge(trials[method].hold_out, trials[Baseline.ACTIVITY_ONLY].hold_out)
    return LookalikeReport(
        method=method,
        seed=counts.seed,
        base=len(base),
        candidates=len(ranking.scores),
        size=size,
        hold_out=tuple(trials[name].hold_out for name in sorted(trials, key=lambda n: n != method)),
        verdict=verdict,
        verdict_text=text,
        traits=give_reasons(known.names, counts, _explain(counts, weights)),
        curve=draw_curve(ranking.scores, trials[method].curve),
        traits_used=len(known.names),
        traits_rare=known.rare,
        traits_left_out=known.left_out,
        warnings=warn(seed=counts.seed, left_out=known.left_out, size=size, asked=asked),
    )


def _explain(counts: TraitCounts, weights: Weights | None) -> NDArray[np.float64]:
    """Give a weight to show per trait; MinHash has none, so what tells the seed apart is shown."""
    if weights is None:
        return positive_information(counts)
    return weights.on_average(float(counts.in_all.sum() / counts.everybody))
