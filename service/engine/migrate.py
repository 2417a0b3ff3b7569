"""Brings the schema up to date: numbered, forward-only files, the lower floor's first.

What was applied stands in the table `migrations`; a file that changed afterwards is refused.
"""

from collections.abc import Iterator
from hashlib import sha256
from importlib.resources import files
from typing import Final

from clickhouse_connect.driver.client import Client

PACKAGES: Final = ("matching", "audiences", "service.engine")

_TABLE: Final = """
create table if not exists migrations (
  package String, name String, hash String, at DateTime64(3, 'UTC') default now64(3)
) engine = MergeTree order by (package, name)
"""


class SchemaError(Exception):
    """The schema on disk is not one that this version can go on from."""


def migrate(client: Client) -> list[str]:
    """Apply what is missing and give the names of what was applied."""
    client.command(_TABLE)
    found = client.query("select package, name, hash from migrations").result_rows
    applied = {(package, name): digest for package, name, digest in found}
    done = []
    for package, name, text in schema_files():
        digest = sha256(text.encode()).hexdigest()
        before = applied.get((package, name))
        if before is None:
            client.command(text)
            row = [[package, name, digest]]
            client.insert("migrations", row, column_names=["package", "name", "hash"])
            done.append(f"{package}/{name}")
        elif before != digest:
            raise SchemaError(
                f"{package}/tables/{name} differs from what this database was made with; "
                "add a new numbered file instead of changing an old one"
            )
    return done


def schema_files() -> Iterator[tuple[str, str, str]]:
    """Give (package, name, text) of every schema file in the order of application."""
    for package in PACKAGES:
        folder = files(package).joinpath("tables")
        for file in sorted(folder.iterdir(), key=lambda each: each.name):
            if file.name.endswith(".sql"):
                yield package, file.name, file.read_text(encoding="utf-8")
