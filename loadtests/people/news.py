"""What a few seconds bring: new identifications of a crowd, as columns to be stored."""

from random import Random
from typing import Final

import numpy as np

from matching.identification import IdentificationColumns
from matching.ids import VISITOR_FIRST
from people.crowd import NOW_MS, Crowd

METHODS: Final = ("login", "login", "login", "login", "purchase", "purchase", "purchase", "server")


def as_usual(crowd: Crowd, count: int, seed: int) -> IdentificationColumns:
    """Let people come as the crowd's do: 78 % as before, 20 % by a click, 2 % as somebody else."""
    chance, rows = Random(seed), list[tuple[int, int, str, int]]()
    while len(rows) < count:
        rank = crowd.kiosks + chance.randrange(crowd.identified - crowd.kiosks)
        customer = customer_of(crowd, rank)
        if chance.random() < 0.02:
            customer = 1 + chance.randrange(crowd.customers)
        if chance.random() < 0.1:
            rows.append((rank, customer, "click", chance.getrandbits(62) | 1))
            rows.append((rank, 0, "page", 0))
        else:
            rows.append((rank, customer, chance.choice(METHODS), 0))
    return _columns(rows[:count], seed)


def as_others(crowd: Crowd, count: int, seed: int) -> IdentificationColumns:
    """Let everybody come as somebody else, so that all must be read again."""
    chance = Random(seed)
    ranks = chance.sample(range(crowd.kiosks, crowd.identified), count)
    return _columns(
        [(rank, 1 + chance.randrange(crowd.customers), "login", 0) for rank in ranks], seed
    )


def customer_of(crowd: Crowd, rank: int) -> int:
    """Tell whose a visitor mostly is."""
    if rank < crowd.kiosks + crowd.crowded * 200:
        return 1 + rank % crowd.crowded
    return 1 + crowd.crowded + rank % (crowd.customers - crowd.crowded)


def _columns(rows: list[tuple[int, int, str, int]], seed: int) -> IdentificationColumns:
    ranks, customers, methods, proofs = zip(*rows, strict=True)
    at_ms = [NOW_MS + seed * 100_000 + place for place in range(len(rows))]
    return IdentificationColumns(
        chunk=[1_000_000 + seed] * len(rows),
        row=list(range(len(rows))),
        received_at_ms=[NOW_MS] * len(rows),
        at_ms=at_ms,
        visitor=(np.array(ranks, dtype=np.int64) * 5 // 2 + VISITOR_FIRST).astype(np.uint32),
        customer=customers,
        method=methods,
        claimed=[False] * len(rows),
        site=["shop"] * len(rows),
        proof=proofs,
    )
