"""Opens a client of a ClickHouse server: a URL comes in, a client comes out.

What the driver would do on its own and must not is switched off here: sessions, which threads
cannot share, and sending an insert again when the connection broke before its answer.
"""

from typing import Any, Final

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from urllib3.exceptions import HTTPError

CONNECT_TIMEOUT_S: Final = 10
ANSWER_TIMEOUT_S: Final = 600
PROGRESS: Final = "x-clickhouse-progress"


def open_http(url: str, *, database: str, settings: dict[str, Any]) -> Client:
    """Open a client of the server at this URL."""
    client = clickhouse_connect.get_client(
        dsn=url,
        database=database,
        settings=settings,
        autogenerate_session_id=False,
        # Why: parameters name people, and what stands in a URL stands in the logs of servers.
        form_encode_query_params=True,
        connect_timeout=CONNECT_TIMEOUT_S,
        send_receive_timeout=ANSWER_TIMEOUT_S,
    )
    connections: Any = client
    connections.http = SendsOnce(connections.http)
    return client


class ConnectionLost(HTTPError):
    """The connection broke after a statement was sent: whether it was done is not known."""


class SendsOnce:
    """A pool of connections that tells of a broken one in a way that the driver does not retry.

    Why: an insert may have been done when its answer was lost, and done twice it doubles rows. The
    caller looks what is there and goes on from that.
    """

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    def request(self, method: str, url: str, **options: Any) -> Any:
        """Send a request; one that changes anything, only once."""
        if "fields" in options:  # a form: the driver sends questions so, and may ask them again
            return self._pool.request(method, url, **options)
        try:
            answer = self._pool.request(method, url, **options)
        except HTTPError as problem:
            lost = str(problem)
        else:
            if answer.status != 200 or any(each.lower() != PROGRESS for each in answer.headers):
                return answer
            lost = "the answer ended before its headers did"
            answer.close()
        # Why here: raised inside the handler it would carry its cause, by which the driver retries.
        raise ConnectionLost(lost)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)

    # Why equal to the pool: the driver keeps the pools' ages in a dict, and clears unknown ones.
    def __hash__(self) -> int:
        return hash(self._pool)

    def __eq__(self, other: object) -> bool:
        return self is other or self._pool is other
