"""How fast is the algebra of rules? Ratios are printed, nothing is asserted but equal counts.

Five rules over thirty traits of random people, evaluated as builds do it, against ClickHouse on a
wide table and on bitmap states, and DuckDB and polars on a wide table: alternated medians of CPU
time. Then
200 audiences are stored and taken over as a start does.
Run: `uv run --group loadtests python loadtests/THIS [PEOPLE]`; `--row` writes its row.
"""

import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
import polars as pl
from audience_crowd.crowd import NOW_MS
from pyroaring import BitMap
from readme_row import write_row

from audiences.audience_store import Build, BuildStatus
from audiences.bitmap_states import encode_state
from audiences.bitmap_store import BitmapStore
from audiences.evaluate import evaluate
from audiences.rule import HasTrait, Rule, decode_rule
from matching.bitmaps import bitmap_of_mask
from matching.ids import VISITOR_FIRST
from matching.people import Identity
from service.engine.clickhouse import ClickHouse
from service.engine.migrate import migrate

PEOPLE: Final = next((int(each) for each in sys.argv[1:] if each.isdigit()), 10_000_000)
TIMES: Final = 5
AUDIENCES: Final = 200
MEMORY_MAX: Final = 2 << 30
# Ten traits of half of all people, ten of a tenth, twenty of one in a hundred.
SHARES: Final = {
    **{f"h{n}": 0.5 for n in range(6)},
    **{f"t{n}": 0.1 for n in range(8)},
    **{f"r{n}": 0.01 for n in range(20)},
}


def _trait(name: str) -> dict[str, Any]:
    return {"type": "trait", "trait": name, "op": "exists"}


def _all(*of: Any) -> dict[str, Any]:
    return {"type": "all", "of": [_trait(each) if isinstance(each, str) else each for each in of]}


def _any(*of: Any) -> dict[str, Any]:
    return _all(*of) | {"type": "any"}


def _no(rule: Any) -> dict[str, Any]:
    return {"type": "not", "rule": _trait(rule) if isinstance(rule, str) else rule}


# Each rule, as an expression over columns, and over bitmap states.
RULES: Final[dict[str, tuple[dict[str, Any], str, str]]] = {
    "and of 5": (
        _all("h0", "h1", "h2", "t0", "t1"),
        "h0 and h1 and h2 and t0 and t1",
        "bitmapAnd(bitmapAnd(bitmapAnd(t0, t1), h0), bitmapAnd(h1, h2))",
    ),
    "or of 20": (
        _any(*(f"r{n}" for n in range(20))),
        " or ".join(f"r{n}" for n in range(20)),
        "",
    ),
    "and not": (_all("h0", _no("t0")), "h0 and not t0", "bitmapAndnot(h0, t0)"),
    "nested of 10": (
        _all(
            _any(_all("h0", "h1"), _all("h2", "h3")),
            _any("t0", "t1", "t2"),
            _no(_any("t3", "t4", "t5")),
        ),
        "(h0 and h1 or h2 and h3) and (t0 or t1 or t2) and not (t3 or t4 or t5)",
        (
            "bitmapAndnot(bitmapAnd(bitmapOr(bitmapAnd(h0, h1), bitmapAnd(h2, h3)), "
            "bitmapOr(bitmapOr(t0, t1), t2)), bitmapOr(bitmapOr(t3, t4), t5))"
        ),
    ),
    "3 of 8": (
        {"type": "at_least", "k": 3, "of": _all(*(f"t{n}" for n in range(6)), "h0", "h1")["of"]},
        "t0::int + t1::int + t2::int + t3::int + t4::int + t5::int + h0::int + h1::int >= 3",
        "",
    ),
}


def main() -> None:
    """Fill, evaluate, compare, print."""
    draw = np.random.default_rng(1)
    masks = {name: draw.random(PEOPLE, dtype=np.float32) < share for name, share in SHARES.items()}
    sets = {name: bitmap_of_mask(mask, first=VISITOR_FIRST) for name, mask in masks.items()}
    with tempfile.TemporaryDirectory() as folder:
        clickhouse = ClickHouse(Path(folder), url="", threads=2)
        client = clickhouse.client()
        migrate(client)
        _fill_wide(client, masks)
        _fill_states(client, sets)
        ducks = duckdb.connect()
        ducks.execute("set threads = 2")
        ducks.register("masks", dict(masks))
        ducks.execute("create table wide as select * from masks")
        ducks.unregister("masks")
        frame = pl.SQLContext(wide=pl.DataFrame(masks), eager=True)
        del masks
        told = _compare(sets, client, ducks, frame)
        ducks.close()
        told += _start(client, list(sets.values()))
        clickhouse.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 / 1024
    figure = f"{PEOPLE:,} people: {told}; RSS at most {peak:.1f} GiB, all peers included"
    print(figure)
    if "--row" in sys.argv:
        write_row(__file__, figure)


def _fill_wide(client: Any, masks: dict[str, Any]) -> None:
    columns = ", ".join(f"{name} Bool" for name in masks)
    client.command(
        f"create table wide (person UInt32, {columns}) engine = MergeTree order by person"
    )
    step = 1_000_000
    for begin in range(0, PEOPLE, step):
        end = min(begin + step, PEOPLE)
        rows = np.zeros(end - begin, dtype=[("person", "<u4"), *((name, "u1") for name in masks)])
        rows["person"] = np.arange(begin, end) + VISITOR_FIRST
        for name, mask in masks.items():
            rows[name] = mask[begin:end]
        client.raw_insert("wide", ["person", *masks], rows.tobytes(), fmt="RowBinary")


def _fill_states(client: Any, sets: dict[str, BitMap]) -> None:
    client.command(
        "create table states (name String, members AggregateFunction(groupBitmap, UInt32)) "
        "engine = MergeTree order by name"
    )
    for name, members in sets.items():
        row = bytes([len(name)]) + name.encode() + encode_state(members)
        client.raw_insert("states", ["name", "members"], row, fmt="RowBinary")


def _compare(sets: dict[str, BitMap], client: Any, ducks: Any, frame: "pl.SQLContext[Any]") -> str:
    base = BitMap(range(VISITOR_FIRST, VISITOR_FIRST + PEOPLE))

    def leaf(criterion: Any) -> BitMap:
        assert isinstance(criterion, HasTrait)
        return sets[criterion.trait]

    told, wide = [], "select count(*) from wide where "
    for name, (plain, columns, states) in RULES.items():
        rule: Rule = decode_rule(plain)
        ways: list[Callable[[], int]] = [
            lambda rule=rule: len(evaluate(rule, base=base, leaf=leaf)),
            lambda text=wide + columns: int(client.query(text).result_rows[0][0]),
            lambda text=wide + columns: int(ducks.execute(text).fetchall()[0][0]),
            lambda text=wide + columns: int(frame.execute(text).item()),
        ]
        if states:
            text = _of_states(states)
            ways.append(lambda text=text: int(client.query(text).result_rows[0][0]))
        counts, seconds = _alternate(ways)
        assert len(set(counts)) == 1, (name, counts)
        others = [f"{each / seconds[0]:.0f}x" for each in seconds[1:]]
        told.append(f"{name} {1000 * seconds[0]:.1f} ms ({', '.join(others)})")
        print(f"  {told[-1]}, {counts[0]:,} people", flush=True)
    return "evaluated in CPU ms (wide table, DuckDB, polars, bitmap states): " + "; ".join(told)


def _of_states(expression: str) -> str:
    """Read each state that an expression names, and count what it comes to."""
    names = sorted(name for name in SHARES if f"{name}," in expression or f"{name})" in expression)
    one = "(select members from states where name = '{0}') as {0}"
    read = ", ".join(one.format(name) for name in names)
    return f"with {read} select bitmapCardinality({expression})"


def _alternate(ways: list[Callable[[], int]]) -> tuple[list[int], list[float]]:
    taken: list[list[float]] = [[] for _ in ways]
    counts = [way() for way in ways]
    for _ in range(TIMES):
        for times, ask in zip(taken, ways, strict=True):
            started = time.process_time()
            ask()
            times.append(time.process_time() - started)
    return counts, [statistics.median(each) for each in taken]


def _start(client: Any, sets: list[BitMap]) -> str:
    """Store audiences and take them over, as a start does."""
    store = BitmapStore(client)
    for number in range(AUDIENCES):
        members = sets[number % len(sets)]
        build = Build(
            audience=f"a{number}",
            build=1,
            version=1,
            identity=Identity.BROWSER,
            at_ms=NOW_MS,
            status=BuildStatus.OK,
            detail="",
            size=len(members),
        )
        store.write(build, members)
    started = time.process_time()
    found = store.newest()
    seconds = time.process_time() - started
    assert len(found) == AUDIENCES
    held = sum(len(members.serialize()) for _, members in found.values()) / (1 << 20)
    return f"; {AUDIENCES} audiences of {held:.0f} MiB taken over in {seconds:.1f} s CPU"


if __name__ == "__main__":
    main()
