"""Keeps the records of answered requests before their answers leave: acknowledged means kept.

The records of one request or of one loop pass come in, and why they could not be kept goes out;
then every answer that stands on a record is 503. Counts every record.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from service.metrics import Balance
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
        """Whether an answer must wait for `kept` after `keep`."""

    def keep(self, records: Sequence[bytes], dropped: Iterable[DropReason]) -> SpoolFull | None:
        """Write all records in order with one call, and count; say why they could not be kept."""
        counted = Counter(map(str, dropped)) if dropped else NO_DROPS
        if records:
            try:
                self._spool.append(records)
            except SpoolFull as problem:
                lost = Counter({str(DropReason.SPOOL_FULL): len(records)})
                self._balance.received(kept=0, dropped=counted + lost)
                return problem
        self._balance.received(kept=len(records), dropped=counted)
        return None

    async def kept(self) -> SpoolFull | None:
        """Wait until what was kept is as safe as `ack` promises; say why it is not."""
        try:
            await self._spool.kept()
        except SpoolFull as problem:
            # Why counted as kept: the file is there and is loaded; a retry is its duplicate.
            return problem
        return None


def try_again(answer: TagAnswer, problem: SpoolFull) -> TagAnswer:
    """Give what is sent in an answer's place when its records could not be kept."""
    retry = ("Retry-After", str(RETRY_AFTER_S))
    return refusal(503, f"nothing was kept, try again: {problem}", retry, *cors_of(answer))


def cors_of(answer: TagAnswer) -> list[tuple[str, str]]:
    """Give the headers by which the calling page may read another answer in this one's place."""
    return [header for header in answer.headers if header[0].startswith(("Access-Control", "Vary"))]
