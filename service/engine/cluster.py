"""The schema of a cluster: every table's own DDL comes in, Replicated and Distributed DDL goes out.

A table of people is spread over the shards, `NAME_local` on each and `NAME` over all of them; any
other is whole on every node. The macros cluster, shard and replica are the servers' own. Erasure is
not in it: a Distributed table refuses mutations, they would have to go to the local tables.
"""

import re
import sys
from typing import Final

import msgspec

from service.engine.migrate import schema_files

ON_CLUSTER: Final = "on cluster '{cluster}'"

# A person's rows are on one shard: all of a visitor, and what only names a customer, of a customer.
SHARDED_BY: Final = {
    "visitors": "ordinal",
    "customers": "customer",
    "partner_ids": "visitor",
    "identifications": "visitor",
    "consents": "visitor",
    "customer_traits": "customer",
    "contact_forms": "customer",
    "crm_rows": "customer",
    "third_party_traits": "holder",
    "events": "if(visitor != 0, visitor, customer)",
    "events_by_visitor": "owner",
    "bad_records": "chunk",
}

_CREATE: Final = re.compile(r"\bcreate table (\w+) \(")
_ENGINE: Final = re.compile(r"\bengine = (\w*)MergeTree(?:\(([^)]*)\))?")


class ClusterTable(msgspec.Struct, frozen=True, kw_only=True):
    """A table and what makes it; `sharded_by` is empty when it is whole on every node."""

    name: str
    sharded_by: str
    statements: tuple[str, ...]


def cluster_ddl() -> list[str]:
    """Give every statement, in the order of application."""
    database = f"create database if not exists jumelle {ON_CLUSTER} engine = Atomic"
    return [database, *(each for table in cluster_tables() for each in table.statements)]


def cluster_tables() -> list[ClusterTable]:
    """Give every table of the schema as the cluster has it."""
    return [_cluster_table(f"{package}/{name}", text) for package, name, text in schema_files()]


def _cluster_table(file: str, text: str) -> ClusterTable:
    named, engine = _CREATE.search(text), _ENGINE.search(text)
    if named is None or engine is None:
        raise ValueError(
            f"{file} makes no MergeTree table: say in service/engine/cluster.py "
            "how a cluster takes this change"
        )
    name = named[1]
    key = SHARDED_BY.get(name, "")
    own = f"{name}_local" if key else name
    made = _CREATE.sub(lambda _: f"create table if not exists jumelle.{own} {ON_CLUSTER} (", text)
    replicated = _ENGINE.sub(lambda found: f"engine = {_replicated(found, name, key)}", made)
    statements = [replicated.strip()]
    if key:
        statements.append(_distributed(name, own, key))
    return ClusterTable(name=name, sharded_by=key, statements=tuple(statements))


def _replicated(engine: re.Match[str], name: str, key: str) -> str:
    # Why no {shard} in the second path: all nodes of all shards are replicas of the one table.
    path, replica = (
        ("/clickhouse/tables/{shard}/jumelle/" + name, "{replica}")
        if key
        else ("/clickhouse/tables/whole/jumelle/" + name, "{shard}-{replica}")
    )
    arguments = [f"'{path}'", f"'{replica}'", *([engine[2]] if engine[2] else [])]
    return f"Replicated{engine[1]}MergeTree({', '.join(arguments)})"


def _distributed(name: str, own: str, key: str) -> str:
    return (
        f"create table if not exists jumelle.{name} {ON_CLUSTER} as jumelle.{own}\n"
        f"engine = Distributed('{{cluster}}', jumelle, {own}, intHash64({key}))"
    )


if __name__ == "__main__":
    sys.stdout.write("".join(f"{each};\n\n" for each in cluster_ddl()))
