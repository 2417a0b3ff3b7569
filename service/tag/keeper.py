"""Keeps the records of answered requests before their answers leave: acknowledged means kept.

Outcomes come in, singly or as a batch of one loop pass; the answers that may be sent go out, each
either as decided or as 503 when its records could not be kept. Counts every record.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from service.metrics import Balance
from service.tag.collect import Outcome
from service.tag.request import TagAnswer, refusal
from service.tag.spool import Spool, SpoolFull
from service.tag.steps import DropReason

RETRY_AFTER_S: Final = 5
NO_DROPS: Final[Counter[str]] = Counter()


class Keeper:
    """Appends to one writer's spool and counts in the balance."""

    def __init__(self, *, spool: Spool, balance: Balance, waits_for_disk: bool) -> None:
        self._spool = spool
        self._balance = balance
        self.waits_for_disk = waits_for_disk
        """Whether an answer must wait for `kept` after `append`."""

    def append(self, outcomes: Sequence[Outcome]) -> list[TagAnswer]:
        """Write all records in order with one call; give the answers, 503 where that failed."""
        records: list[bytes] = []
        dropped = NO_DROPS
        for outcome in outcomes:
            records += outcome.records
            if outcome.dropped:
                dropped = dropped + Counter(str(reason) for reason in outcome.dropped)
        answers = [outcome.answer for outcome in outcomes]
        if records:
            try:
                self._spool.append(records)
            except SpoolFull as problem:
                lost = Counter({str(DropReason.SPOOL_FULL): len(records)})
                self._balance.received(kept=0, dropped=dropped + lost)
                return _refused(outcomes, problem)
        self._balance.received(kept=len(records), dropped=dropped)
        return answers

    async def kept(self, outcomes: Sequence[Outcome], answers: list[TagAnswer]) -> list[TagAnswer]:
        """Wait until what was appended is as safe as `ack` promises; give the answers to send."""
        if not self.waits_for_disk:
            return answers
        try:
            await self._spool.kept()
        except SpoolFull as problem:
            # Why counted as kept: the file is there and is loaded; a retry is its duplicate.
            return _refused(outcomes, problem)
        return answers


def _refused(outcomes: Sequence[Outcome], problem: SpoolFull) -> list[TagAnswer]:
    return [_try_again(each.answer, problem) if each.records else each.answer for each in outcomes]


def _try_again(answer: TagAnswer, problem: SpoolFull) -> TagAnswer:
    retry = ("Retry-After", str(RETRY_AFTER_S))
    return refusal(503, f"nothing was kept, try again: {problem}", retry, *cors_of(answer))


def cors_of(answer: TagAnswer) -> list[tuple[str, str]]:
    """Give the headers by which the calling page may read another answer in this one's place."""
    return [header for header in answer.headers if header[0].startswith(("Access-Control", "Vary"))]
