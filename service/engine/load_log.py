"""Says in the log what became of the chunks of one tick, and whether the balance holds."""

import logging
from collections.abc import Sequence
from typing import Final

from service.engine.loader import Loaded
from service.engine.spool_reader import SpoolReader
from service.logs import fields
from service.metrics import QUARANTINED, Balance

log: Final = logging.getLogger("jumelle.engine")


def tell(loaded: Sequence[Loaded]) -> None:
    """Log what was loaded, and what was damaged."""
    for each in loaded:
        if each.damage:
            log.error("a chunk is damaged", extra=fields(chunk=each.chunk, damage=each.damage))
    if loaded:
        log.info(
            "loaded",
            extra=fields(
                chunks=len(loaded),
                records=sum(each.records for each in loaded),
                stored=sum(each.stored for each in loaded),
                bad=sum(each.bad for each in loaded),
            ),
        )


def audit(reader: SpoolReader, balance: Balance) -> None:
    """Compare what was received with what became of it."""
    QUARANTINED.set(reader.quarantined())
    off = balance.audit(reader.records_waiting)
    if off:
        log.error("the balance does not hold", extra=fields(off=off))
