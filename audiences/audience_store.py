"""Keeps the definitions of audiences with their versions, and tells of their builds.

In go audiences, out come saved ones with version and time; a definition that needs unknown
audiences or itself is refused. Members are kept by `bitmap_store`.
"""

from enum import StrEnum

import msgspec
from clickhouse_connect.driver.client import Client

from audiences.definitions import (
    AudienceInUseError,
    UnknownAudienceError,
    check_definition,
    used_by,
)
from audiences.rule import Audience
from audiences.sql import sql
from matching.people import Identity

COLUMNS = ["key", "version", "definition", "deleted", "at"]


class SavedAudience(msgspec.Struct, frozen=True, kw_only=True):
    """A definition as it stands: its version grows with every change."""

    audience: Audience
    version: int
    at_ms: int


class BuildStatus(StrEnum):
    """How a build ended; a failed one leaves the members as they were."""

    OK = "ok"
    FAILED = "failed"


class Build(msgspec.Struct, frozen=True, kw_only=True):
    """One finished build, without its members."""

    audience: str
    build: int
    version: int
    identity: Identity
    at_ms: int
    status: BuildStatus
    detail: str
    size: int


class AudienceStore:
    """The table `audiences`, and what `builds` tells beside members."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._decoded: dict[str, Audience] = {}

    def audiences(self) -> dict[str, SavedAudience]:
        """Give all audiences by key."""
        rows = self._client.query(sql("audience_definitions")).result_rows
        known = self._decoded
        # Why kept: whoever asks every few seconds finds the same rules, and what it knows of them.
        decoded = {
            definition: known.get(definition) or msgspec.json.decode(definition, type=Audience)
            for _, definition, _ in rows
        }
        self._decoded = decoded
        saved = [
            SavedAudience(audience=decoded[definition], version=version, at_ms=at)
            for version, definition, at in rows
        ]
        return {each.audience.key: each for each in saved}

    def get(self, key: str) -> SavedAudience:
        """Give one audience."""
        found = self.audiences().get(key)
        if found is None:
            raise UnknownAudienceError(f"There is no audience {key!r}")
        return found

    def save(self, audience: Audience, at_ms: int) -> SavedAudience:
        """Store a definition as a new version, or give the old one if nothing changed."""
        known = self.audiences()
        check_definition(audience, {key: each.audience for key, each in known.items()})
        old = known.get(audience.key)
        if old is not None and old.audience == audience:
            return old
        version = self._put(audience.key, msgspec.json.encode(audience).decode(), False, at_ms)
        return SavedAudience(audience=audience, version=version, at_ms=at_ms)

    def delete(self, key: str, at_ms: int) -> None:
        """End an audience that no other one needs."""
        known = {other: each.audience for other, each in self.audiences().items()}
        if key not in known:
            raise UnknownAudienceError(f"There is no audience {key!r}")
        users = used_by(key, known)
        if users:
            raise AudienceInUseError(f"The audience {key!r} is needed by {', '.join(users)}")
        self._put(key, "", True, at_ms)

    def builds(self, key: str, *, limit: int = 100) -> list[Build]:
        """Give the builds of an audience, the newest first."""
        parameters = {"audience": key, "limit": limit}
        rows = self._client.query(sql("builds_of_audience"), parameters=parameters).result_rows
        names = Build.__struct_fields__
        return [msgspec.convert(dict(zip(names, row, strict=True)), Build) for row in rows]

    def _put(self, key: str, definition: str, deleted: bool, at_ms: int) -> int:
        last = self._client.query(sql("audience_last_version"), parameters={"key": key})
        version = int(last.result_rows[0][0]) + 1
        row = [key, version, definition, int(deleted), at_ms]
        columns = [[each] for each in row]
        self._client.insert("audiences", columns, column_names=COLUMNS, column_oriented=True)
        return version
