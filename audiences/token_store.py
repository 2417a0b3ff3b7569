"""What people did, as tokens: which persons have an event of late, a site, a product, a category.

In come a time span and who is who, out goes one bitmap of persons per token that enough of them
have. It weighs nothing; traits from the CRM are handed in as bitmaps of persons, their numbers cut
at bounds that are found here.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from clickhouse_connect.driver.client import Client
from numpy.typing import NDArray
from pyroaring import BitMap

from audiences.sql import sql
from matching.bitmaps import bitmap_of
from matching.people import People

RECENCY_DAYS = (7, 30, 90)
"""An event token tells when a person did it last: within 7 days, 30 days, 90 days, or before."""

RECENCIES = (*(f"{days}d" for days in RECENCY_DAYS), "older")
TOKENS_PER_KIND_MAX = 2_000
DAY_MS = 86_400_000
BOT_FLAG = 2
ROW_BYTES = 12
PIECE_BYTES = ROW_BYTES << 20
EVENT_PREFIX = "event:"


class TokenStore:
    """Reads tokens from the table `events`."""

    def __init__(self, client: Client, *, piece_bytes: int = PIECE_BYTES) -> None:
        self._client = client
        self._piece_bytes = piece_bytes

    def tokens(
        self,
        people: People,
        *,
        since_ms: int,
        until_ms: int,
        minimum: int = 50,
        extra: Mapping[str, BitMap] | None = None,
    ) -> dict[str, BitMap]:
        """Give the persons of each token that at least `minimum` have; `extra` tokens join them.

        Tokens are `event:NAME=7d` (`30d`, `90d`, `older`; a person has one of each event),
        `site:KEY`, `category:NAME` and `product:NAME`.
        """
        bounds = {"since_ms": since_ms, "until_ms": until_ms, "bot": BOT_FLAG}
        names = self._names(bounds, minimum)
        persons = _fold(self._pieces(bounds, names), people) if names else {}
        tokens = {**_name(persons, names), **(extra or {})}
        return {token: tokens[token] for token in sorted(tokens) if len(tokens[token]) >= minimum}

    def edges(self, trait: str) -> tuple[float, ...]:
        """Give the bounds that cut a number of customers in fifths, rounded to two digits.

        Rounded so, they stay the same from day to day, and no bound is a single person's number.
        """
        found = self._client.query(sql("trait_edges"), parameters={"trait": trait}).result_rows
        quantiles = [float(each) for each in found[0][0]] if found else []
        return tuple(sorted({_rounded(each) for each in quantiles if math.isfinite(each)}))

    def _names(self, bounds: Mapping[str, int], minimum: int) -> list[str]:
        # Why before the rows: a token of few pairs of visitor and customer has no more persons.
        parameters = {**bounds, "minimum": minimum, "most": TOKENS_PER_KIND_MAX}
        return [
            token for token, _ in self._client.query(sql("token_names"), parameters).result_rows
        ]

    def _pieces(self, bounds: Mapping[str, int], names: list[str]) -> Iterator[NDArray[np.uint32]]:
        """Stream rows of (code, visitor, customer), about a million at a time."""
        parameters: dict[str, Any] = {
            **bounds,
            "tokens": names,
            "codes": [_first_code(i) for i in range(len(names))],
            "edges_ms": [bounds["until_ms"] - days * DAY_MS for days in RECENCY_DAYS],
        }
        # The sync client gives a file; its type names the stream of the async client as well.
        stream: Any = self._client.raw_stream(sql("token_rows"), parameters, fmt="RowBinary")
        try:
            rest = b""
            while piece := stream.read(self._piece_bytes):
                whole = rest + piece
                rows = len(whole) // ROW_BYTES
                yield np.frombuffer(whole, dtype="<u4", count=rows * 3).reshape(rows, 3)
                rest = whole[rows * ROW_BYTES :]
        finally:
            stream.close()


def _fold(pieces: Iterator[NDArray[np.uint32]], people: People) -> dict[int, BitMap]:
    """Gather the persons of each code."""
    persons: defaultdict[int, BitMap] = defaultdict(BitMap)
    for piece in pieces:
        folded = people.fold(np.ascontiguousarray(piece[:, 1]), np.ascontiguousarray(piece[:, 2]))
        known = folded != 0
        codes = piece[known, 0].astype(np.uint64)
        pairs = np.unique(codes << np.uint64(32) | folded[known])
        codes = pairs >> np.uint64(32)
        begins = np.flatnonzero(np.diff(codes, prepend=np.uint64(0)))
        for code, members in zip(codes[begins], np.split(pairs, begins[1:]), strict=False):
            persons[int(code)] |= bitmap_of(members.astype(np.uint32))
    return persons


def _name(persons: Mapping[int, BitMap], names: list[str]) -> dict[str, BitMap]:
    """Name the codes, and keep of each event a person's newest recency alone."""
    tokens = {}
    for i, name in enumerate(names):
        if not name.startswith(EVENT_PREFIX):
            tokens[name] = persons.get(_first_code(i), BitMap())
            continue
        newer = BitMap()
        for step, recency in enumerate(RECENCIES):
            members = persons.get(_first_code(i) + step, BitMap())
            tokens[f"{name}={recency}"] = members - newer
            newer |= members
    return tokens


def bins_of(edges: Sequence[float]) -> list[tuple[str, float | None, float | None]]:
    """Name the bins between bounds, each with its least number and the least of the next."""
    bounds: list[float | None] = [None, *edges, None]
    return [(_bin_name(low, next_), low, next_) for low, next_ in pairwise(bounds)]


def _bin_name(low: float | None, next_: float | None) -> str:
    if low is None:
        return "any" if next_ is None else f"below {next_:g}"
    return f"{low:g} and more" if next_ is None else f"{low:g} to below {next_:g}"


def _rounded(number: float) -> float:
    return float(f"{number:.2g}")


def _first_code(i: int) -> int:
    """Give a token its number, with room for recencies; 0 is no token."""
    return (i + 1) * len(RECENCIES)
