"""Reads what the catalogue shows: how often each event came to each site, and a sample of events.

Counts are exact; properties are JSON texts, so at most so many events of one name are read, chosen
by their message's hash alone. It is asked by people, never by the tick.
"""

from typing import Final

import msgspec
from clickhouse_connect.driver.client import Client

from audiences.calendar_days import date_of
from audiences.catalogue import EventSeen, describe
from audiences.event_selection import DAY_LAST
from audiences.sql import sql

SAMPLE_EVENTS_MAX: Final = 2_000
"""So many events of one name are looked at: a share of 1 % is then known to about 0.4 points."""
SAMPLED_NAMES_MAX: Final = 200


class SiteEvents(msgspec.Struct, frozen=True, kw_only=True):
    """How often an event came to a site, first and last; bots count here, as they came too."""

    event: str
    site: str
    count: int
    first_at_ms: int
    last_at_ms: int


class CatalogueStore:
    """The table `events`, read for people who ask what came."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def per_site(self, *, first_day: int = 0, last_day: int = DAY_LAST) -> list[SiteEvents]:
        """Count the events of every name and site on these days, the most frequent first."""
        parameters = {"first": date_of(first_day), "last": date_of(last_day)}
        rows = self._client.query(sql("event_sites"), parameters=parameters).result_rows
        names = SiteEvents.__struct_fields__
        return [SiteEvents(**dict(zip(names, row, strict=True))) for row in rows]

    def seen(
        self,
        site: str,
        *,
        first_day: int,
        last_day: int,
        sample_max: int = SAMPLE_EVENTS_MAX,
    ) -> list[EventSeen]:
        """Describe what a site's events of these days hold, each name by a sample of its own."""
        counted = self.per_site(first_day=first_day, last_day=last_day)
        mine = [each for each in counted if each.site == site]
        span = {"first": date_of(first_day), "last": date_of(last_day), "site": site}
        found = []
        for each in mine[:SAMPLED_NAMES_MAX]:
            parameters = span | {
                "event": each.event,
                "one_in": -(-each.count // sample_max),
                "limit": 2 * sample_max,  # twice what is awaited: none is left out for its day
            }
            rows = self._client.query(sql("event_properties"), parameters=parameters).result_rows
            found.append(describe(each.event, each.count, [row[0] for row in rows]))
        return found
