"""How much do sync weights gain? People made addressable, beside priority alone, page by page.

Forty partners of one priority differ in how often they answer and in how many people of active
audiences wait for them; pages come from browsers that return a few times. The very chooser and the
very weights of the service play the same visits twice: with equal weights, and with weights that
are computed anew each day from what came back so far. Run: `uv run python loadtests/THIS`; `--row`
writes its row into README.md.
"""

import random
import sys
import time
from collections import Counter
from typing import Final

import msgspec
import numpy as np
from readme_row import write_row

from matching.choose_syncs import PageKind, SyncStatus, choose_syncs, judge_partners
from matching.consent.decide import Decision, Reason, Signal
from matching.partners import Partner, known_facts
from service.engine.sync_weights import Worth, weighted

PARTNERS: Final = 40
BROWSERS: Final = 4_000
DAYS: Final = 14
PAGES_A_DAY: Final = 0.25
LIMITS: Final = (3, 5, 8)
START_S: Final = 1_795_000_000
DAY_S: Final = 86_400
YES: Final = Decision(allowed=True, signal=Signal.SITE_DEFAULT, reason=Reason.ALLOWED)
KIND: Final = PageKind(allowed=lambda _: YES, types=frozenset({"image", "iframe"}), requested=None)


class World:
    """Who is in which audience, which partner answers whom, and who visits when."""

    def __init__(self, seed: int) -> None:
        made = np.random.default_rng(seed)
        facts = known_facts("pixel") | {"name": "P", "enabled": True}
        self.partners = [
            msgspec.convert(facts | {"key": f"p{number}", "id_space": f"p{number}"}, Partner)
            for number in range(PARTNERS)
        ]
        # Why these: facts say 40 to 60 % of cookies match, a third at many, next to none at some.
        self.rates = made.choice([0.02, 0.15, 0.3, 0.45, 0.6], size=PARTNERS)
        # Most partners hold one or two audiences of a few per cent, some none, few a large one.
        shares = made.choice([0.0, 0.0, 0.02, 0.05, 0.1, 0.3], size=PARTNERS)
        self.wanted = made.random((BROWSERS, PARTNERS)) < shares
        self.answers = made.random((BROWSERS, PARTNERS)) < self.rates
        self.visits = made.random((DAYS, BROWSERS)) < PAGES_A_DAY


def play(world: World, *, limit: int, weigh: bool) -> int:
    """Play all visits and count the people of audiences who became addressable at a partner."""
    reached = np.zeros((BROWSERS, PARTNERS), dtype=np.bool_)
    attempts: list[dict[str, int]] = [{} for _ in range(BROWSERS)]
    offered: Counter[str] = Counter()
    returned: Counter[str] = Counter()
    partners = tuple(world.partners)
    rng = random.Random(1)
    for day in range(DAYS):
        if weigh:
            partners = weighted(world.partners, _worths(world, reached, offered, returned))
        judged = judge_partners(partners, KIND)
        now_s = START_S + day * DAY_S
        for browser in np.flatnonzero(world.visits[day]).tolist():
            choices = choose_syncs(
                judged, attempts=attempts[browser], now_s=now_s, limit=limit, rng=rng
            )
            for choice in choices:
                if choice.status is not SyncStatus.OFFERED:
                    continue
                number = int(choice.key[1:])
                attempts[browser][choice.key] = now_s
                offered[choice.key] += 1
                if world.answers[browser, number]:
                    returned[choice.key] += 1
                    reached[browser, number] = True
    return int((reached & world.wanted).sum())


def _worths(
    world: World, reached: np.ndarray, offered: Counter[str], returned: Counter[str]
) -> dict[str, Worth]:
    missing = (world.wanted & ~reached).sum(axis=0)
    return {
        f"p{number}": Worth(
            answered=returned[f"p{number}"],
            offered=offered[f"p{number}"],
            unreached=int(missing[number]),
            browsers=BROWSERS,
        )
        for number in range(PARTNERS)
    }


def main() -> None:
    """Play each limit both ways in two worlds and print the gain."""
    figures = []
    for limit in LIMITS:
        plain = found = 0
        started = time.monotonic()
        for seed in (1, 2):
            world = World(seed)
            plain += play(world, limit=limit, weigh=False)
            found += play(world, limit=limit, weigh=True)
        figures.append(f"{limit} pixels a page: {found / plain:.2f} times ({plain:,} to {found:,})")
        print(f"{figures[-1]}, {time.monotonic() - started:.0f} s")
    text = (
        f"people addressable after {DAYS} days with {PARTNERS} partners of one priority, "
        f"beside turns: {'; '.join(figures)}"
    )
    print(text)
    if "--row" in sys.argv:
        write_row(__file__, text)


if __name__ == "__main__":
    main()
