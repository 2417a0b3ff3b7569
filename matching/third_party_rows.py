"""Reads the rows of a file of traits: whom each names, by which name, and what it says.

Cells come in, names as they are stored and typed values go out; a row that cannot be read is kept
with its line and the reason. Whether anybody has the name is not asked here.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import msgspec

from matching.contact_hashes import Seal, contact_hash, crm_id_of, redact_json, redact_text
from matching.crm.rows import UNREADABLE, Row
from matching.crm.values import TraitType, TraitValue, is_blank, read_text, read_trait
from matching.other_ids import RULES, judged

THIRD_PARTY: Final = "third_party:"
CRM: Final = "crm"
"""The source of what a file says that names none: the company's own word."""
CRM_ID, PARTNER_ID = "crm_id", "partner_id"
CONTACT_SPACE: Final = {"email": "email_sha256", "phone": "phone_sha256"}
HASH_CHARS: Final = 64
SHOWN_CHARS_MAX: Final = 40

Refused = Callable[[str, str], bool]
"""Tells whether a name (kind, value as stored) was erased and not lifted."""


class TypedColumn(msgspec.Struct, frozen=True, kw_only=True):
    """A column whose trait is called otherwise, or is not what its values look like."""

    trait: str
    type: TraitType = TraitType.AUTO
    separator: str = ","


class TraitColumns(msgspec.Struct, frozen=True, kw_only=True):
    """What the columns of a file mean; those that name nobody are traits of their own name."""

    crm_id: str = CRM_ID
    contacts: dict[str, str] = msgspec.field(
        default_factory=lambda: {contact: contact for contact in CONTACT_SPACE}
    )
    """`email` or `phone` by column."""
    aliases: dict[str, str] = {}
    """Kind of alias by column."""
    partners: dict[str, str] = {}
    """Id space by partner, for rows that give `partner` and `id`."""
    typed: dict[str, TypedColumn] = {}
    never: frozenset[str] = frozenset()
    """Columns that are no traits, such as first names, which rest as hashes only."""


class NamedRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row: whom it names, and what it says."""

    line: int
    kind: str
    id_space: str = ""
    value: str
    shown: str
    source: str
    traits: dict[str, TraitValue | None]

    @property
    def name_of_tombstone(self) -> str:
        """The name as tombstones keep it, partners' ids with their space."""
        return f"{self.id_space}\0{self.value}" if self.kind == PARTNER_ID else self.value


class _Rejected(Exception):
    """A row that is not imported, and why."""


class TraitRows:
    """Reads rows one by one, gathering what was refused."""

    def __init__(
        self,
        columns: TraitColumns,
        *,
        seal: Seal,
        refused: Refused,
        source: str,
        computed: frozenset[str],
    ) -> None:
        self._columns = columns
        self._seal = seal
        self._refused = refused
        self._source = f"{THIRD_PARTY}{source}" if source else ""
        self._computed = computed
        self.rejects: list[tuple[int, str]] = []
        self._kinds = {
            columns.crm_id: CRM_ID,
            **columns.contacts,
            **columns.aliases,
            "id": PARTNER_ID,
        }
        """What names somebody, by column."""
        self._not_traits = {*self._kinds, "partner", "id_space"}

    def rows(self, rows: Iterable[Row]) -> Iterator[NamedRow]:
        """Give the good rows."""
        for line, row in rows:
            try:
                yield self._row(line, row)
            except _Rejected as rejected:
                self.rejects.append((line, str(rejected)))

    def _row(self, line: int, row: dict[str, Any]) -> NamedRow:
        if UNREADABLE in row:
            raise _Rejected(f"unreadable: {row[UNREADABLE]}")
        keys = [column for column in self._kinds if not is_blank(row.get(column))]
        if not keys:
            known = ", ".join(self._kinds)
            raise _Rejected(f"names nobody: give one of {known} (an id with partner or id_space)")
        if len(keys) > 1:
            raise _Rejected(f"names somebody twice, by {' and '.join(keys)}; leave one blank")
        (column,) = keys
        text = _read(column, read_text, row[column])
        named = self._named_by(column, text, row)
        found = NamedRow(line=line, traits=self._traits(row), **named)
        if self._refused(found.kind, found.name_of_tombstone):
            raise _Rejected("erased: this person asked to be forgotten; lift it first")
        return found

    def _named_by(self, column: str, text: str, row: dict[str, Any]) -> dict[str, str]:
        kind = self._kinds[column]
        if kind == PARTNER_ID:
            return self._by_partner_id(text, row)
        shown = f"{column} {text[:SHOWN_CHARS_MAX]!r}"
        source = self._source or CRM
        if kind in CONTACT_SPACE:
            # Why no browsers for our own word: what the CRM says is of its customers.
            space = CONTACT_SPACE[kind] if self._source else ""
            value = self._seal(_hash(kind, column, text))
            shown = column
        else:
            space = ""
            stored = crm_id_of if kind == CRM_ID else redact_text
            value = stored(text, self._seal)
        return {"kind": kind, "id_space": space, "value": value, "shown": shown, "source": source}

    def _by_partner_id(self, text: str, row: dict[str, Any]) -> dict[str, str]:
        spoken, space = self._space_of(row)
        shown = f"id {text[:SHOWN_CHARS_MAX]!r} of {space}"
        contact = next((kind for kind, each in CONTACT_SPACE.items() if each == space), "")
        if contact:
            text, shown = self._seal(_hash(contact, "id", text)), f"id of {space}"
        elif space in RULES:
            text = judged(space, text).id or text
        return {
            "kind": contact or PARTNER_ID,
            "id_space": space,
            "value": text,
            "shown": shown,
            "source": self._source or f"{THIRD_PARTY}{spoken}",
        }

    def _space_of(self, row: dict[str, Any]) -> tuple[str, str]:
        """Give who speaks, and the space in which the id is valid."""
        given = {
            name: _read(name, read_text, row[name])
            for name in ("partner", "id_space")
            if not is_blank(row.get(name))
        }
        partner, space = given.get("partner", ""), given.get("id_space", "")
        if partner and partner not in self._columns.partners:
            known = ", ".join(sorted(self._columns.partners))
            raise _Rejected(f"unknown partner {partner[:SHOWN_CHARS_MAX]!r}; there are {known}")
        space = space or self._columns.partners.get(partner, "")
        if not space:
            raise _Rejected("an id without partner or id_space: many partners may give the same id")
        return partner or space, space

    def _traits(self, row: dict[str, Any]) -> dict[str, TraitValue | None]:
        traits: dict[str, TraitValue | None] = {}
        for column, given in row.items():
            if column in self._not_traits or not column:
                continue
            if column in self._columns.never and not is_blank(given):
                raise _Rejected(f"{column} is no trait; `import customers` takes it")
            wanted = self._columns.typed.get(column) or TypedColumn(trait=column)
            if wanted.trait in self._computed:
                raise _Rejected(f"trait {wanted.trait!r} is computed and cannot be imported")
            # Why: contacts hide in columns of other names, and rest as sealed hashes only.
            ((_, value),) = redact_json({column: given}, self._seal).items()
            traits[wanted.trait] = None if is_blank(value) else _trait(column, wanted, value)
        if not traits:
            raise _Rejected("says nothing: there is no column of a trait")
        return traits


def _trait(column: str, wanted: TypedColumn, value: Any) -> TraitValue:
    try:
        return read_trait(value, wanted.type, separator=wanted.separator)
    except ValueError as error:
        raise _Rejected(f"unreadable {column}: {error}") from error


def _read(column: str, read: Callable[[Any], str], value: Any) -> str:
    try:
        return read(value)
    except ValueError as error:
        raise _Rejected(f"unreadable {column}: {error}") from error


def _hash(kind: str, column: str, text: str) -> str:
    """Take a ready SHA-256 as it is, and hash an address or number as the tag does."""
    if len(text) == HASH_CHARS and not set(text.lower()) - set("0123456789abcdef"):
        return text.lower()
    try:
        return contact_hash(kind, text)
    except ValueError:
        raise _Rejected(f"{column} is neither a readable {kind} nor 64 hex digits") from None
