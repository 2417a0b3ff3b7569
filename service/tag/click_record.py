"""The record of a newsletter's click: who was written to, and which browser came.

The opened link and the visitor come in, bytes for the spool go out. Whether the click counts is
judged later, by the page that follows it.
"""

from datetime import UTC, datetime

from matching.contact_hashes import crm_id_of, redact_text
from matching.ids import VisitorId
from service.tag.door import Door
from service.tag.record import Kind, Meta, write_record
from service.tag.request import TagRequest
from service.tag.tokens import Click


def click_record(
    door: Door, request: TagRequest, click: Click, visitor: VisitorId, signals: str
) -> bytes:
    """Write the record."""
    meta = Meta(
        site=click.site,
        proved=crm_id_of(click.crm_id, door.seal),
        method="click",
        nonce=click.nonce,
        signals=signals,
        sent_at=datetime.fromtimestamp(click.made_s, UTC).isoformat(),
        agent=redact_text(request.header("user-agent")[:512], door.seal),
    )
    return write_record(Kind.CLICK, request.received_us, visitor, meta, b"")
