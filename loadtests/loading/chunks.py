"""Chunks of a shop's messages, as tag processes close them.

A seed, a number and a mix go in, closed chunk files come out. Every body is different; sessions of
about six messages share visitor, address and agent, and three of ten sessions are new visitors'.
"""
# ruff: noqa: UP031 - so many texts are written that the quicker way to write them counts

import sys
import time
from datetime import UTC, datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from service.tag.record import MAGIC, Kind, Meta, pack_meta, write_packed

CHUNK_BYTES: Final = 64 * 1024 * 1024
NEWER: Final = 1 << 40
"""Numbers of visitors from here on are nobody's whom `known_visitors` names."""
CUSTOMERS: Final = 400_000
AHEAD_MAX: Final = 3
_AGENT: Final = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:%d.0) Gecko/20100101 Firefox/%d.0 (shop; build %d)"
)
_CATEGORIES: Final = (
    "cycling",
    "running",
    "camping",
    "kitchen",
    "garden",
    "books",
    "toys",
    "music",
)
_VIEWED: Final = ("Product Viewed", "Product List Viewed", "Product Added", "Product Clicked")


class Mix(msgspec.Struct, frozen=True, kw_only=True):
    """What a chunk is made of; shares are of all messages."""

    known: int
    """So many visitors are known; seven of ten sessions are theirs."""
    received_ms: int
    must_signal: bool = False
    """Whether every browser sends what its visitor chose, as a consent banner makes it."""
    pages: float = 0.13
    orders: float = 0.05
    late: float = 0.02


def visitor_keys(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Give the ids of visitors as pairs of halves, random to the eye and known by number."""
    return np.stack([_mixed(numbers, 1), _mixed(numbers, 2)], axis=1)


def write_chunk(folder: Path, number: int, mix: Mix, *, chunk_bytes: int = CHUNK_BYTES) -> int:
    """Close one chunk file of about this size and tell how many records it holds."""
    records, size, begin = [MAGIC], 0, 0
    while size < chunk_bytes:
        some = _records(number, begin, mix, 5_000)
        records += some
        size += sum(map(len, some))
        begin += len(some)
    open_file = folder / f"{number:08d}.open"
    open_file.write_bytes(b"".join(records))
    open_file.rename(folder / f"{number:08d}.{begin}.chunk")
    return begin


def _records(number: int, begin: int, mix: Mix, count: int) -> list[bytes]:
    random = np.random.default_rng([number, begin])
    session = np.sort(random.integers(0, count // 6, count))
    who = _who(random, mix, number, begin, count)
    ids = visitor_keys(who).tobytes()
    agents = random.integers(0, 40, who.size).tolist()
    addresses = random.integers(0, 1 << 24, who.size).tolist()
    chosen = random.integers(0, 4, who.size).tolist()
    kind, late = random.random(count), random.random(count) < mix.late
    waited = np.where(
        late, random.integers(0, 20 * 86_400_000, count), random.integers(5, 900, count)
    )
    draws = random.integers(0, 1 << 30, (count, 8)).tolist()
    made: list[bytes] = []
    packed: dict[tuple[int, str], bytes] = {}
    for row, (place, share, waited_ms, draw) in enumerate(
        zip(session.tolist(), kind.tolist(), waited.tolist(), draws, strict=True)
    ):
        received_ms = mix.received_ms + (begin + row) // 100
        is_order = share < mix.orders
        type_ = "page" if mix.orders <= share < mix.orders + mix.pages else "track"
        meta = packed.get((place, type_), b"")
        if is_order or not meta:
            address = addresses[place]
            meta = pack_meta(
                Meta(
                    site="shop",
                    type=type_,
                    agent=_agent(agents[place]),
                    ip=f"{address >> 16}.{address >> 8 & 255}.{address & 255}.0",
                    signals=_SIGNALS[chosen[place]] if mix.must_signal else "",
                    proved=str(draw[0] % CUSTOMERS) if is_order else "",
                    method="purchase" if is_order else "",
                )
            )
        if not is_order:
            packed[place, type_] = meta
        head = _HEAD % (type_, number, begin + row, draw[0], draw[1], _iso(received_ms - waited_ms))
        body = head + (
            _order(draw) if is_order else _page(draw) if type_ == "page" else _view(draw)
        )
        raw = (body + _TAIL % (draw[2] % 9_999, _iso(received_ms - 3))).encode()
        visitor = ids[16 * place : 16 * place + 16]
        made.append(write_packed(Kind.MESSAGE, received_ms * 1000 + row, visitor, meta, raw))
    return made


def _who(
    random: np.random.Generator, mix: Mix, number: int, begin: int, count: int
) -> NDArray[np.uint64]:
    sessions = count // 6
    known = random.integers(0, max(mix.known, 1), sessions, dtype=np.uint64)
    new = np.uint64(NEWER + (number << 24) + begin) + np.arange(sessions, dtype=np.uint64)
    return np.where(random.random(sessions) < (0.7 if mix.known else 0), known, new)


_HEAD: Final = '{"type":"%s","messageId":"%08x%08x%08x%08x","timestamp":"%s",'
_TAIL: Final = (
    ',"context":{"page":{"path":"/c/%d"},"library":{"name":"jumelle-js","version":"0.1.0"}},'
    '"sentAt":"%s"}'
)
_SIGNALS: Final = tuple(
    f'{{"gpc":{gpc},"explicit":{{"audiences":{yes},"store":true}}}}'
    for gpc in ("true", "false")
    for yes in ("true", "false")
)


def _view(draw: list[int]) -> str:
    return (
        '"event":"%s","properties":{"product_id":"p%d","sku":"s-%d","category":"%s",'
        '"name":"Trekking light no %d","price":%d.%02d,"currency":"USD","position":%d,'
        '"url":"https://shop.example/c/%d/p/%d"}'
    ) % (
        _VIEWED[draw[3] & 3],
        draw[4] % 40_000,
        draw[4] % 40_000,
        _CATEGORIES[draw[4] & 7],
        draw[4] % 40_000,
        draw[5] % 900,
        draw[5] % 100,
        draw[6] % 50,
        draw[4] & 7,
        draw[4] % 40_000,
    )


def _page(draw: list[int]) -> str:
    return (
        '"properties":{"url":"https://shop.example/c/%d?q=%d","path":"/c/%d","title":"%s and more, '
        'page %d","referrer":"https://search.example/?q=%d"}'
    ) % (
        draw[4] % 900,
        draw[5] % 9_000,
        draw[4] % 900,
        _CATEGORIES[draw[4] & 7],
        draw[6] % 40,
        draw[7],
    )


def _order(draw: list[int]) -> str:
    lines = [
        '{"product_id":"p%d","sku":"s-%d","category":"%s","price":%d.%02d,"quantity":%d}'
        % (
            each % 40_000,
            each % 40_000,
            _CATEGORIES[each & 7],
            each % 500,
            each % 100,
            1 + each % 3,
        )
        for each in draw[2 : 3 + draw[2] % 5]
    ]
    return (
        '"event":"Order Completed","properties":{"order_id":"o%d","total":%d.5,"revenue":%d,'
        '"currency":"USD","products":[%s]}'
    ) % (draw[1], draw[6] % 2_000, draw[6] % 1_900, ",".join(lines))


@cache
def _agent(number: int) -> str:
    return _AGENT % (120 + number, 120 + number, 10_000_000 + number)


def _iso(at_ms: int) -> str:
    return f"{_second(at_ms // 1000)}.{at_ms % 1000:03d}Z"


@lru_cache(maxsize=1 << 16)
def _second(at_s: int) -> str:
    return f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%dT%H:%M:%S}"


def _mixed(numbers: NDArray[np.uint64], half: int) -> NDArray[np.uint64]:
    mixed: Any = (numbers + np.uint64(half)) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)), dtype=np.uint64)


def main() -> None:
    """Write chunks into a folder, as a process of its own, a few ahead of who takes them away."""
    folder, count, mix = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    for number in range(1, count + 1):
        while len(list(folder.glob("*.chunk"))) > AHEAD_MAX:
            time.sleep(0.05)
        write_chunk(folder, number, msgspec.json.decode(mix, type=Mix))


if __name__ == "__main__":
    main()
