"""How long cookies live, by family of browsers: counts of visitors come out, nobody is named.

What a family is comes from the offers of the sync; visitors of sites without partners are unknown.
"""

from typing import Final

import msgspec
from clickhouse_connect.driver.client import Client

from matching.ids import VISITOR_FIRST
from service.engine.sql import sql

UNKNOWN: Final = "unknown"


class CookieLives(msgspec.Struct, frozen=True, kw_only=True):
    """One family: its visitors, who came back on a later day, and with a cookie of what age."""

    browser: str
    visitors: int
    returned: int
    over_1_day: int
    over_7_days: int
    over_30_days: int
    paused_7_days: int
    """Came back after more than seven days without a visit."""


class CookieLivesStore:
    """Asks with a client of its own."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def lives(self, *, since_ms: int, site: str = "") -> list[CookieLives]:
        """Count the visitors since a moment, of one site or of all, the largest family first."""
        parameters = {"first": VISITOR_FIRST, "since": since_ms, "site": site}
        rows = self._client.query(sql("cookie_lives"), parameters=parameters).result_rows
        names = CookieLives.__struct_fields__
        found = [CookieLives(**dict(zip(names, row, strict=True))) for row in rows]
        return [
            each if each.browser else msgspec.structs.replace(each, browser=UNKNOWN)
            for each in found
        ]
