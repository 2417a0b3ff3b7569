"""Ids that a message names itself become records of their own beside it.

A message that came through all steps goes in, redacted; records go out. What is no id is counted
with its reason and not kept.
"""

from typing import Final

from prometheus_client import Counter as Metric

from matching.other_ids import ids_in
from matching.partner_id_rules import IdStatus
from service.metrics import REGISTRY
from service.tag.record import Kind, Meta, write_record
from service.tag.steps import NO_VISITOR, Draft

OTHER_IDS: Final = Metric(
    "jumelle_other_ids",
    "Ids of devices, UID2 and contacts named in messages, by what became of them",
    ["id_space", "status"],
    registry=REGISTRY,
)


def other_id_records(draft: Draft) -> list[bytes]:
    """Give a record for each good id that a message names of its browser."""
    if draft.visitor == NO_VISITOR:
        return []
    records = []
    for each in ids_in(draft.raw):
        OTHER_IDS.labels(each.id_space, each.status).inc()
        if each.status is IdStatus.OK:
            meta = Meta(site=draft.sender.site.key, partner=each.id_space, uid=each.id)
            records.append(write_record(Kind.OTHER_ID, draft.received_us, draft.visitor, meta, b""))
    return records
