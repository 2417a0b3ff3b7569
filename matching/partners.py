"""Load the partners: known facts that ship with the house, overlaid by the operator's own files.

Comes in: `known_partners/KEY.toml` and `config/partners/KEY.toml`. Goes out: checked `Partner`
values, or every error of every file at once. Fires nothing and stores nothing.
"""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec

from matching.partner_checks import find_faults
from matching.partner_facts import (
    Direction,
    IdRules,
    Partner,
    RedirectPosition,
    Sync,
    TokenPlace,
    Transport,
)
from matching.partner_id_rules import IdStatus, check_partner_id
from matching.sync_url import callback_url, read_callback, sync_url

__all__ = [
    "Direction",
    "IdRules",
    "IdStatus",
    "Partner",
    "PartnerErrors",
    "RedirectPosition",
    "Sync",
    "TokenPlace",
    "Transport",
    "callback_url",
    "check_partner_id",
    "known_facts",
    "known_keys",
    "load_partners",
    "open_questions",
    "read_callback",
    "sync_url",
]

Table: TypeAlias = dict[str, Any]

ASK_FOR: Final = {
    "sync": "its cookie sync: URL, direction and where our callback goes",
    "url_template": "the URL that its sync pixel is fired at",
    "direction": "whether it keeps our id (out) or answers with its own (back)",
}


class PartnerErrors(Exception):
    """What is wrong in the partners' files, each as "path: message - at `$.field`"."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors


def load_partners(config_dir: Path) -> list[Partner]:
    """Read every partner the operator has a file for, switched on or not, ordered by key."""
    partners: list[Partner] = []
    errors: list[str] = []
    for path in sorted((config_dir / "partners").glob("*.toml")):
        try:
            partners.append(_read_partner(path))
        except PartnerErrors as wrong:
            errors += [f"{path}: {message}" for message in wrong.errors]
    if errors:
        raise PartnerErrors(errors)
    return partners


def open_questions(partners: Iterable[Partner]) -> list[str]:
    """Say what the operator still has to ask each partner for, a line for each question."""
    return [
        f"{partner.key}: ask {partner.name} for {question}"
        for partner in partners
        for question in partner.questions.values()
    ]


def known_keys() -> list[str]:
    """List the partners whose facts ship with the house."""
    folder = files("matching").joinpath("known_partners")
    return sorted(file.name[:-5] for file in folder.iterdir() if file.name.endswith(".toml"))


def known_facts(key: str) -> Table:
    """Read what ships about one partner; empty when nothing does."""
    if key not in known_keys():
        return {}
    file = files("matching").joinpath("known_partners", f"{key}.toml")
    return tomllib.loads(file.read_text(encoding="utf-8"))


def _read_partner(path: Path) -> Partner:
    try:
        own = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as wrong:
        raise PartnerErrors([f"not a TOML file: {wrong} - at `$`"]) from wrong
    facts = _overlay(_base_of(own, path.stem), own)
    if facts.setdefault("key", path.stem) != path.stem:
        message = f"the key is {facts['key']!r}, the file is {path.stem!r}; make them the same"
        raise PartnerErrors([f"{message} - at `$.key`"])
    try:
        partner = msgspec.convert(facts, Partner)
    except msgspec.ValidationError:
        raise PartnerErrors(list(_type_errors(facts, Partner))) from None
    faults = find_faults(partner)
    if faults:
        raise PartnerErrors([f"{fault.message} - at `$.{fault.field}`" for fault in faults])
    return partner


def _base_of(own: Table, stem: str) -> Table:
    based_on = own.get("based_on", "")
    base = known_facts(based_on or stem)
    if based_on and not base:
        known = ", ".join(known_keys())
        message = f"no known partner {based_on!r}; known are {known}"
        raise PartnerErrors([f"{message} - at `$.based_on`"])
    base.pop("key", None)
    return base


def _overlay(base: Mapping[str, Any], own: Mapping[str, Any]) -> Table:
    merged = dict(base)
    for name, value in own.items():
        under = merged.get(name)
        if isinstance(under, dict) and isinstance(value, dict):
            merged[name] = _overlay(under, value)
        else:
            merged[name] = value
    return merged


def _type_errors(facts: Table, kind: type[msgspec.Struct], at: str = "$") -> Iterator[str]:
    """Convert fact by fact, so that one wrong fact does not hide the next."""
    known = {each.name: each for each in msgspec.structs.fields(kind)}
    for name, value in facts.items():
        where = f"{at}.{name}"
        if name not in known:
            yield f"unknown fact - at `{where}`"
        elif isinstance(value, dict) and _is_table(known[name].type):
            yield from _type_errors(value, known[name].type, where)
        else:
            yield from _type_error(value, known[name].type, where)
    for name, each in known.items():
        if each.required and name not in facts:
            question = f"; ask the partner for {ASK_FOR[name]}" if name in ASK_FOR else ""
            yield f"missing{question} - at `{at}.{name}`"


def _type_error(value: Any, kind: Any, where: str) -> Iterator[str]:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as wrong:
        message, _, inside = str(wrong).partition(" - at `$")
        yield f"{message} - at `{where}{inside or '`'}"


def _is_table(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)
