"""Loads servers in turns and prints what a request costs each of them.

All run at once and one is loaded at a time, for some rounds; ratios are taken within a round, then
their median, so that a machine whose speed wanders does not decide.
"""

from collections.abc import Sequence
from statistics import median

import msgspec

from beacons.closed_loop import Run, load_once
from beacons.options import Options
from beacons.pinned import Load
from beacons.server import Server


class Entrant(msgspec.Struct, frozen=True, kw_only=True):
    """A server with the load that it gets, under the name of its row."""

    name: str
    server: Server
    load: Load


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """All runs of all entrants, by name."""

    runs: dict[str, list[Run]]
    messages: dict[str, int]

    def each_us(self, name: str) -> float:
        """Give the CPU microseconds of a request, the median of all rounds."""
        return median(run.each_us for run in self.runs[name])

    def per_second(self, name: str) -> float:
        """Give requests a second, the median of all rounds."""
        return median(run.per_second for run in self.runs[name])

    def cpu_ratio(self, name: str, other: str) -> float:
        """How many messages this one takes for the CPU time that the other needs for one."""
        messages = self.messages[name] / self.messages[other]
        pairs = zip(self.runs[name], self.runs[other], strict=True)
        return median(his.each_us / mine.each_us for mine, his in pairs) * messages

    def rate_ratio(self, name: str, other: str) -> float:
        """How many requests a second this one answers for one of the other."""
        pairs = zip(self.runs[name], self.runs[other], strict=True)
        return median(mine.per_second / his.per_second for mine, his in pairs)

    def table(self, *references: str) -> str:
        """Give the table, each row with its share of the references' capacity."""
        width = max(map(len, self.runs))
        heads = [f"of {name}" for name in references]
        lines = [f"{'server':<{width}}   req/s  CPU us/request (least - most)  " + "  ".join(heads)]
        for name, runs in self.runs.items():
            us = [run.each_us for run in runs]
            line = f"{name:<{width}} {self.per_second(name):7,.0f}  {self.each_us(name):7.2f}"
            line += f" ({min(us):7.2f} - {max(us):7.2f})    "
            ratios = [self.cpu_ratio(name, other) for other in references]
            shown = (f"{ratio:{len(head)}.2f}" for ratio, head in zip(ratios, heads, strict=True))
            lines.append(f"{line}  {'  '.join(shown)}")
        return "\n".join(lines)


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """A ratio and what it has to be."""

    text: str
    found: float
    at_least: float | None = None
    at_most: float | None = None

    @property
    def is_met(self) -> bool:
        """Tell whether the bar is met."""
        if self.at_least is not None and self.found < self.at_least:
            return False
        return self.at_most is None or self.found <= self.at_most

    def __str__(self) -> str:
        """Say it in one line."""
        sign, bar = (">=", self.at_least) if self.at_least is not None else ("<=", self.at_most)
        verdict = "met" if self.is_met else "MISSED"
        return f"{verdict:<7} {self.text}: {self.found:.3g} (bar {sign} {bar:g})"


def compete(entrants: Sequence[Entrant], options: Options) -> Results:
    """Load each entrant in each round, after a first time that does not count."""
    runs: dict[str, list[Run]] = {each.name: [] for each in entrants}
    for each in entrants:
        load_once(each.server, each.load, options, seconds=1)
    for number in range(options.rounds):
        # Why another order each round: who comes after whom must not decide either.
        turned = [*entrants[number % len(entrants) :], *entrants[: number % len(entrants)]]
        for each in turned:
            runs[each.name].append(load_once(each.server, each.load, options))
    return Results(runs=runs, messages={each.name: each.load.messages for each in entrants})


def median_of(figures: Sequence[float]) -> float:
    """Give the median of rounds."""
    return median(figures)


def judge(bars: Sequence[Bar]) -> int:
    """Print the bars; give the exit code."""
    for bar in bars:
        print(bar)
    return 0 if all(bar.is_met for bar in bars) else 1
