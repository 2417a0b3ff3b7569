"""Values that the store of CRM rows takes and gives: columns to be stored, and what stands."""

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

Ordinals = NDArray[np.uint32]


class NameRows(msgspec.Struct, frozen=True, kw_only=True):
    """Names of one kind and slot, of many customers; the empty one takes a name away."""

    kind: str
    slot: int
    customers: Ordinals
    values: Sequence[str]


class TraitRows(msgspec.Struct, frozen=True, kw_only=True):
    """Values of one trait, of many customers: each distinct one once, and its place by customer."""

    trait: str
    customers: Ordinals
    codes: NDArray[np.int32]
    kinds: Sequence[str]
    texts: Sequence[str]
    numbers: Sequence[float]


class NowOf(msgspec.Struct, frozen=True, kw_only=True):
    """What stands of one customer."""

    names: dict[tuple[str, int], str]
    answers: dict[str, str]
    traits: dict[str, tuple[str, str, float, str]]


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """One customer's claim of an alias."""

    customer: int
    source: str
    slot: int
    at_ms: int


class Contested(msgspec.Struct, frozen=True, kw_only=True):
    """An alias that several customers claim."""

    kind: str
    value: str
    claims: list[Claim]
