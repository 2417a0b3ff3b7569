"""From rows of a file of traits to what is said of people: of whom, what, and by whom.

Each row names one person by one name that is known already: a CRM id, a contact, an alias or a
partner's id. A row is taken whole or refused with its line and a reason; nobody is made by it.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final, Protocol

import msgspec

from matching.contact_hashes import Seal
from matching.crm.rows import Row
from matching.crm.values import TraitValue
from matching.partner_facts import VISITORS_PER_ID_MAX
from matching.third_party_rows import PARTNER_ID, NamedRow, Refused, TraitColumns, TraitRows

ROWS_PER_BATCH: Final = 5_000


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """One trait of one person, as a source says it; None takes it away."""

    holder: int
    trait: str
    value: TraitValue | None
    source: str


class Names(Protocol):
    """Whoever knows the names of people."""

    def customers_of(self, kind: str, values: Iterable[str]) -> Mapping[str, int]:
        """Give the customers who have these names of one kind."""
        ...

    def visitors_of(self, id_space: str, ids: Iterable[str]) -> Mapping[str, tuple[int, ...]]:
        """Give the visitors who carry these ids of one space."""
        ...


class TraitReport(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the rows; `unknown` are those refused because nobody has their name."""

    rows: int
    imported: int
    unknown: int
    traits: int
    rejects: list[tuple[int, str]]


def import_traits(
    rows: Iterable[Row],
    columns: TraitColumns,
    *,
    names: Names,
    store: Callable[[Sequence[Said]], int],
    seal: Seal,
    refused: Refused,
    source: str = "",
    computed: frozenset[str] = frozenset(),
) -> TraitReport:
    """Import every good row; without `source` partners' ids speak for the partner, all else for us.

    `computed` are the traits that no file may write.
    """
    reading = TraitRows(columns, seal=seal, refused=refused, source=source, computed=computed)
    named = reading.rows(rows)
    imported = unknown = written = 0
    while batch := list(islice(named, ROWS_PER_BATCH)):
        said: list[Said] = []
        for row, holders, why in _found(batch, names):
            if why:
                reading.rejects.append((row.line, why))
                unknown += not holders
                continue
            imported += 1
            said += [
                Said(holder=holder, trait=trait, value=value, source=row.source)
                for holder in holders
                for trait, value in row.traits.items()
            ]
        written += store(_last_words(said))
    rejects = sorted(reading.rejects)
    return TraitReport(
        rows=imported + len(rejects),
        imported=imported,
        unknown=unknown,
        traits=written,
        rejects=rejects,
    )


def _found(
    batch: Sequence[NamedRow], names: Names
) -> Iterator[tuple[NamedRow, tuple[int, ...], str]]:
    """Find the holders of each row, or say why there are none that can be meant."""
    asked: defaultdict[str, list[str]] = defaultdict(list)
    for row in batch:
        if row.kind != PARTNER_ID:
            asked[row.kind].append(row.value)
    customers = {kind: names.customers_of(kind, values) for kind, values in asked.items()}
    ids: defaultdict[str, list[str]] = defaultdict(list)
    for row in batch:
        if row.id_space and row.value not in customers.get(row.kind, ()):
            ids[row.id_space].append(row.value)
    visitors = {space: names.visitors_of(space, some) for space, some in ids.items()}
    for row in batch:
        customer = customers.get(row.kind, {}).get(row.value)
        holders = (customer,) if customer else visitors.get(row.id_space, {}).get(row.value, ())
        why = "" if holders else f"unknown: nobody is known by the {row.shown}"
        if len(holders) > VISITORS_PER_ID_MAX:
            why = f"shared: {len(holders)} browsers carry the {row.shown}, so it is nobody's"
        yield row, holders, why


def _last_words(said: Sequence[Said]) -> list[Said]:
    """Keep of what one source says of one person's trait what stands last."""
    return list({(each.holder, each.trait, each.source): each for each in said}.values())
