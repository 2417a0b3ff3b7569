"""A chDB that takes itself for a cluster of one shard, as a program: what is asked for, is printed.

Arguments: the data folder, the configuration file, and `replicated` (create every table as it is)
or `distributed` (plain local tables behind the Distributed ones, written and read by the stores).
"""

import os
import re
import sys

import clickhouse_connect
from clickhouse_connect.driver.client import Client

from audiences.calendar_days import CalendarDays
from audiences.event_store import EventColumns, EventStore
from matching.customer_store import CustomerStore
from service.engine.cluster import ON_CLUSTER, cluster_ddl

REPLICATED = re.compile(r"Replicated(\w*MergeTree)\('[^']*', '[^']*'(?:, )?")
VISITORS = [bytes([n]) * 16 for n in range(1, 6)]


def main() -> None:
    """Do what the arguments ask for."""
    folder, config, task = sys.argv[1:]
    client = clickhouse_connect.get_client(
        interface="chdb", path=folder, chdb_options={"config-file": config}
    )
    client.command("create database jumelle engine=Atomic")
    client.database = "jumelle"
    for statement in cluster_ddl()[1:]:
        alone = statement.replace(" " + ON_CLUSTER, "")
        client.command(alone if task == "replicated" else REPLICATED.sub(r"\1(", alone))
    if task == "replicated":
        show(client, "select engine from system.tables where database = 'jumelle'")
    else:
        use(client)
    sys.stdout.flush()
    os._exit(0)  # Why: with Replicated tables an orderly end waits for ever


def use(client: Client) -> None:
    """Write people and events through the Distributed tables and read them again."""
    client.command("set distributed_foreground_insert = 1")
    customers = CustomerStore(client)
    customers.open()
    visitors = customers.visitor_ordinals(VISITORS, 1)
    number = len(VISITORS)
    EventStore(client, CalendarDays("UTC")).insert(
        EventColumns(
            chunk=[1] * number,
            row=list(range(number)),
            received_at_ms=[10**12] * number,
            at_ms=[10**12] * number,
            event=["Order Completed"] * number,
            site=["shop"] * number,
            visitor=visitors.tolist(),
            customer=[0] * number,
            message_hash=list(range(number)),
            flags=[0] * number,
            properties=['{"total": 2.5}'] * number,
        )
    )
    show(client, "select count(), uniq(visitor), sum(total) from events")
    show(client, "select count() from events_local")
    again = CustomerStore(client)
    again.open()
    print((again.find_visitors(VISITORS) == visitors).all())  # noqa: T201 - the answer


def show(client: Client, query: str) -> None:
    """Print the rows of a question."""
    print(client.query(query).result_rows)  # noqa: T201 - the answer


if __name__ == "__main__":
    main()
