"""Traits from a file: whose they are by any of their names, by whose word, and what is refused."""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any

import pytest

from matching.contact_hashes import contact_hash, seal
from matching.crm.values import TraitType
from matching.customer_store import CustomerName, CustomerStore
from matching.ids import VISITOR_FIRST
from matching.known_names_store import KnownNamesStore
from matching.partner_ids_store import PartnerIdColumns, PartnerIdsStore
from matching.third_party_rows import TraitColumns, TypedColumn
from matching.third_party_store import ThirdPartyStore, ThirdPartyTrait
from matching.third_party_traits import Said, TraitReport, import_traits

pytestmark = [pytest.mark.clickhouse, pytest.mark.embedded]

NOW_MS = 1_795_000_000_000
KEY = bytes(64)
ADDRESS = "paul@example.com"
HASHED = sha256(ADDRESS.encode()).hexdigest()
PAUL, OTHER = 1, 2
FIRST, SECOND, LINKED, *CROWD = range(VISITOR_FIRST, VISITOR_FIRST + 9)
COLUMNS = TraitColumns(
    aliases={"loyalty_card": "loyalty_card", "card number": "loyalty_card"},
    partners={"xandr": "xandr", "adform": "adform"},
    never=frozenset({"crm_id", "loyalty_card", "first_name"}),
    typed={"since": TypedColumn(trait="customer_since", type=TraitType.DATE)},
)


def sealed(hash_hex: str) -> str:
    return seal(hash_hex, KEY)


class Desk:
    """Two customers with names, and browsers that partners know."""

    def __init__(self, database: Any) -> None:
        client = database.client()
        self.customers = CustomerStore(client)
        self.partner_ids = PartnerIdsStore(client)
        self.third_party = ThirdPartyStore(client)
        self.names = KnownNamesStore(client)
        self.erased: set[tuple[str, str]] = set()
        self.own: list[Said] = []
        self.customers.customer_ordinals(["123456", "777"], source="crm", at_ms=NOW_MS)
        self.customers.put_names(
            [
                CustomerName(customer=who, kind=kind, value=value, source="crm", at_ms=NOW_MS)
                for who, kind, value in (
                    (PAUL, "email", sealed(HASHED)),
                    (PAUL, "loyalty_card", "L-1"),
                    (OTHER, "loyalty_card", "L-2"),
                )
            ]
        )
        self.knows(FIRST, "xandr", "X7")
        self.knows(SECOND, "adform", "X7")
        self.knows(LINKED, "xandr", "old")
        self.knows(LINKED, "xandr", "new", later=1)
        for visitor in CROWD:
            self.knows(visitor, "xandr", "crowd")
        self.knows(SECOND, "email_sha256", sealed(contact_hash("email", "anna@example.com")))

    def knows(self, visitor: int, space: str, text: str, *, later: int = 0) -> None:
        """Let a partner know a browser by an id."""
        self.partner_ids.insert(
            PartnerIdColumns(
                chunk=[1],
                row=[0],
                received_at_ms=[NOW_MS + later],
                partner=[space],
                id_space=[space],
                action=["stored"],
                reason=[""],
                nonce=[1],
                visitor=[visitor],
                id=[text],
                id_ordinal=self.partner_ids.id_ordinals(space, [text]),
                source=["sync"],
            )
        )

    def imports(self, *rows: dict[str, Any], source: str = "", at_ms: int = NOW_MS) -> TraitReport:
        """Import rows; lines are counted from 1."""
        return import_traits(
            enumerate(rows, start=1),
            COLUMNS,
            names=self,
            store=lambda said: self._store(said, at_ms),
            seal=sealed,
            refused=lambda kind, value: (kind, value) in self.erased,
            source=source,
            computed=frozenset({"rfm_segment"}),
        )

    def customers_of(self, kind: str, values: Iterable[str]) -> dict[str, int]:
        """Look names up as the service does."""
        if kind != "crm_id":
            return self.names.customers_of(kind, values)
        asked = list(values)
        found = self.customers.find_customers(asked).tolist()
        return {crm_id: each for crm_id, each in zip(asked, found, strict=True) if each}

    def visitors_of(self, id_space: str, ids: Iterable[str]) -> dict[str, tuple[int, ...]]:
        """Look ids up."""
        return self.names.visitors_of(id_space, ids)

    def told(self, *holders: int) -> list[tuple[int, str, str, object]]:
        """Give what third parties say of these people."""
        found = self.third_party.traits_of(holders)
        return [(each.holder, each.source, each.trait, each.plain) for each in found]

    def _store(self, said: Sequence[Said], at_ms: int) -> int:
        self.own += [each for each in said if each.source == "crm"]
        rows = [
            ThirdPartyTrait(
                holder=each.holder,
                trait=each.trait,
                source=each.source,
                kind=each.value.kind if each.value else "",
                text=each.value.text if each.value else "",
                number=each.value.number if each.value else 0.0,
                at_ms=at_ms,
            )
            for each in said
            if each.source != "crm"
        ]
        return self.third_party.insert(rows)


@pytest.fixture
def desk(database: Any) -> Desk:
    """Give a desk with its people."""
    return Desk(database)


NAMED: dict[str, tuple[dict[str, Any], int]] = {
    "a CRM id": ({"crm_id": "123456"}, PAUL),
    "a CRM id as number": ({"crm_id": 123456}, PAUL),
    "an address": ({"email": " Paul@Example.COM "}, PAUL),
    "a hashed address": ({"email": HASHED}, PAUL),
    "a hashed address in capitals": ({"email": HASHED.upper()}, PAUL),
    "a hashed address as id": ({"id_space": "email_sha256", "id": HASHED}, PAUL),
    "an alias": ({"loyalty_card": "L-2"}, OTHER),
    "an alias by the CRM's column": ({"card number": "L-1"}, PAUL),
    "a partner's id": ({"partner": "xandr", "id": "X7"}, FIRST),
    "the same id of another partner": ({"partner": "adform", "id": "X7"}, SECOND),
    "an id and its space": ({"id_space": "xandr", "id": "X7"}, FIRST),
    "the id that came after": ({"partner": "xandr", "id": "new"}, LINKED),
    "an address that a browser named": ({"email": "anna@example.com"}, SECOND),
}


def test_a_row_names_one_person_by_any_name(desk: Desk) -> None:
    """What a third party says is kept under its name, for the person who has this one."""
    rows = [{**name, said: "yes"} for said, (name, _) in NAMED.items()]
    report = desk.imports(*rows, source="acme")
    assert report.rejects == []
    assert (report.imported, report.unknown, report.traits) == (len(NAMED), 0, len(NAMED))
    told = desk.told(PAUL, OTHER, FIRST, SECOND, LINKED, *CROWD)
    assert sorted(told) == sorted(
        (holder, "third_party:acme", said, "yes") for said, (_, holder) in NAMED.items()
    )


REFUSED: dict[str, tuple[dict[str, Any], str, bool]] = {
    "an unknown CRM id": ({"crm_id": "9"}, "unknown: nobody is known by the crm_id '9'", True),
    "an unknown address": ({"email": "who@example.com"}, "nobody is known by the email", True),
    "an unknown card": ({"loyalty_card": "L-9"}, "nobody is known by the loyalty_card", True),
    "an unknown id": ({"partner": "xandr", "id": "X9"}, "the id 'X9' of xandr", True),
    "an id that another came after": ({"partner": "xandr", "id": "old"}, "id 'old'", True),
    "an id of many": ({"partner": "xandr", "id": "crowd"}, "shared: 6 browsers", False),
    "an unknown partner": ({"partner": "who", "id": "X7"}, "unknown partner 'who'", False),
    "an id of nobody's space": ({"id": "X7"}, "without partner or id_space", False),
    "no name": ({"partner": "xandr"}, "names nobody", False),
    "two names": ({"crm_id": "1", "email": ADDRESS}, "by crm_id and email", False),
    "no address": ({"email": "paul"}, "neither a readable email nor 64 hex digits", False),
    "a computed trait": ({"crm_id": "123456", "rfm_segment": "x"}, "is computed", False),
    "a first name": ({"crm_id": "123456", "first_name": "Paul"}, "is no trait", False),
    "no date": ({"crm_id": "123456", "since": "soon"}, "unreadable since", False),
    "an erased card": ({"loyalty_card": "erased"}, "erased", False),
    "an erased id": ({"partner": "xandr", "id": "erased"}, "erased", False),
}


def test_a_row_that_names_nobody_is_refused_with_its_line(desk: Desk) -> None:
    """The rows around it are taken; those of whom nobody knows are counted."""
    desk.erased = {("loyalty_card", "erased"), ("partner_id", "xandr\0erased")}
    good = {"crm_id": "123456", "income": "high"}
    rows = [each for row, _, _ in REFUSED.values() for each in ({"income": "low", **row}, good)]
    report = desk.imports(*rows, source="acme")
    assert (report.rows, report.imported) == (len(rows), len(REFUSED))
    assert report.unknown == sum(unknown for _, _, unknown in REFUSED.values())
    assert [line for line, _ in report.rejects] == list(range(1, len(rows), 2))
    for (_, found), (_, reason, _) in zip(report.rejects, REFUSED.values(), strict=True):
        assert reason in found
    assert desk.told(PAUL) == [(PAUL, "third_party:acme", "income", "high")]


def test_without_a_source_it_is_the_company_s_own_word(desk: Desk) -> None:
    """By a customer's name it is the CRM's; a partner's id speaks for the partner."""
    desk.imports(
        {"crm_id": "123456", "age": 26},
        {"loyalty_card": "L-2", "since": "2020-05-06"},
        {"partner": "xandr", "id": "X7", "income": "high"},
    )
    own = [(each.holder, each.trait, each.value and each.value.kind) for each in desk.own]
    assert own == [(PAUL, "age", "number"), (OTHER, "customer_since", "date")]
    assert desk.told(FIRST) == [(FIRST, "third_party:xandr", "income", "high")]


def test_each_source_keeps_its_own_word(desk: Desk) -> None:
    """A newer row replaces what the same source said, a blank takes that away, no other's."""
    desk.imports({"crm_id": "123456", "income": "high"}, source="acme")
    desk.imports({"crm_id": "123456", "income": "low"}, source="panel", at_ms=NOW_MS + 1)
    desk.imports(
        {"crm_id": "123456", "income": "?"}, {"crm_id": "123456", "income": "middle"}, source="acme"
    )
    assert desk.told(PAUL) == [
        (PAUL, "third_party:panel", "income", "low"),
        (PAUL, "third_party:acme", "income", "middle"),
    ]
    desk.imports({"crm_id": "123456", "income": " "}, source="panel", at_ms=NOW_MS + 2)
    assert desk.told(PAUL) == [(PAUL, "third_party:acme", "income", "middle")]


def test_no_contact_rests_in_clear(desk: Desk) -> None:
    """An address in a column of another name is sealed as everywhere."""
    desk.imports({"email": HASHED, "note": f"ask {ADDRESS}"}, source="acme")
    ((_, _, _, note),) = desk.told(PAUL)
    assert note == f"ask contact:{sealed(HASHED)}"


def test_erasing_a_person_takes_what_others_said(desk: Desk) -> None:
    """Of customers and of browsers alike; what is said of others stays."""
    desk.imports(
        {"crm_id": "123456", "income": "high"},
        {"partner": "xandr", "id": "X7", "income": "low"},
        {"crm_id": "777", "income": "low"},
        source="acme",
    )
    desk.third_party.erase([PAUL, FIRST])
    assert desk.told(PAUL, FIRST, OTHER) == [(OTHER, "third_party:acme", "income", "low")]


def test_many_names_are_asked_for_in_pieces(desk: Desk) -> None:
    """More names than one question takes are found all the same."""
    texts = [f"{'x' * 200}{number}" for number in range(1_000)]
    desk.customers.put_names(
        [
            CustomerName(
                customer=1 + place % 2,
                kind="loyalty_card",
                value=text,
                source=f"file {place}",
                at_ms=NOW_MS,
            )
            for place, text in enumerate(texts)
        ]
    )
    found = desk.names.customers_of("loyalty_card", [*texts, "nobody's"])
    assert found == {text: 1 + place % 2 for place, text in enumerate(texts)}
