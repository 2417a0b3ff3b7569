"""What twins are asked for, and what cannot be: sizes that contradict, seeds that tell nothing.

In comes a request with the people it is about; out go sizes, or an error that names the seed.
"""

from datetime import date
from typing import Final

import msgspec
from pyroaring import BitMap

from audiences.lookalike_weights import SEED_FOR_LOGISTIC, LookalikeMethod

SEED_LEAST: Final = 100
SEED_LEAST_ALLOWED: Final = 20
DEFAULT_PERCENT: Final = 5.0
QUICK_TRAITS: Final = 200


class LookalikeRequest(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """What to find: twins of an audience, so many, so many percent of the base, or so alike.

    Without any size, 5 percent. `cut` is the first day of which nothing is to be known; `edges`
    cut numbers in bins, those that are not named where fifths are now; `quick` ranks by the 200
    traits that tell most.
    """

    seed: str
    method: LookalikeMethod = LookalikeMethod.AUTO
    size: int | None = None
    percent: float | None = None
    likeness: float | None = None
    exclude: tuple[str, ...] = ()
    cut: date | None = None
    edges: dict[str, tuple[float, ...]] = {}
    allow_small: bool = False
    quick: bool = False


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


def check_size(request: LookalikeRequest) -> None:
    """Refuse several sizes at once, and those that nobody or more than all would meet."""
    sizes = {"size": request.size, "percent": request.percent, "likeness": request.likeness}
    given = [f"{name} {value:.10g}" for name, value in sizes.items() if value is not None]
    asked = f"Twins of {request.seed} were asked for with {' and '.join(given)}"
    if len(given) > 1:
        raise ContradictorySize(f"{asked}: give one of them.")
    if request.size is not None and request.size < 1:
        raise ContradictorySize(f"{asked}: give at least 1.")
    if request.percent is not None and not 0 < request.percent <= 100:
        raise ContradictorySize(f"{asked}: give more than 0 and at most 100.")
    if request.likeness is not None and not 0 < request.likeness < 1:
        raise ContradictorySize(f"{asked}: give more than 0 and less than 1.")


def size_asked(request: LookalikeRequest, base: BitMap) -> int:
    """Give how many people were asked for; by likeness nobody knows before all are ranked."""
    if request.size is not None:
        return request.size
    percent = DEFAULT_PERCENT if request.percent is None else request.percent
    return max(1, round(len(base) * percent / 100))


def check_seed(request: LookalikeRequest, seed: BitMap, base: BitMap, candidates: BitMap) -> None:
    """Refuse a seed that is nobody, everybody, or too few."""
    if not seed:
        raise SeedUnusable(
            f"Seed {request.seed} has nobody whom lookalikes may use: build it, widen its rule, or "
            "choose another audience."
        )
    if seed == base:
        raise SeedUnusable(
            f"Seed {request.seed} is everybody, so nobody else can be like it: choose a narrower "
            "audience."
        )
    if not candidates:
        raise SeedUnusable(
            f"Seed {request.seed} and the excluded audiences hold the whole base: nobody is left."
        )
    least = SEED_LEAST_ALLOWED if request.allow_small else SEED_LEAST
    if request.method is LookalikeMethod.LR:
        least = max(least, SEED_FOR_LOGISTIC)
    if len(seed) < least:
        small = " or allow a small seed" if request.method != "lr" and least == SEED_LEAST else ""
        raise SeedTooSmall(
            f"Seed {request.seed} has fewer people than the {least} that method "
            f"{request.method} needs: choose a wider audience{small}."
        )
