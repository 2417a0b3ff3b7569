"""A row of the table of correspondence on its way from a record to the store."""

from typing import NamedTuple


class PartnerRow(NamedTuple):
    """A row of `partner_ids` as the loader stores it."""

    row: int
    at_ms: int
    partner: str
    id_space: str
    action: str
    reason: str
    nonce: int
    visitor: int
    uid: str
    id_ordinal: int
    source: str = "sync"
    browser: str = ""
