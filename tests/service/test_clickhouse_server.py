"""A ClickHouse server over HTTP: what the driver sends is understood, and nothing is done twice."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError, StreamFailureError

from matching.customer_store import CustomerName, CustomerStore
from matching.ids import VISITOR_FIRST
from matching.partner_ids_store import PartnerIdsStore
from service.engine.clickhouse import ClickHouse, NoServer
from service.engine.clickhouse_http import open_http
from service.engine.migrate import migrate

pytestmark = pytest.mark.clickhouse

ROWS = 200_000


@pytest.fixture(scope="module")
def client(clickhouse_server: Any) -> Iterator[Client]:
    """Give a client on a database of its own."""
    first = open_http(clickhouse_server.url, database="default", settings={})
    first.command("create database if not exists other engine=Atomic")
    opened = open_http(clickhouse_server.url, database="other", settings={"max_threads": 2})
    yield opened
    first.command("drop database other sync")


@pytest.fixture
def table(client: Client) -> str:
    """Give an empty table of one column `n`."""
    client.command("create or replace table held (n UInt32) engine=MergeTree order by n")
    return "held"


def count(client: Client, table: str) -> int:
    found = client.query("select count() from {t:Identifier}", parameters={"t": table})
    return int(found.result_rows[0][0])


@pytest.mark.parametrize("compression", [None, "lz4", "zstd", "gzip"])
def test_inserts_arrive_whole(client: Client, table: str, compression: str | None) -> None:
    """Many blocks of rows arrive under every compression."""
    context = client.create_insert_context(table, ["n"], column_oriented=True)
    context.compression = compression
    context.data = [list(range(ROWS))]
    client.insert(context=context)
    assert count(client, table) == ROWS


def test_rows_are_streamed(client: Client) -> None:
    """A long answer comes in pieces and leaves the connection usable."""
    stream: Any = client.raw_stream("select number::UInt32 from numbers(1000000)", fmt="RowBinary")
    assert len(stream.read(1 << 16)) == 1 << 16
    rest = 0
    while piece := stream.read(1 << 20):
        rest += len(piece)
    assert rest == 4_000_000 - (1 << 16)
    assert client.query("select 1").result_rows == [(1,)]


def test_an_error_after_the_first_rows_is_told(client: Client) -> None:
    """A question that fails half way raises, whatever came before."""
    query = "select throwIf(number = 1000000) from numbers(2000000)"
    with (
        pytest.raises((StreamFailureError, OperationalError)),
        client.query_row_block_stream(query) as blocks,
    ):
        list(blocks)


@pytest.mark.parametrize(
    ("query", "code"),
    [("select * from nothing", 60), ("selekt 1", 62), ("select 1 settings no_such = 1", 115)],
    ids=["no such table", "syntax", "no such setting"],
)
def test_errors_keep_their_codes(client: Client, query: str, code: int) -> None:
    """What the server refuses is raised with ClickHouse's own code."""
    with pytest.raises(DatabaseError) as refused:
        client.query(query)
    assert refused.value.code == code


def test_a_lost_answer_does_not_double_an_insert(
    clickhouse_server: Any, client: Client, table: str
) -> None:
    """When the connection breaks after an insert was done, the insert is not sent again."""
    clickhouse_server.lose_next_answer("insert into held")
    with pytest.raises(OperationalError, match="executing HTTP request"):
        client.insert(table, [[1, 2]], column_names=["n"], column_oriented=True)
    clickhouse_server.lose_next_answer("insert into held")
    with pytest.raises(OperationalError, match="executing HTTP request"):
        client.raw_insert(table, ["n"], b"\3\0\0\0", fmt="RowBinary")
    assert count(client, table) == 3


def test_a_question_is_asked_again(clickhouse_server: Any, client: Client) -> None:
    """When the connection breaks under a question, the driver asks it once more."""
    clickhouse_server.lose_next_answer("select 5")
    assert client.query("select 5").result_rows == [(5,)]


def test_threads_share_a_client(client: Client, table: str) -> None:
    """A client has no session: a stream that is read leaves it free for the next question."""
    with client.query_row_block_stream("select number from numbers(500000)") as blocks:
        next(blocks)
        assert count(client, table) == 0


def test_an_installation_opens_a_server(clickhouse_server: Any, tmp_path: Path) -> None:
    """The database is made over HTTP, the schema applied once, and a second start finds it."""
    default = open_http(clickhouse_server.url, database="default", settings={})
    default.command("drop database if exists jumelle sync")
    for expected in (True, False):
        opened = ClickHouse(tmp_path, url=clickhouse_server.url)
        assert not opened.embedded
        assert bool(migrate(opened.client())) == expected
        opened.close()


def test_a_server_that_is_not_there_is_told(tmp_path: Path) -> None:
    """Without a server the error names the host and the setting, and not the password."""
    with pytest.raises(NoServer, match=r"at 127\.0\.0\.1: .*JUMELLE_CLICKHOUSE_URL") as found:
        ClickHouse(tmp_path, url="http://jumelle:secret@127.0.0.1:1")
    assert "secret" not in str(found.value)


def test_lists_fit_the_limits_of_a_server(database: Any) -> None:
    """More ids than one form field may carry are asked for in pieces."""
    client = database.client()
    ordinals = range(VISITOR_FIRST - 60_000, VISITOR_FIRST - 1)
    assert CustomerStore(client).crm_ids(ordinals) == {}
    assert PartnerIdsStore(client).ids_of([4_000_000_000 + n for n in range(60_000)]) == {}


def test_text_of_any_kind_comes_back(database: Any) -> None:
    """Parameters carry quotes, backslashes, tabs, line ends and foreign letters unchanged."""
    store = CustomerStore(database.client())
    store.open()
    value = "a'b\"c\\d\te\nf \\N é 日 {x:String}"
    store.put_names([CustomerName(customer=1, kind="alias", value=value, source="s", at_ms=1)])
    assert store.find_by_name("alias", value) == 1
    assert [each.value for each in store.names(1)] == [value]
