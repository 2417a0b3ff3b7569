"""From rows of a CRM file to customers: what the columns mean comes in, a report goes out.

A row is taken whole or refused with its line and a reason. Contacts are hashed and sealed before
they are stored; which names were erased, the caller knows.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final, Protocol, TypeVar

import msgspec

from matching.contact_hashes import Seal, contact_hash, redact_json, redact_text
from matching.crm_rows import UNREADABLE, CrmFileError, CrmFormat, Row, read_rows
from matching.crm_values import (
    TraitType,
    TraitValue,
    is_blank,
    read_boolean,
    read_text,
    read_trait,
)
from matching.customer_store import CustomerName, CustomerStore
from matching.customer_traits_store import CustomerTrait
from matching.identification import is_blocked

__all__ = [
    "CrmColumns",
    "CrmFileError",
    "CrmFormat",
    "ImportReport",
    "TraitColumn",
    "TraitType",
    "TraitWriter",
    "import_customers",
    "read_rows",
]

SOURCE: Final = "crm"
ROWS_PER_BATCH: Final = 5_000
CONTACTS: Final = ("email", "phone")
RESERVED_KINDS: Final = frozenset(
    {"crm_id", *CONTACTS, "opt_in", "erased", "visitor", "partner_id"}
)

_Value = TypeVar("_Value")

Refused = Callable[[str, str], bool]
"""Tells whether a name (kind, value as stored) was erased and not lifted."""


class TraitColumn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a trait stands and what it is; `separator` parts the members of a set."""

    column: str
    type: TraitType = TraitType.AUTO
    separator: str = ","


class CrmColumns(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the columns of a CRM file mean; without `traits` every other column is one."""

    crm_id: str = "crm_id"
    aliases: dict[str, str] = {}
    """Column by kind, such as `loyalty_card = "card number"`."""
    email: str = "email"
    phone: str = "phone"
    calling_code: str = ""
    """Country code of phone numbers that are written without one, such as `33`."""
    opt_in: str = "opt_in"
    traits: dict[str, TraitColumn] | None = None

    def __post_init__(self) -> None:
        if taken := sorted(RESERVED_KINDS & self.aliases.keys()):
            raise ValueError(f"alias {taken[0]!r} is a name of ours; call it otherwise")

    def trait_columns(self, row: dict[str, Any]) -> dict[str, TraitColumn]:
        """Give the traits that may stand in this row, by name."""
        if self.traits is not None:
            return self.traits
        others = {self.crm_id, self.email, self.phone, self.opt_in, *self.aliases.values()}
        return {name: TraitColumn(column=name) for name in row if name not in others and name}


class TraitWriter(Protocol):
    """Whoever stores traits."""

    def put_traits(self, rows: Sequence[CustomerTrait]) -> int:
        """Store traits and count them."""
        ...


class ImportReport(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the rows; a warning is about a row that was imported nonetheless."""

    rows: int
    imported: int
    new_customers: int
    traits: int
    rejects: list[tuple[int, str]]
    warnings: list[tuple[int, str]]


class _Person(msgspec.Struct, kw_only=True):
    """One row as it will be stored; a value of None takes a trait away."""

    crm_id: str
    names: list[tuple[str, str]]
    traits: dict[str, TraitValue | None]


class _Rejected(Exception):
    """A row that is not imported, and why."""


def import_customers(
    rows: Iterable[Row],
    columns: CrmColumns,
    *,
    customers: CustomerStore,
    traits: TraitWriter,
    seal: Seal,
    refused: Refused,
    now_ms: int,
    computed: frozenset[str] = frozenset(),
) -> ImportReport:
    """Import every good row; `computed` are the traits that no file may write."""
    reading = _Reading(columns, seal=seal, refused=refused, computed=computed)
    persons = reading.persons(rows)
    imported = new_customers = written = 0
    while batch := list(islice(persons, ROWS_PER_BATCH)):
        new, values = _store(batch, customers, traits, now_ms)
        imported += len(batch)
        new_customers += new
        written += values
    return ImportReport(
        rows=imported + len(reading.rejects),
        imported=imported,
        new_customers=new_customers,
        traits=written,
        rejects=reading.rejects,
        warnings=reading.warnings,
    )


class _Reading:
    """Reads rows one by one, gathering what was refused."""

    def __init__(
        self, columns: CrmColumns, *, seal: Seal, refused: Refused, computed: frozenset[str]
    ) -> None:
        self._columns = columns
        self._seal = seal
        self._refused = refused
        self._computed = computed
        self._seen: set[str] = set()
        self.rejects: list[tuple[int, str]] = []
        self.warnings: list[tuple[int, str]] = []

    def persons(self, rows: Iterable[Row]) -> Iterator[_Person]:
        """Give the persons of good rows."""
        for line, row in rows:
            try:
                yield self._person(line, row)
            except _Rejected as rejected:
                self.rejects.append((line, str(rejected)))

    def _person(self, line: int, row: dict[str, Any]) -> _Person:
        if UNREADABLE in row:
            raise _Rejected(f"unreadable: {row[UNREADABLE]}")
        crm_id = self._crm_id(row)
        names = [*self._aliases(row), *self._contacts(line, row)]
        if any(self._refused(kind, value) for kind, value in (("crm_id", crm_id), *names)):
            raise _Rejected("erased: this person asked to be forgotten; lift it first")
        person = _Person(
            crm_id=crm_id, names=[*names, *self._opt_in(row)], traits=self._traits(row)
        )
        # Why last: a good row after a refused one of the same customer is no duplicate.
        if crm_id in self._seen:
            raise _Rejected("duplicate: this customer stands in an earlier row")
        self._seen.add(crm_id)
        return person

    def _crm_id(self, row: dict[str, Any]) -> str:
        value = row.get(self._columns.crm_id)
        if is_blank(value):
            raise _Rejected(f"missing {self._columns.crm_id}")
        text = _read(self._columns.crm_id, read_text, value)
        if is_blocked(text):
            raise _Rejected(f"{self._columns.crm_id} {text[:40]!r} names nobody")
        # Why: the tag redacts ids that are addresses too, and both must be the same customer.
        return redact_text(text, self._seal)

    def _aliases(self, row: dict[str, Any]) -> Iterator[tuple[str, str]]:
        for kind, column in self._columns.aliases.items():
            value = row.get(column)
            if not is_blank(value):
                yield kind, redact_text(_read(column, read_text, value), self._seal)

    def _contacts(self, line: int, row: dict[str, Any]) -> Iterator[tuple[str, str]]:
        for kind in CONTACTS:
            column: str = getattr(self._columns, kind)
            value = row.get(column)
            if is_blank(value):
                continue
            text = _read(column, read_text, value)
            try:
                hashed = contact_hash(kind, text, calling_code=self._columns.calling_code)
            except ValueError:
                self.warnings.append((line, f"{column} left out: not a readable {kind}"))
                continue
            yield kind, self._seal(hashed)

    def _opt_in(self, row: dict[str, Any]) -> list[tuple[str, str]]:
        value = row.get(self._columns.opt_in)
        if is_blank(value):
            return []
        yes = _read(self._columns.opt_in, read_boolean, value)
        return [("opt_in", "1" if yes else "0")]

    def _traits(self, row: dict[str, Any]) -> dict[str, TraitValue | None]:
        traits: dict[str, TraitValue | None] = {}
        for name, wanted in self._columns.trait_columns(row).items():
            if wanted.column not in row:
                continue
            if name in self._computed:
                raise _Rejected(f"trait {name!r} is computed and cannot be imported")
            # Why: contacts hide in columns of other names, and rest as sealed hashes only.
            ((_, value),) = redact_json({wanted.column: row[wanted.column]}, self._seal).items()
            traits[name] = None if is_blank(value) else _trait(wanted, value)
        return traits


def _trait(wanted: TraitColumn, value: Any) -> TraitValue:
    def read(each: Any) -> TraitValue:
        return read_trait(each, wanted.type, separator=wanted.separator)

    return _read(wanted.column, read, value)


def _read(column: str, read: Callable[[Any], _Value], value: Any) -> _Value:
    try:
        return read(value)
    except ValueError as error:
        raise _Rejected(f"unreadable {column}: {error}") from error


def _store(
    batch: Sequence[_Person], customers: CustomerStore, traits: TraitWriter, now_ms: int
) -> tuple[int, int]:
    """Store a batch: ordinals, then names, then traits; count new customers and values."""
    crm_ids = [person.crm_id for person in batch]
    known = customers.find_customers(crm_ids).tolist()
    ordinals = customers.customer_ordinals(crm_ids, source=SOURCE, at_ms=now_ms).tolist()
    customers.put_names(
        [
            CustomerName(customer=customer, kind=kind, value=value, source=SOURCE, at_ms=now_ms)
            for customer, person in zip(ordinals, batch, strict=True)
            for kind, value in person.names
        ]
    )
    rows = [
        CustomerTrait(
            customer=customer,
            trait=name,
            kind=value.kind if value else "",
            text=value.text if value else "",
            number=value.number if value else 0.0,
            source=SOURCE,
            at_ms=now_ms,
        )
        for customer, was, person in zip(ordinals, known, batch, strict=True)
        for name, value in person.traits.items()
        if value or was  # a new customer has nothing to be taken away
    ]
    traits.put_traits(rows)
    return known.count(0), sum(1 for row in rows if row.kind)
