"""Audiences as YAML or JSON files: reads them, says what applying would change, and applies them.

A file holds one audience as the API takes it, with its `key` (else the file's name is the key).
Which traits, events and audiences there are is the server's to say.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from audiences.canonical import rule_hash
from audiences.rule import Audience, decode_audience, referenced_audiences
from audiences.rule_source import RuleError, plain_values
from service.api_client import ApiClient

SUFFIXES = frozenset({".yaml", ".yml", ".json"})
FIELDS = tuple(name for name in Audience.__struct_fields__ if name != "key")


class AudienceFileError(Exception):
    """A file that holds no audience; the message names it and says what to write."""


class AudienceFile(msgspec.Struct, frozen=True, kw_only=True):
    """One audience and the file that says it."""

    path: Path
    audience: Audience

    @property
    def key(self) -> str:
        """The audience's key."""
        return self.audience.key


class Change(StrEnum):
    """What applying a folder does to one audience."""

    NEW = "new"
    CHANGED = "changed"
    SAME = "same"
    NOT_IN_FOLDER = "not_in_folder"


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """One audience with what would happen to it, and the fields that differ."""

    key: str
    change: Change
    fields: list[str] = []


def read_audience(path: Path) -> AudienceFile:
    """Read one file; a bare rule (it has `type`) counts as an audience with this rule."""
    try:
        content = plain_values(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise AudienceFileError(
                f"{path}: holds {type(content).__name__}; write an audience with a rule"
            )
        if "type" in content:
            content = {"name": path.stem, "rule": content}
        key = str(content.get("key", path.stem))
        return AudienceFile(path=path, audience=decode_audience(content, key=key))
    except (OSError, UnicodeDecodeError, RuleError) as error:
        raise AudienceFileError(f"{path}: {error}") from error


def read_folder(folder: Path) -> list[AudienceFile]:
    """Read all audiences of a folder, each after those that it uses."""
    paths = sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES)
    if not paths:
        raise AudienceFileError(f"{folder}: holds no audience; put *.yaml or *.json files there")
    files: dict[str, AudienceFile] = {}
    for path in paths:
        file = read_audience(path)
        if file.key in files:
            raise AudienceFileError(f"{path}: key {file.key!r} is also in {files[file.key].path}")
        files[file.key] = file
    return _used_first(files)


def plan(files: Sequence[AudienceFile], existing: Sequence[Mapping[str, Any]]) -> list[Planned]:
    """Compare a folder with the audiences that the server has; nothing is ever deleted."""
    by_key = {str(audience["key"]): audience for audience in existing}
    planned = [_compare(file.audience, by_key.get(file.key)) for file in files]
    absent = sorted(by_key.keys() - {file.key for file in files})
    return planned + [Planned(key=key, change=Change.NOT_IN_FOLDER) for key in absent]


def put_audience(api: ApiClient, audience: Audience) -> None:
    """Create or replace one audience on the server; a lookalike is built at once."""
    fields = {name: value for name, value in plain(audience).items() if value is not None}
    twins = fields.pop("lookalike", None)
    if twins is None:
        api.put(f"/api/audiences/{audience.key}", fields)
    else:
        given = {name: value for name, value in twins.items() if value is not None}
        api.put(f"/api/lookalikes/{audience.key}", {"name": audience.name, **given})


def plain(audience: Audience) -> dict[str, Any]:
    """Give an audience as the JSON object that the API takes, without the key."""
    fields = msgspec.to_builtins(audience)
    return {name: fields[name] for name in FIELDS if name in fields}


def _used_first(files: Mapping[str, AudienceFile]) -> list[AudienceFile]:
    ordered: dict[str, AudienceFile] = {}

    def add(key: str, users: tuple[str, ...]) -> None:
        if key in users:
            circle = " -> ".join((*users, key))
            raise AudienceFileError(f"{files[key].path}: audiences use each other: {circle}")
        if key not in files or key in ordered:
            return
        for used in sorted(referenced_audiences(files[key].audience)):
            add(used, (*users, key))
        ordered[key] = files[key]

    for key in files:
        add(key, ())
    return list(ordered.values())


def _compare(wanted: Audience, existing: Mapping[str, Any] | None) -> Planned:
    if existing is None:
        return Planned(key=wanted.key, change=Change.NEW)
    given = {name: existing[name] for name in FIELDS if existing.get(name) is not None}
    found = decode_audience(given, key=wanted.key)
    fields = [name for name in FIELDS if not _says_the_same(name, wanted, found)]
    return Planned(key=wanted.key, change=Change.CHANGED if fields else Change.SAME, fields=fields)


def _says_the_same(name: str, wanted: Audience, found: Audience) -> bool:
    if name == "rule" and wanted.rule is not None and found.rule is not None:
        return rule_hash(wanted.rule) == rule_hash(found.rule)
    if name == "lookalike" and wanted.lookalike is not None and found.lookalike is not None:
        # Why not the bins: a file seldom names them, the server keeps those of when it was saved.
        edges = wanted.lookalike.edges and found.lookalike.edges
        return wanted.lookalike == msgspec.structs.replace(found.lookalike, edges=edges)
    return bool(getattr(wanted, name) == getattr(found, name))
