"""What a lookalike tells of itself: the hold-out beside baselines, a verdict in words, reasons.

In come scores and counts that others computed; out go the values of the report. Counts of people
are rounded to ten and traits of few are not shown, so that nobody is read out of an explanation.
"""

from collections.abc import Sequence
from enum import StrEnum

import msgspec
import numpy as np
from numpy.typing import NDArray

from audiences.lookalike_weights import LookalikeMethod, TraitCounts
from audiences.rounding import HIDDEN_BELOW, Shown, shown

TRAITS_SHOWN = 20
SHOWN_IN_SEED = 10
SHOWN_IN_ALL = 50
CURVE_PERCENTS = range(1, 11)
AUC_LEAST = 0.60
AUC_ABOVE_ACTIVITY = 0.02
SEED_ADVISED = 500


class Baseline(StrEnum):
    """What anybody could do without a model; it stands beside every method."""

    RANDOM = "random"
    ACTIVITY_ONLY = "activity_only"


class Verdict(StrEnum):
    """Whether the seed differs from everybody in anything that the traits show."""

    DISTINCTIVE = "distinctive"
    NOT_DISTINCTIVE = "not_distinctive"


class WarningCode(StrEnum):
    """What the reader should know before using the audience."""

    SMALL_SEED = "small_seed"
    TRAITS_LEFT_OUT = "traits_left_out"
    FEWER_THAN_ASKED = "fewer_than_asked"


class LookalikeWarning(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to know, with its code and in words."""

    code: WarningCode
    text: str


UNCOUNTED = {
    WarningCode.SMALL_SEED: f"The seed has fewer than {SEED_ADVISED} people; 1,000 to 5,000 "
    "similar people give steadier results.",
    WarningCode.FEWER_THAN_ASKED: "Fewer people are left to choose from than were asked for.",
}
"""Words of warnings for those who may not see how many people there are."""


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """A mean over the repeats and their standard deviation."""

    mean: float
    spread: float


class HoldOut(msgspec.Struct, frozen=True, kw_only=True):
    """How well one way of ranking found the hidden part of the seed.

    `lift_at_5` is how many times more hidden people than by chance stand in the best 5 %, `recall`
    their share within the chosen size.
    """

    method: str
    auc: Spread
    lift_at_5: Spread
    recall: Spread


class TraitReason(msgspec.Struct, frozen=True, kw_only=True):
    """Why people rank high: a trait, its people (rounded), and what it adds to a score."""

    trait: str
    in_seed: int
    in_all: int
    share_in_seed: float
    share_in_all: float
    lift: float
    weight: float


class CurvePoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where the threshold lies when the best `percent` of people are taken, and what it finds."""

    percent: int
    people: Shown
    score: float
    recall: float


class LookalikeReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was done and how good it is; `hold_out` begins with the chosen method."""

    method: LookalikeMethod
    seed: Shown
    base: Shown
    candidates: Shown
    size: Shown
    hold_out: tuple[HoldOut, ...]
    verdict: Verdict
    verdict_text: str
    traits: tuple[TraitReason, ...]
    curve: tuple[CurvePoint, ...]
    traits_used: int
    traits_rare: int
    traits_left_out: tuple[str, ...]
    warnings: tuple[LookalikeWarning, ...]


def judge(chosen: HoldOut, activity: HoldOut) -> tuple[Verdict, str]:
    """Say in plain words whether the ranking is worth more than a list of heavy visitors."""
    auc, busy = chosen.auc.mean, activity.auc.mean
    found = (
        f"A hidden seed person ranks above {auc:.0%} of the others; by activity alone {busy:.0%}."
    )
    if auc < AUC_LEAST:
        return Verdict.NOT_DISTINCTIVE, (
            f"{found} The seed hardly differs from everybody: this is no better than choosing "
            "heavy visitors. Choose a more homogeneous seed or record more about people."
        )
    if auc - busy < AUC_ABOVE_ACTIVITY:
        return Verdict.NOT_DISTINCTIVE, (
            f"{found} The seed differs in how active it is, and in little else: this is no better "
            "than choosing heavy visitors."
        )
    return Verdict.DISTINCTIVE, (
        f"{found} The best 5% hold {chosen.lift_at_5.mean:.1f} times as many of them as chance."
    )


def give_reasons(
    names: Sequence[str], counts: TraitCounts, weights: NDArray[np.float64]
) -> tuple[TraitReason, ...]:
    """Show the traits that add most to a score, without those of few people."""
    shown = (counts.in_seed >= SHOWN_IN_SEED) & (counts.in_all >= SHOWN_IN_ALL) & (weights > 0)
    best = [i for i in np.argsort(-weights, kind="stable") if shown[i]][:TRAITS_SHOWN]
    return tuple(_reason(names[i], i, counts, float(weights[i])) for i in best)


def _reason(name: str, i: int, counts: TraitCounts, weight: float) -> TraitReason:
    in_seed, in_all = round_to_10(int(counts.in_seed[i])), round_to_10(int(counts.in_all[i]))
    share_in_seed = min(in_seed / counts.seed, 1.0)
    share_in_all = min(in_all / counts.everybody, 1.0)
    return TraitReason(
        trait=name,
        in_seed=in_seed,
        in_all=in_all,
        share_in_seed=round(share_in_seed, 3),
        share_in_all=round(share_in_all, 3),
        lift=round(share_in_seed / share_in_all, 2),
        weight=round(weight, 3),
    )


def round_to_10(people: int) -> int:
    """Round a count of people to ten."""
    return (people + 5) // 10 * 10


def draw_curve(scores: NDArray[np.float32], recalls: Sequence[float]) -> tuple[CurvePoint, ...]:
    """Show for the best 1..10 % of candidates how many they are, their least score and recall."""
    ranked = -np.sort(-scores)
    points = []
    for percent, recall in zip(CURVE_PERCENTS, recalls, strict=True):
        people = max(1, round(len(ranked) * percent / 100))
        score = round(float(ranked[people - 1]), 3)
        points.append(
            CurvePoint(percent=percent, people=people, score=score, recall=round(recall, 3))
        )
    return tuple(points)


def warn(
    *, seed: int, left_out: Sequence[str], size: int, asked: int
) -> tuple[LookalikeWarning, ...]:
    """Gather what the reader should know."""
    warnings = []
    if seed < SEED_ADVISED:
        text = f"The seed has {seed} people; 1,000 to 5,000 similar people give steadier results."
        warnings.append(LookalikeWarning(code=WarningCode.SMALL_SEED, text=text))
    if left_out:
        text = f"{len(left_out)} traits were left out because they define the seed."
        warnings.append(LookalikeWarning(code=WarningCode.TRAITS_LEFT_OUT, text=text))
    if size < asked:
        text = f"{asked} people were asked for, only {size} are left to choose from."
        warnings.append(LookalikeWarning(code=WarningCode.FEWER_THAN_ASKED, text=text))
    return tuple(warnings)


def without_small_groups(report: LookalikeReport) -> LookalikeReport:
    """Round every count of people and hide small ones, and what would count them by other means."""
    seed, base = shown(report.seed or 0, exact=False), shown(report.base or 0, exact=False)
    traits = [each for each in report.traits if each.in_seed >= HIDDEN_BELOW]
    return msgspec.structs.replace(
        report,
        seed=seed,
        base=base,
        candidates=shown(report.candidates or 0, exact=False),
        size=shown(report.size or 0, exact=False),
        traits=tuple(_rounded_reason(each, seed, base) for each in traits) if seed and base else (),
        curve=tuple(
            msgspec.structs.replace(each, people=shown(each.people or 0, exact=False))
            for each in report.curve
        ),
        warnings=tuple(
            msgspec.structs.replace(each, text=UNCOUNTED.get(each.code, each.text))
            for each in report.warnings
        ),
    )


def _rounded_reason(reason: TraitReason, seed: int, base: int) -> TraitReason:
    """Take the shares of rounded wholes: shares of exact ones would tell how many these are."""
    in_seed, in_all = min(reason.in_seed / seed, 1.0), min(reason.in_all / base, 1.0)
    return msgspec.structs.replace(
        reason,
        share_in_seed=round(in_seed, 2),
        share_in_all=round(in_all, 2),
        lift=round(in_seed / in_all, 1),
        weight=round(reason.weight, 1),
    )
