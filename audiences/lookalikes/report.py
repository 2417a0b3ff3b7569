"""What a lookalike tells of itself: the hold-out beside baselines, a verdict in words, warnings.

In come measures that others took; out go the values of the report, also for those who may not see
how many people there are: they get rounded counts, and nothing of a single person.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from enum import StrEnum
from typing import Final

import msgspec

from audiences.lookalike_weights import LookalikeMethod
from audiences.lookalikes.reasons import Example, TraitReason
from audiences.rounding import HIDDEN_BELOW, Shown, shown

CURVE_PERCENTS: Final = range(1, 11)
AUC_LEAST: Final = 0.60
AUC_ABOVE_ACTIVITY: Final = 0.02
SEED_ADVISED: Final = 500
SIZE_ADVISED: Final = 1_000


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
    SMALL_AUDIENCE = "small_audience"
    CUT_AT_SEED_EVENT = "cut_at_seed_event"


class LookalikeWarning(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to know, with its code and in words."""

    code: WarningCode
    text: str


UNCOUNTED: Final = {
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

    `lift_at_5` is how many times more hidden people than by chance stand in the best 5 %, `lift`
    the same within the chosen size, `recall` their share within it.
    """

    method: str
    auc: Spread
    lift_at_5: Spread
    lift: Spread
    recall: Spread


class CurvePoint(msgspec.Struct, frozen=True, kw_only=True):
    """What taking `percent` of the base brings: the least likeness among them, and who is found.

    `seats` tells how many of these people each seat could be sent.
    """

    percent: int
    people: Shown
    likeness: float
    recall: float
    seats: dict[str, Shown] = {}


class LookalikeReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was done and how good it is; `hold_out` begins with the chosen method.

    `likeness` is that of the last person taken, `cut` the first day of which nothing was known.
    """

    method: LookalikeMethod
    seed: Shown
    base: Shown
    candidates: Shown
    size: Shown
    likeness: float
    hold_out: tuple[HoldOut, ...]
    verdict: Verdict
    verdict_text: str
    traits: tuple[TraitReason, ...]
    examples: tuple[Example, ...]
    curve: tuple[CurvePoint, ...]
    traits_used: int
    traits_rare: int
    traits_left_out: tuple[str, ...]
    cut: date | None = None
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
        text = f"{asked:,} people were asked for, only {size:,} are left to choose from."
        warnings.append(LookalikeWarning(code=WarningCode.FEWER_THAN_ASKED, text=text))
    if size < SIZE_ADVISED:
        text = f"Campaigns seldom deliver to fewer than {SIZE_ADVISED:,} people: ask for more."
        warnings.append(LookalikeWarning(code=WarningCode.SMALL_AUDIENCE, text=text))
    return tuple(warnings)


def with_seats(report: LookalikeReport, seats: Sequence[Mapping[str, int]]) -> LookalikeReport:
    """Tell for each point of the curve how many people each seat could be sent."""
    curve = tuple(
        msgspec.structs.replace(point, seats=dict(counts))
        for point, counts in zip(report.curve, seats, strict=True)
    )
    return msgspec.structs.replace(report, curve=curve)


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
        hold_out=tuple(_rounded_trial(each) for each in report.hold_out),
        traits=tuple(_rounded_reason(each, seed, base) for each in traits) if seed and base else (),
        examples=(),
        curve=tuple(_rounded_point(each) for each in report.curve),
        warnings=tuple(
            msgspec.structs.replace(each, text=UNCOUNTED.get(each.code, each.text))
            for each in report.warnings
        ),
    )


def _rounded_trial(trial: HoldOut) -> HoldOut:
    """Keep two digits: more of them would tell how many were hidden."""
    rounded = {
        name: Spread(mean=round(each.mean, 2), spread=round(each.spread, 2))
        for name in ("auc", "lift_at_5", "lift", "recall")
        if (each := getattr(trial, name))
    }
    return msgspec.structs.replace(trial, **rounded)


def _rounded_point(point: CurvePoint) -> CurvePoint:
    return msgspec.structs.replace(
        point,
        people=shown(point.people or 0, exact=False),
        likeness=round(point.likeness, 2),
        recall=round(point.recall, 2),
        seats={seat: shown(people or 0, exact=False) for seat, people in point.seats.items()},
    )


def _rounded_reason(reason: TraitReason, seed: int, base: int) -> TraitReason:
    """Take the shares of rounded wholes: shares of exact ones would tell how many these are."""
    in_seed, in_all = min(reason.in_seed / seed, 1.0), min(reason.in_all / base, 1.0)
    return msgspec.structs.replace(
        reason,
        share_in_seed=round(in_seed, 2),
        share_in_all=round(in_all, 2),
        lift=round(in_seed / in_all, 1),
        information=round(reason.information, 2),
        weight=round(reason.weight, 1),
    )
