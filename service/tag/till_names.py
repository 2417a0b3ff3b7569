"""Whom a till means: aliases such as a loyalty card, given in a message's `context.externalIds`.

Messages and the kinds of aliases come in, names as they are stored go out. Who has them, the caller
knows.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol

import msgspec

from matching.contact_hashes import redact_text
from service.tag.messages import Message

TillName = tuple[str, str]
"""The kind of an alias, and the alias as it is stored."""


class Aliases(Protocol):
    """Whoever knows the aliases of customers."""

    @property
    def kinds(self) -> Iterable[str]:
        """The kinds of aliases that there are."""
        ...

    def crm_ids_of(self, kind: str, aliases: Iterable[str]) -> Mapping[str, str]:
        """Give the CRM id, as it is stored, of those who have one of these aliases."""
        ...


class _ExternalId(msgspec.Struct):
    id: str | int | None = None
    type: str | None = None


class _Context(msgspec.Struct, rename="camel"):
    external_ids: list[_ExternalId] | None = None


_decoder: Final = msgspec.json.Decoder(_Context | None)


class NoAliases:
    """Knows none, as an installation whose CRM has none."""

    kinds: Iterable[str] = ()

    def crm_ids_of(self, kind: str, aliases: Iterable[str]) -> Mapping[str, str]:  # noqa: ARG002
        """Give nobody."""
        return {}


def till_names(
    message: Message, kinds: Iterable[str], seal: Callable[[str], str]
) -> list[TillName]:
    """Give the aliases that a message names, by the kinds that customers have."""
    if not names_others(message):
        return []
    known = {kind.lower(): kind for kind in kinds}
    try:
        context = _decoder.decode(bytes(message.raw_context))
    except (msgspec.MsgspecError, RecursionError):
        return []
    given = (context.external_ids or []) if context else []
    return [
        (known[kind], redact_text(str(each.id).strip(), seal))
        for each in given
        if (kind := (each.type or "").lower()) in known and each.id not in {None, ""}
    ]


def names_others(message: Message) -> bool:
    """Tell whether a message gives ids beside its own two."""
    return b"externalIds" in bytes(message.raw_context)


def crm_ids_of(names: Iterable[TillName], aliases: Aliases) -> dict[TillName, str]:
    """Ask for many names at once, kind by kind."""
    by_kind: dict[str, list[str]] = {}
    for kind, alias in names:
        by_kind.setdefault(kind, []).append(alias)
    return {
        (kind, alias): crm_id
        for kind, some in by_kind.items()
        for alias, crm_id in aliases.crm_ids_of(kind, some).items()
    }
