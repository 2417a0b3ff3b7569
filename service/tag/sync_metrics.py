"""How often each partner came to each end: at `/cookie_sync` and at `/setuid`, for Prometheus.

Labels are the keys of switched-on partners and closed lists of statuses, never ids.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from matching.choose_syncs import SyncChoice
from service.metrics import REGISTRY

LABELS: Final = ("partner", "status")


class _Counts(Collector):
    """Plain counters, read when somebody asks: a page considers forty partners at once."""

    def __init__(self, name: str, told: str) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self._name = name
        self._told = told
        REGISTRY.register(self)

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Give the counters as Prometheus reads them."""
        family = CounterMetricFamily(self._name, self._told, labels=LABELS)
        for (partner, status), count in sorted(self.counts.items()):
            family.add_metric([partner, status], count)
        yield family


SYNCS: Final = _Counts("jumelle_syncs", "Partners considered for a sync, by what became of them")
RETURNS: Final = _Counts(
    "jumelle_sync_returns", "Calls of /setuid with a token of ours, by what became of the id"
)


def count_choices(choices: Iterable[SyncChoice]) -> None:
    """Count the status of every configured partner that a page considered."""
    counts = SYNCS.counts
    for choice in choices:
        if choice.partner is not None:
            counts[choice.key, choice.status] += 1


def count_return(partner: str, status: str) -> None:
    """Count what became of one id that a partner brought."""
    RETURNS.counts[partner, status] += 1
