"""How long does a preview take when its criteria are cached? A ratio is printed, nothing asserted.

Ten criteria over people, twelve partners, twenty other audiences: the preview against the same
bitmap operations written by hand, alternated, medians of CPU time; counts must be equal.
Run: `uv run python loadtests/THIS [VISITORS]`; `--row` writes its row into README.md.
"""

import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from audience_crowd.crowd import NOW_MS, Crowd, open_crowd, random_traits
from pyroaring import BitMap
from readme_row import write_row

from audiences.preview import Preview, Reach, preview
from audiences.rule import decode_rule
from matching.bitmaps import bitmap_of
from matching.people import Identity

VISITORS: Final = next((int(each) for each in sys.argv[1:] if each.isdigit()), 10_000_000)
EVENTS: Final = VISITORS // 10
TIMES: Final = 9
LAST: Final = Identity.LAST_AUTHENTICATED
SHARES: Final = {"a": 0.9, "b": 0.8, "c": 0.7, "d": 0.6, "e": 0.5, "f": 0.5, "g": 0.1, "h": 0.05}
RULE: Final = {
    "type": "all",
    "of": [
        *({"type": "trait", "trait": name, "op": "is", "value": "yes"} for name in "abcdef"),
        {"type": "not", "rule": {"type": "trait", "trait": "g", "op": "is", "value": "yes"}},
        {"type": "not", "rule": {"type": "trait", "trait": "h", "op": "is", "value": "yes"}},
        {"type": "did", "event": "Page", "within_days": 170},
        {"type": "not", "rule": {"type": "did", "event": "Order Completed", "within_days": 90}},
    ],
}


def main() -> None:
    """Fill, cache, time both, print."""
    with tempfile.TemporaryDirectory() as folder:
        crowd = open_crowd(Path(folder), visitors=VISITORS, events=EVENTS)
        crowd.traits.set_computed(random_traits(crowd.world, SHARES))
        figure = _compare(crowd)
        crowd.clickhouse.close()
    print(figure)
    if "--row" in sys.argv:
        write_row(__file__, figure)


def _compare(crowd: Crowd) -> str:
    criteria, rule = crowd.criteria(), decode_rule(RULE)
    base = criteria.base(LAST)
    draw = np.random.default_rng(2)
    partners = {f"partner_{n}": _some(base, 0.2 + 0.05 * n, draw) for n in range(12)}
    others = {f"audience_{n}": _some(base, 0.01 * (1 + n), draw) for n in range(20)}

    def ours() -> Preview:
        return preview(
            rule,
            LAST,
            criteria=criteria,
            reach=lambda _, members: _reach(partners, members),
            other_audiences=others,
            exact=True,
            as_of_ms=NOW_MS,
        )

    ours()
    leaf = criteria.leaf(LAST, NOW_MS)
    sets = [(leaf(getattr(each, "rule", each)), hasattr(each, "rule")) for each in rule.of]
    found, ours_s, hand_s = _alternate(ours, lambda: _by_hand(sets, base, partners, others))
    told = ours()
    assert found[0] == [step.kept for step in told.waterfall]
    assert found[1] == [each.size for each in told.leave_one_out]
    assert found[2] == list(told.reach.values())
    assert found[3] == {each.audience: each.size for each in told.overlaps}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 / 1024
    return (
        f"{VISITORS:,} visitors, {len(base):,} people, {told.size:,} selected: a preview "
        f"{1000 * ours_s:.0f} ms CPU, by hand {1000 * hand_s:.0f} ms, ratio {ours_s / hand_s:.2f}; "
        f"RSS at most {peak:.1f} GiB"
    )


def _by_hand(
    sets: list[tuple[BitMap, bool]],
    base: BitMap,
    partners: Mapping[str, BitMap],
    others: Mapping[str, BitMap],
) -> Any:
    """Write the same counts as plain bitmap operations in the order in which the criteria stand."""
    before, kept = [base], []
    for members, negated in sets:
        before.append(before[-1] - members if negated else before[-1] & members)
        kept.append(len(before[-1]))
    after = [base]
    for members, negated in reversed(sets):
        after.append(after[-1] - members if negated else after[-1] & members)
    after.reverse()
    without = [before[n].intersection_cardinality(after[n + 1]) for n in range(len(sets))]
    members = before[-1]
    reach = [members.intersection_cardinality(each) for each in partners.values()]
    overlaps = {key: members.intersection_cardinality(each) for key, each in others.items()}
    return kept, without, reach, overlaps


def _reach(partners: Mapping[str, BitMap], members: BitMap) -> Reach:
    counts = {key: members.intersection_cardinality(each) for key, each in partners.items()}
    return Reach(partners=counts, seats={})


def _alternate(one: Callable[[], Any], other: Callable[[], Any]) -> tuple[Any, float, float]:
    taken: tuple[list[float], list[float]] = ([], [])
    found = None
    for _ in range(TIMES):
        for times, ask in zip(taken, (one, other), strict=True):
            started = time.process_time()
            found = ask()
            times.append(time.process_time() - started)
    return found, statistics.median(taken[0]), statistics.median(taken[1])


def _some(base: BitMap, share: float, draw: Any) -> BitMap:
    persons = np.frombuffer(base.to_array(), dtype=np.uint32)
    return bitmap_of(persons[draw.random(persons.size) < share])


if __name__ == "__main__":
    main()
