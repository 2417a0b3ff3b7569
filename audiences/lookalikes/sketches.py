"""Sketches that two companies exchange to learn how many people they share, without any id.

In come ids that both know (hashed e-mails, a partner's ids) and a salt that both agreed upon; out
go a few kilobytes, and from two of them the overlap with its error. No id can be read from a
sketch; who has the salt and an id can test it, and would name at most a tenth of the people.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable
from itertools import islice
from math import sqrt
from typing import Final

import msgspec
import numpy as np

from audiences.lookalike_signatures import (
    Signatures,
    SignatureScheme,
    check_scheme,
    from_lean,
    new_minhash,
    to_lean,
)
from audiences.lookalikes.request import LookalikeError

SCHEME: Final = SignatureScheme(scheme="affine64", num_perm=256)
PEOPLE_LEAST: Final = 10 * SCHEME.num_perm
"""Ten people for each value: each value is the trace of one person, and no more than that."""
IDS_AT_ONCE: Final = 4096
SALT_LEAST: Final = 16
ROUNDED_TO: Final = 10
SURE: Final = 1.96
"""So many deviations either way hold the truth in 95 of 100 cases."""


class Sketch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What leaves the house: a rounded size and one signature, with all that must be the same."""

    scheme: SignatureScheme
    id_space: str
    salt_check: str
    people: int
    signature: str


class Overlap(msgspec.Struct, frozen=True, kw_only=True):
    """How many people two sketches share, with the bounds between which the truth lies."""

    jaccard: float
    jaccard_least: float
    jaccard_most: float
    shared: int
    shared_least: int
    shared_most: int


class SketchRefused(LookalikeError):
    """A sketch would tell of single people, or two cannot be compared."""


def make_sketch(ids: Iterable[str], *, id_space: str, salt: str) -> Sketch:
    """Sketch a set of ids; each counts once, however often it comes."""
    if len(salt) < SALT_LEAST:
        raise SketchRefused(
            f"The salt has {len(salt)} characters: agree upon a random one of {SALT_LEAST} or more."
        )
    key = hashlib.sha256(salt.encode()).digest()
    distinct = set(ids)
    if len(distinct) < PEOPLE_LEAST:
        raise SketchRefused(
            f"A sketch needs {PEOPLE_LEAST:,} ids of {id_space} so that nobody can be told from "
            "it, and there are fewer: choose a wider audience."
        )
    signed = new_minhash(SCHEME, _number)
    rest = iter(distinct)
    while some := [_keyed(key, each) for each in islice(rest, IDS_AT_ONCE)]:
        signed.update_batch(some)
    row = Signatures(scheme=SCHEME, values=signed.hashvalues[np.newaxis])
    return Sketch(
        scheme=SCHEME,
        id_space=id_space,
        salt_check=_keyed(key, "").hex(),
        people=(len(distinct) + ROUNDED_TO // 2) // ROUNDED_TO * ROUNDED_TO,
        signature=base64.b64encode(to_lean(row)[0]).decode(),
    )


def compare_sketches(ours: Sketch, theirs: Sketch) -> Overlap:
    """Estimate how many people two sketches share."""
    check_scheme(theirs.scheme, ours.scheme)
    for what in ("id_space", "salt_check"):
        if getattr(ours, what) != getattr(theirs, what):
            raise SketchRefused(
                f"The sketches differ in {what.replace('_check', '')}: make both with the same one."
            )
    first, second = (
        from_lean([base64.b64decode(each.signature)], each.scheme).values[0]
        for each in (ours, theirs)
    )
    found = float(np.mean(first == second))
    least, most = _bounds(found, ours.scheme.num_perm)
    together = ours.people + theirs.people

    def shared(jaccard: float) -> int:
        return min(round(jaccard / (1 + jaccard) * together), ours.people, theirs.people)

    return Overlap(
        jaccard=round(found, 4),
        jaccard_least=round(least, 4),
        jaccard_most=round(most, 4),
        shared=shared(found),
        shared_least=shared(least),
        shared_most=shared(most),
    )


def _bounds(share: float, count: int) -> tuple[float, float]:
    """Give Wilson's bounds of a share found in so many trials; they hold near 0 and 1 too."""
    square = SURE**2
    middle = (share + square / (2 * count)) / (1 + square / count)
    spread = SURE / (1 + square / count)
    spread *= sqrt(share * (1 - share) / count + square / (4 * count**2))
    return max(middle - spread, 0.0), min(middle + spread, 1.0)


def _keyed(key: bytes, each: str) -> bytes:
    return hmac.digest(key, each.encode(), "sha256")[:8]


def _number(keyed: bytes) -> int:
    return int.from_bytes(keyed, "big")
