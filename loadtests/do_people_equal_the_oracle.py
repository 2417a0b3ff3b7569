"""Do people equal the oracle? Long random histories, decided by us and the slow way.

Several histories of so many steps grow, lose observations and people; after every hundredth part of
them the links are compared with those of `tests/matching/people_oracle.py`, in shuffled order too.
Run: `uv run python loadtests/THIS [STEPS] [HISTORIES]`.
"""

import sys
from collections import Counter
from pathlib import Path
from random import Random
from typing import Final

import numpy as np

from matching.people import Links

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "matching"))
from people_oracle import History
from test_people_histories import (
    VISITORS,
    assert_folded,
    assert_same,
    decided_by,
    expected_of,
    link_log,
)

NUMBERS: Final = [int(each) for each in sys.argv[1:] if each.isdigit()]
STEPS: Final = NUMBERS[0] if NUMBERS else 100_000
HISTORIES: Final = NUMBERS[1] if len(NUMBERS) > 1 else 3
LOOKS: Final = 100


def main() -> None:
    """Compare, and print what was met."""
    met, steps, compared = Counter[str](), Counter[str](), 0
    for seed in range(HISTORIES):
        history, chance = History(seed=1_000 + seed, visitors=VISITORS), Random(seed)
        for step in range(1, STEPS + 1):
            history.step()
            if step % (STEPS // LOOKS):
                continue
            links, expected = link_log(history.log), expected_of(history.log)
            assert decided_by(links) == expected, (seed, step)
            shuffled = list(history.log)
            chance.shuffle(shuffled)
            assert_same(link_log(shuffled), links)
            assert_folded(links, expected, chance)
            met.update(each.status for each in expected)
            compared += sum(getattr(links, name).size for name in Links.__struct_fields__)
        steps.update(history.steps)
        assert np.all(links.customer_of[links.status != 1] == 0)
    print(f"{sum(steps.values()):,} steps: " + _said(steps))
    print(
        f"{met.total():,} visitors decided as the oracle does ({compared:,} values), and again in"
    )
    print(f"another order: {_said(met)}")


def _said(counts: Counter[str]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.most_common())


if __name__ == "__main__":
    main()
