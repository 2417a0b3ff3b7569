"""Tells how much faster everybody is signed than by MinHash.bulk, to the same bit.

People with some 37 tokens of 20,000 are signed with 128 permutations, on one core; each way runs by
turns, and medians of CPU seconds are compared. Ends with exit code 1 below ten times.

    uv run python loadtests/how_fast_are_signatures.py [--people 20000] [--write]
"""

import argparse
import statistics
import sys
import time
from itertools import pairwise
from typing import Final

import numpy as np
from datasketch import MinHash
from lookalikes.one_thread import keep_to_one_thread
from numpy.typing import NDArray
from readme_row import write_row

from audiences.lookalike_signatures import (
    SignatureScheme,
    TokenTable,
    fold_signatures,
    hash_function,
    token_table,
)

BAR: Final = 10.0
TOKENS: Final = 20_000
TOKENS_A_PERSON: Final = 37
REPEATS: Final = 3


def main() -> None:
    """Sign the same people both ways and compare."""
    keep_to_one_thread()
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--people", type=int, default=20_000)
    options.add_argument("--write", action="store_true")
    asked = options.parse_args()
    scheme, vocabulary = SignatureScheme(), [f"token {i}" for i in range(TOKENS)]
    starts, tokens = _draw_people(asked.people)
    begun = time.process_time()
    table = token_table(vocabulary, scheme)
    table_seconds = time.process_time() - begun
    texts = [
        [vocabulary[i].encode() for i in tokens[first:last]] for first, last in pairwise(starts)
    ]
    ours, theirs = [], []
    for _ in range(REPEATS):
        seconds, folded = _fold(table, starts, tokens)
        ours.append(seconds)
        seconds, bulk = _bulk(texts, scheme)
        theirs.append(seconds)
    is_same = bool(np.array_equal(folded, bulk))
    ratio = statistics.median(theirs) / statistics.median(ours)
    figure = (
        f"{ratio:.1f} times the speed of MinHash.bulk, {'every' if is_same else 'NOT every'} bit "
        f"the same ({asked.people / statistics.median(ours):,.0f} people a CPU second; the table "
        f"of {TOKENS:,} tokens {table_seconds:.2f} s, once)"
    )
    print(figure)
    if asked.write:
        write_row(__file__, figure, "datasketch 2")
    sys.exit(not (is_same and ratio >= BAR))


def _draw_people(people: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    rng = np.random.default_rng(5)
    counts = rng.poisson(TOKENS_A_PERSON, people)
    shares = 1 / np.arange(1, TOKENS + 1) ** 0.7
    tokens = rng.choice(TOKENS, counts.sum(), p=shares / shares.sum())
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), tokens.astype(np.int64)


def _fold(
    table: TokenTable, starts: NDArray[np.int64], tokens: NDArray[np.int64]
) -> tuple[float, NDArray[np.uint32]]:
    begun = time.process_time()
    signed = fold_signatures(table, starts, tokens)
    return time.process_time() - begun, signed.values


def _bulk(texts: list[list[bytes]], scheme: SignatureScheme) -> tuple[float, NDArray[np.uint32]]:
    begun = time.process_time()
    signed = MinHash.bulk(
        texts,
        num_perm=scheme.num_perm,
        seed=scheme.seed,
        scheme=scheme.scheme,
        hashfunc=hash_function(scheme),
    )
    seconds = time.process_time() - begun
    return seconds, np.array([each.hashvalues for each in signed])


if __name__ == "__main__":
    main()
