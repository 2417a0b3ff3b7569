"""MinHash signatures of many people at once, the same bits as datasketch gives one by one.

In come the tokens that exist and, for each person, the numbers of its tokens; out go signatures,
one row per person. Nothing here knows who the people are, and no index is kept.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

import mmh3
import msgspec
import numpy as np
from numpy.typing import NDArray

FOLD_BLOCK_PEOPLE = 1024
"""So many rows of 128 uint32 stay in the processor's cache while they are folded."""

LOW_BITS = 8
"""Likeness compares the low byte of each value: 256 counters per column instead of a search."""

FINISH: Final = {
    4: ((16, 0x85EBCA6B), (13, 0xC2B2AE35)),
    8: ((33, 0xFF51AFD7ED558CCD), (33, 0xC4CEB9FE1A85EC53)),
}
"""By how many bits and factors MurmurHash3 ends, for numbers of so many bytes."""

LEAN_ORDER = "!"
FIND_ALL = (0.05, 0.95)
"""A pair that is missed is worse than one that is compared in vain."""


class SignatureScheme(msgspec.Struct, frozen=True, kw_only=True):
    """What must be equal before two signatures may be compared; kept beside every signature."""

    scheme: Literal["affine32", "affine64", "legacy"] = "affine32"
    seed: int = 1
    num_perm: int = 128

    @property
    def hash_name(self) -> str:
        """Name the function that turns a token into a number."""
        return "mmh3_64" if self.scheme == "affine64" else "mmh3_32"


class Signatures(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One row of `values` per person; one without tokens has only the scheme's largest value."""

    scheme: SignatureScheme
    values: NDArray[Any]

    def has_tokens(self) -> NDArray[np.bool_]:
        """Tell the people that have at least one token."""
        empty = np.iinfo(self.values.dtype).max
        if self.scheme.scheme == "legacy":
            empty = np.iinfo(np.uint32).max
        return np.asarray((self.values != empty).any(axis=1))


class LowBytes(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The low byte of each value, [permutation, person]: all that likeness to a seed looks at."""

    columns: NDArray[np.uint8]
    has_tokens: NDArray[np.bool_]

    def only(self, people: NDArray[np.bool_]) -> "LowBytes":
        """Keep some people."""
        return LowBytes(
            columns=self.columns[:, people],
            has_tokens=self.has_tokens[people],
        )


class TokenTable(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The signature of each token alone: every signature is a minimum over rows of this table."""

    scheme: SignatureScheme
    values: NDArray[Any]


class SchemeMismatch(Exception):
    """Signatures of two schemes were to be compared."""


def token_table(tokens: Sequence[str], scheme: SignatureScheme | None = None) -> TokenTable:
    """Sign each token alone, with the permutations that datasketch draws."""
    scheme = scheme or SignatureScheme()
    number = hash_function(scheme)
    signed = new_minhash(scheme, number)
    # Why the last row: a table without tokens still tells what a person without tokens looks like.
    values = np.repeat(signed.hashvalues[np.newaxis], len(tokens) + 1, axis=0)
    if scheme.scheme == "legacy":
        for row, token in enumerate(tokens):
            signed.clear()
            signed.update(token.encode())
            values[row] = signed.hashvalues
    else:
        factor, shift = signed.permutations
        numbers = np.array([number(token.encode()) for token in tokens], dtype=values.dtype)
        values[:-1] = _finished(numbers)[:, np.newaxis] * factor + shift
    return TokenTable(scheme=scheme, values=values)


def _finished(numbers: NDArray[Any]) -> NDArray[Any]:
    """Mix the bits of each number as the last step of MurmurHash3 does, which affine schemes ask.

    Arithmetic wraps around, as it must.
    """
    kind, steps = numbers.dtype.type, FINISH[numbers.dtype.itemsize]
    for shift, factor in steps:
        numbers = (numbers ^ (numbers >> kind(shift))) * kind(factor)
    return np.asarray(numbers ^ (numbers >> kind(steps[0][0])))


def hash_function(scheme: SignatureScheme) -> Callable[[bytes], int]:
    """Give the function to pass to datasketch as `hashfunc`."""
    if scheme.scheme == "affine64":
        return lambda token: int(mmh3.hash64(token, signed=False)[0])
    return lambda token: int(mmh3.hash(token, signed=False))


def fold_signatures(
    table: TokenTable, starts: NDArray[np.int64], tokens: NDArray[np.integer[Any]]
) -> Signatures:
    """Sign person i, whose tokens are `tokens[starts[i]:starts[i + 1]]` (rows of the table)."""
    if tokens.size and not 0 <= tokens.min() <= tokens.max() < len(table.values):
        raise IndexError(f"Tokens are rows of a table of {len(table.values)}, not {tokens.max()}.")
    people = len(starts) - 1
    values = np.empty((people, table.scheme.num_perm), dtype=table.values.dtype)
    for first in range(0, people, FOLD_BLOCK_PEOPLE):
        last = min(first + FOLD_BLOCK_PEOPLE, people)
        values[first:last] = _fold_block(table.values, starts[first : last + 1], tokens)
    return Signatures(scheme=table.scheme, values=values)


def _fold_block(
    table: NDArray[Any], starts: NDArray[np.int64], tokens: NDArray[np.integer[Any]]
) -> NDArray[Any]:
    """Take the minimum over everybody's j-th token for j = 0, 1, ...

    People with most tokens stand first, so those that have a j-th one are always the first m rows.
    """
    counts = np.diff(starts)
    order = np.argsort(-counts, kind="stable")
    first = starts[:-1][order]
    have = np.searchsorted(-counts[order], -np.arange(1, counts.max(initial=0) + 1), side="right")
    folded = np.repeat(table[-1:], len(counts), axis=0)
    taken = np.empty_like(folded)
    for j, m in enumerate(have.tolist()):
        # Why clip: numpy copies once more where it must look for numbers that are no rows.
        np.take(table, tokens[first[:m] + j], axis=0, out=taken[:m], mode="clip")
        np.minimum(folded[:m], taken[:m], out=folded[:m])
    unsorted = np.empty_like(folded)
    unsorted[order] = folded
    return unsorted


def low_bytes(signatures: Signatures) -> LowBytes:
    """Keep the low byte of each value, a column of people side by side."""
    mask = signatures.values.dtype.type((1 << LOW_BITS) - 1)
    low = (signatures.values & mask).astype(np.uint8)
    return LowBytes(
        columns=np.ascontiguousarray(low.T),
        has_tokens=signatures.has_tokens(),
    )


def mean_similarity(signatures: Signatures, seed: Signatures) -> NDArray[np.float64]:
    """Estimate everybody's mean Jaccard likeness to the people of the seed, without any pair."""
    check_scheme(signatures.scheme, seed.scheme)
    return mean_agreement(low_bytes(signatures), low_bytes(seed))


def mean_agreement(people: LowBytes, seed: LowBytes) -> NDArray[np.float64]:
    """Do the same for people whose low bytes are at hand.

    A column agrees with as many seed people as its value counts in the seed's histogram of that
    column. A person without tokens is like nobody.
    """
    of_seed = seed.columns[:, seed.has_tokens]
    if not of_seed.shape[1]:
        return np.zeros(people.columns.shape[1])
    agreements = np.zeros(people.columns.shape[1], dtype=np.int32)
    for column, seed_column in zip(people.columns, of_seed, strict=True):
        histogram = np.bincount(seed_column, minlength=1 << LOW_BITS).astype(np.int32)
        agreements += histogram[column]
    mean = agreements / of_seed.size
    chance = 1 / (1 << LOW_BITS)
    return np.where(people.has_tokens, (mean - chance) / (1 - chance), 0.0)


def new_minhash(scheme: SignatureScheme, number: Callable[[bytes], int]) -> Any:
    """Begin datasketch's own signature of one large set, whose tokens become numbers so."""
    return _datasketch().MinHash(
        num_perm=scheme.num_perm, seed=scheme.seed, scheme=scheme.scheme, hashfunc=number
    )


def to_lean(signatures: Signatures) -> list[bytes]:
    """Write each signature as datasketch's LeanMinHash does, in network order."""
    scheme = signatures.scheme
    written = []
    for row in signatures.values:
        lean = _datasketch().LeanMinHash(seed=scheme.seed, hashvalues=row, scheme=scheme.scheme)
        buffer = bytearray(lean.bytesize(LEAN_ORDER))
        lean.serialize(buffer, LEAN_ORDER)
        written.append(bytes(buffer))
    return written


def from_lean(written: Sequence[bytes], scheme: SignatureScheme) -> Signatures:
    """Read signatures that LeanMinHash wrote in network order; another scheme is refused."""
    read = [_datasketch().LeanMinHash.deserialize(each, LEAN_ORDER) for each in written]
    for each in read:
        found = SignatureScheme(scheme=each.scheme, seed=each.seed, num_perm=len(each))
        check_scheme(found, scheme)
    kind = token_table([], scheme).values.dtype
    values = np.array([each.hashvalues for each in read], dtype=kind)
    return Signatures(scheme=scheme, values=values.reshape(len(read), scheme.num_perm))


def alike_pairs(
    signatures: Mapping[str, NDArray[Any]], scheme: SignatureScheme, *, least: float
) -> list[tuple[str, str, float]]:
    """Find pairs of at least so much estimated likeness among some hundreds of sets, by LSH."""
    sketches = _datasketch()
    index = sketches.MinHashLSH(threshold=least, num_perm=scheme.num_perm, weights=FIND_ALL)
    signed = {
        key: sketches.MinHash(
            hashvalues=row, seed=scheme.seed, scheme=scheme.scheme, num_perm=len(row)
        )
        for key, row in signatures.items()
    }
    for key, each in signed.items():
        index.insert(key, each)
    candidates = {
        (key, other) for key, each in signed.items() for other in index.query(each) if key < other
    }
    pairs = [(key, other, float(signed[key].jaccard(signed[other]))) for key, other in candidates]
    found = [pair for pair in pairs if pair[2] >= least]
    return sorted(found, key=lambda pair: (-pair[2], pair[0], pair[1]))


def check_scheme(found: SignatureScheme, expected: SignatureScheme) -> None:
    """Refuse to compare signatures of two schemes."""
    if found != expected:
        raise SchemeMismatch(
            f"Signatures of scheme {found} cannot be compared with {expected}: "
            "sign both again with one scheme."
        )


def _datasketch() -> Any:
    import datasketch  # noqa: PLC0415 - it takes half a second, which every start would pay

    return datasketch
