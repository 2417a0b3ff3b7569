"""The schema of a cluster: parsed by ClickHouse, and carried out as far as one process can."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from service.engine.cluster import ON_CLUSTER, SHARDED_BY, cluster_ddl, cluster_tables
from service.engine.migrate import schema_files

TIMEOUT_S = 60
PROGRAM = Path(__file__).with_name("cluster_of_one.py")

CONFIG = """
<clickhouse>
  <tcp_port>9000</tcp_port>
  <macros><cluster>here</cluster><shard>01</shard><replica>a</replica></macros>
  <remote_servers><here><shard><replica><host>127.0.0.1</host><port>9000</port></replica></shard>
  </here></remote_servers>
  KEEPER
</clickhouse>
"""
KEEPER = "<zookeeper><implementation>testkeeper</implementation></zookeeper>"


def run(task: str, folder: Path, *, keeper: str = "") -> str:
    """Run the cluster of one in a process of its own."""
    config = folder / "config.xml"
    config.write_text(CONFIG.replace("KEEPER", keeper))
    done = subprocess.run(
        [sys.executable, PROGRAM, str(folder / "data"), str(config), task],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.clickhouse
def test_every_statement_is_understood(database: Any) -> None:
    """ClickHouse parses each statement of the cluster's schema."""
    client = database.client()
    for statement in cluster_ddl():
        parsed = client.query("select formatQuery({q:String})", parameters={"q": statement})
        assert "ON CLUSTER `{cluster}`" in parsed.first_row[0].replace("'", "`")


def test_every_table_is_in_the_cluster() -> None:
    """Each table of the schema is there once, and what names a visitor is spread."""
    tables = cluster_tables()
    assert len({table.name for table in tables}) == len(list(schema_files()))
    spread = {table.name for table in tables if table.sharded_by}
    assert spread == set(SHARDED_BY)
    for table in tables:
        if re.search(r"^  visitor UInt32", table.statements[0], re.MULTILINE):
            assert table.name in spread


def test_nothing_but_engine_and_name_changes() -> None:
    """A local table has the columns, order and settings of the table on one machine."""
    texts = {text.split("create table ")[1].split(" ")[0]: text for _, _, text in schema_files()}
    for table in cluster_tables():
        own = f"{table.name}_local" if table.sharded_by else table.name
        back = table.statements[0].replace(
            f"create table if not exists jumelle.{own} {ON_CLUSTER} (",
            f"create table {table.name} (",
        )
        back = re.sub(r"Replicated(\w*MergeTree)\('[^']*', '[^']*'\)", r"\1", back)
        back = re.sub(r"Replicated(\w*MergeTree)\('[^']*', '[^']*', ", r"\1(", back)
        assert back == texts[table.name].strip()


@pytest.mark.clickhouse
def test_the_replicated_tables_are_accepted(tmp_path: Path) -> None:
    """With a keeper every table of the cluster is created; ON CLUSTER alone is left out."""
    made = run("replicated", tmp_path, keeper=KEEPER)
    assert made.count("Distributed") == len(SHARDED_BY)
    assert len(re.findall(r"Replicated\w*MergeTree", made)) == len(list(schema_files()))


@pytest.mark.clickhouse
def test_stores_write_and_read_through_the_distributed_tables(tmp_path: Path) -> None:
    """On one shard the stores' inserts and questions work by way of the Distributed tables."""
    assert run("distributed", tmp_path).splitlines() == ["[(5, 5, 12.5)]", "[(5,)]", "True"]
