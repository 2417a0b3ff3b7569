"""Twins of a seed: the people of a base that most resemble it, with an honest report.

In come bitmaps of people (traits, seed, base, excluded), out go members and the report. No
database, no HTTP; what an audience key means and whose traits they are is the caller's.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import msgspec
import numpy as np
from pyroaring import BitMap

from audiences.lookalikes.choice import ladder, take_alike, take_best
from audiences.lookalikes.panel import OTHERS_SAMPLED_MAX, QUICK_OTHERS
from audiences.lookalikes.reasons import Reasons, give_examples, give_reasons, reasons_of
from audiences.lookalikes.report import (
    CURVE_PERCENTS,
    Baseline,
    CurvePoint,
    LookalikeReport,
    judge,
    warn,
)
from audiences.lookalikes.request import (
    QUICK_TRAITS,
    ContradictorySize,
    LookalikeError,
    LookalikeRequest,
    NoUsableTraits,
    SeedTooSmall,
    SeedUnusable,
    check_seed,
    check_size,
    size_asked,
)
from audiences.lookalikes.study import Study, study_seed
from audiences.lookalikes.traits import RARE_BELOW, KnownTraits, gather_traits

__all__ = [
    "ContradictorySize",
    "Lookalike",
    "LookalikeError",
    "LookalikeRequest",
    "NoUsableTraits",
    "SeedTooSmall",
    "SeedUnusable",
    "find_twins",
]

LIKENESS_STEPS: Final = 1e6


class Lookalike(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The twins, none of whom is in the seed, and how they were found.

    `ladder` holds who would be taken at each point of the report's curve; `reasons` explains any
    person.
    """

    members: BitMap
    report: LookalikeReport
    ladder: tuple[BitMap, ...]
    reasons: Reasons


def find_twins(
    request: LookalikeRequest,
    *,
    traits: Mapping[str, BitMap],
    seed: BitMap,
    base: BitMap,
    excluded: BitMap,
    rng_seed: int,
    rare_below: int = RARE_BELOW,
    defining: Collection[str] = (),
) -> Lookalike:
    """Rank everybody in the base by likeness to the seed; take the best, no seed, no excluded.

    `defining` names traits that the seed is made of; others that define it are found by counts.
    """
    check_size(request)
    seed = seed & base
    candidates = base - seed - excluded
    check_seed(request, seed, base, candidates)
    known = gather_traits(traits, seed=seed, base=base, rare_below=rare_below, defining=defining)
    known = known.best(QUICK_TRAITS) if request.quick else known
    _check_traits(request, known)
    rng = np.random.default_rng(rng_seed)
    study = study_seed(
        request.method,
        known,
        seed=seed,
        candidates=candidates,
        rng=rng,
        others_max=QUICK_OTHERS if request.quick else OTHERS_SAMPLED_MAX,
    )
    if request.likeness is None:
        asked = size_asked(request, base)
        members = take_best(study.ranking, min(asked, len(candidates)), rng)
    else:
        members = take_alike(study.ranking, study.likeness.score(request.likeness))
        asked = len(members)
    sizes = [max(1, round(len(base) * percent / 100)) for percent in CURVE_PERCENTS]
    steps = ladder(study.ranking, [min(each, len(candidates)) for each in sizes])
    reasons = reasons_of(known, study.per_trait())
    return Lookalike(
        members=members,
        report=_report(study, members, steps, reasons, base=len(base), asked=asked),
        ladder=steps,
        reasons=reasons,
    )


def _check_traits(request: LookalikeRequest, known: KnownTraits) -> None:
    if not known.names:
        raise NoUsableTraits(
            f"No trait is left to find twins of {request.seed} by: {known.rare} are too rare, "
            f"{len(known.left_out)} define the seed. Record more about people."
        )


def _report(
    study: Study,
    members: BitMap,
    steps: Sequence[BitMap],
    reasons: Reasons,
    *,
    base: int,
    asked: int,
) -> LookalikeReport:
    known, likeness, candidates = study.known, study.likeness, len(study.ranking.scores)
    shares = [len(each) / candidates for each in (members, *steps)]
    names = [*dict.fromkeys([study.method, *study.methods]), *Baseline]
    trials = {
        name: study.trials.trial(name, [max(each, 1e-9) for each in shares]) for name in names
    }
    verdict, text = judge(trials[study.method].hold_out, trials[Baseline.ACTIVITY_ONLY].hold_out)
    least = _least_likeness(study, [members, *steps])
    return LookalikeReport(
        method=study.method,
        seed=known.counts.seed,
        base=base,
        candidates=candidates,
        size=len(members),
        likeness=least[0],
        hold_out=tuple(trials[name].hold_out for name in names),
        verdict=verdict,
        verdict_text=text,
        traits=give_reasons(known.names, known.counts, study.per_trait()),
        examples=give_examples(study.ranking, members, reasons, likeness),
        curve=_curve(steps, least[1:], trials[study.method].curve),
        traits_used=len(known.names),
        traits_rare=known.rare,
        traits_left_out=known.left_out,
        warnings=warn(
            seed=known.counts.seed, left_out=known.left_out, size=len(members), asked=asked
        ),
    )


def _least_likeness(study: Study, sets: Sequence[BitMap]) -> list[float]:
    """Give the likeness of the last person in each of some sets of the best."""
    sizes = np.array([len(each) for each in sets])
    scores = study.ranking.scores
    places = np.unique(len(scores) - np.maximum(sizes, 1))
    ordered = np.partition(scores, places)
    least = ordered[len(scores) - np.maximum(sizes, 1)].astype(np.float64)
    # Why down: who asks for this likeness must get these people.
    return [
        float(each) for each in np.floor(study.likeness.of(least) * LIKENESS_STEPS) / LIKENESS_STEPS
    ]


def _curve(
    steps: Sequence[BitMap], least: Sequence[float], recalls: Sequence[float]
) -> tuple[CurvePoint, ...]:
    return tuple(
        CurvePoint(percent=percent, people=len(step), likeness=likeness, recall=round(recall, 3))
        for percent, step, likeness, recall in zip(
            CURVE_PERCENTS, steps, least, recalls, strict=True
        )
    )
