"""Who is whose, decided the slow way, and random histories to decide.

Plain dicts and sorted lists, one visitor after the other and one customer after the other, written
from what the design says of links. Shared by the test of histories and the longer run of it.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from random import Random
from typing import Final, NamedTuple

from matching.ids import VISITOR_FIRST

MINUTE: Final = 60_000
START_MS: Final = 1_700_000_000_000
STRENGTH: Final = {"login": 4, "purchase": 4, "server": 3, "import": 3, "click": 2, "form": 1}
METHODS: Final = (*STRENGTH, "login", "purchase", "click", "click", "page", "page")


class Seen(NamedTuple):
    """One observation, as the log holds it."""

    chunk: int
    row: int
    visitor: int
    customer: int
    at_ms: int
    method: str
    claimed: bool
    proof: int


class Decided(NamedTuple):
    """What the oracle says of a visitor."""

    customer: int
    status: str
    method: str
    at_ms: int


NOTHING: Final = Decided(0, "none", "", 0)


def decide(
    log: Iterable[Seen], *, visitors_per_customer: int, customers_per_visitor: int
) -> dict[int, Decided]:
    """Decide every visitor of a log."""
    by_visitor: dict[int, list[Seen]] = defaultdict(list)
    for seen in log:
        by_visitor[seen.visitor].append(seen)
    confirmed = {v: _confirmed(observed) for v, observed in by_visitor.items()}
    brought = _brought(each for clicks in confirmed.values() for each in clicks)
    decided: dict[int, Decided] = {}
    for visitor, observed in by_visitor.items():
        counted = [
            each
            for each in observed
            if _is_proof(each)
            and (
                each.method != "click" or (each in confirmed[visitor] and _has_place(each, brought))
            )
        ]
        decided[visitor] = _decide_one(observed, counted, confirmed[visitor], customers_per_visitor)
    _cut(decided, visitors_per_customer)
    return decided


def _is_proof(seen: Seen) -> bool:
    return not seen.claimed and seen.customer != 0 and seen.method in STRENGTH


def _confirmed(observed: list[Seen]) -> set[Seen]:
    """Give the clicks that a page of the same visitor followed within half an hour."""
    pages = [each.at_ms for each in observed if each.method == "page"]
    return {
        each
        for each in observed
        if _is_proof(each)
        and each.method == "click"
        and any(each.at_ms <= page <= each.at_ms + 30 * MINUTE for page in pages)
    }


def _brought(clicks: Iterable[Seen]) -> dict[int, list[int]]:
    """List the visitors whom each link brought, the first three of them."""
    came: dict[int, list[int]] = defaultdict(list)
    for each in sorted(clicks, key=lambda seen: (seen.at_ms, seen.chunk, seen.row)):
        if each.visitor not in came[each.proof]:
            came[each.proof].append(each.visitor)
    return {proof: visitors[:3] for proof, visitors in came.items()}


def _has_place(click: Seen, brought: dict[int, list[int]]) -> bool:
    return click.proof == 0 or click.visitor in brought[click.proof]


def _decide_one(
    observed: list[Seen], counted: list[Seen], confirmed: set[Seen], customers_max: int
) -> Decided:
    if counted:
        best = max(counted, key=lambda e: (STRENGTH[e.method], e.at_ms, e.chunk, e.row))
        shared = len({each.customer for each in counted}) > customers_max
        customer, status = (0, "shared_device") if shared else (best.customer, "linked")
        return Decided(customer, status, best.method, best.at_ms)
    named = [each for each in observed if each.customer and each.method in STRENGTH]
    if confirmed:
        return NOTHING._replace(status="click_over_limit")
    if any(each.method == "click" and not each.claimed for each in named):
        return NOTHING._replace(status="click_unconfirmed")
    return NOTHING._replace(status="claimed_only") if named else NOTHING


def _cut(decided: dict[int, Decided], visitors_max: int) -> None:
    held: dict[int, list[int]] = defaultdict(list)
    for visitor, each in decided.items():
        if each.customer:
            held[each.customer].append(visitor)
    for visitors in held.values():
        visitors.sort(key=lambda visitor: (-decided[visitor].at_ms, visitor))
        for visitor in visitors[visitors_max:]:
            decided[visitor] = decided[visitor]._replace(customer=0, status="over_limit")


class History:
    """A log that grows at random: late and equal times, removals, erased people."""

    def __init__(self, seed: int, *, visitors: int = 2_000, customers: int = 600) -> None:
        self.log: list[Seen] = []
        self.steps: Counter[str] = Counter()
        self._random = Random(seed)
        self._visitors = visitors
        self._customers = customers
        self._now_ms = START_MS
        self._given = 0
        self._last = 0

    def observe(self) -> Seen:
        """Add one observation."""
        chance = self._random
        self._given += 1
        self._now_ms += chance.choice((0, 0, 0, 1, 5)) * MINUTE
        method = chance.choice(METHODS)
        if self.log and self.log[-1].method == "click" and chance.random() < 0.4:
            method = "page"
        visitor = self._visitor()
        seen = Seen(
            # Why not ascending: chunks of several tags are loaded as they come.
            chunk=self._given // 7 ^ 5,
            row=self._given % 7,
            visitor=VISITOR_FIRST + visitor,
            customer=0 if method == "page" else self._customer(visitor),
            at_ms=self._time(),
            method=method,
            claimed=chance.random() < 0.15,
            proof=0,
        )
        if method == "click" and chance.random() < 0.9:
            seen = seen._replace(proof=1 + seen.customer % 60)
        self.log.append(seen)
        self.steps["claimed" if seen.claimed else method] += 1
        return seen

    def remove(self) -> None:
        """Take one observation away."""
        if self.log:
            self.log.pop(self._random.randrange(len(self.log)))
            self.steps["removed"] += 1

    def erase(self) -> tuple[list[int], list[int]]:
        """Take all of a visitor or a customer away and say of whom."""
        visitors, customers = [], []
        if self._random.random() < 0.5:
            visitors = [VISITOR_FIRST + self._visitor()]
        else:
            customers = [1 + self._random.randrange(self._customers)]
        self.log = [
            each
            for each in self.log
            if each.visitor not in visitors and each.customer not in customers
        ]
        self.steps["erased"] += 1
        return visitors, customers

    def step(self) -> None:
        """Do one thing at random."""
        chance = self._random.random()
        if chance < 0.9:
            self.observe()
        elif chance < 0.995:
            self.remove()
        else:
            self.erase()

    def _visitor(self) -> int:
        """Draw a visitor: often the last one again, and the first few are everybody's."""
        chance = self._random.random()
        if chance > 0.4:
            self._last = self._random.randrange(5 if chance < 0.45 else self._visitors)
        return self._last

    def _customer(self, visitor: int) -> int:
        """Draw a customer: mostly the visitor's own, which it shares with some others."""
        chance = self._random.random()
        if visitor < 5 or chance < 0.08:
            return 1 + self._random.randrange(self._customers)
        if chance < 0.12:
            return 1 + visitor % 3  # whom too many name
        return 1 + visitor * 7 % self._customers

    def _time(self) -> int:
        chance = self._random.random()
        if chance < 0.15:
            return self._now_ms - self._random.randrange(2_000) * MINUTE
        if chance < 0.3 and self.log:
            return self._random.choice(self.log[-20:]).at_ms
        return self._now_ms
