"""When sessions began and ended at a browser, as events tell it: ordinals in, moments out."""

from collections.abc import Mapping

from clickhouse_connect.driver.client import Client

from audiences.sql import sql


class SessionStore:
    """The table `events_by_visitor`, read only, one browser at a time."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def newest_event(self, visitor: int, event: str) -> int | None:
        """Give the moment of the browser's newest event of this name; None when there is none."""
        return self._moment("newest_event_of_owner", {"owner": visitor, "event": event})

    def newest_identify_by_server(self, visitor: int, customer: int) -> int | None:
        """Give the moment when a server last said by `identify` that the customer sits there."""
        parameters = {"visitor": visitor, "customer": customer}
        return self._moment("newest_identify_by_server", parameters)

    def _moment(self, query: str, parameters: Mapping[str, object]) -> int | None:
        ((count, at_ms),) = self._client.query(sql(query), parameters=dict(parameters)).result_rows
        return int(at_ms) if count else None
