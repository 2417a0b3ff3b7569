"""The CRM's next file: only what changed is stored, and what is no longer said is gone."""

from collections.abc import Callable
from hashlib import md5, sha256
from typing import Any

import msgspec
import pytest

from matching.contact_hashes import open_sealed, seal
from matching.contact_ids_store import ContactIdsStore
from matching.contact_profiles import open_form
from matching.crm.aliases import AliasConflict
from matching.crm.missing import Missing
from matching.crm_import import CrmColumns, CrmFileError, CrmImport, ImportReport, read_batches
from matching.customer_store import CustomerStore, CustomerTrait
from matching.partner_ids_store import PartnerIdsStore
from matching.sealing import Sealer

pytestmark = [pytest.mark.clickhouse, pytest.mark.embedded]

KEY = bytes(range(64))
COLUMNS = msgspec.toml.decode(
    """
    email = ["email", "work_email"]
    country = "country"
    calling_code = "33"
    first_name = "first"
    last_name = "last"
    postal_code = "zip"
    birth_date = "born"
    ad_user_data = "ads"
    ad_personalization = "personal"
    [aliases]
    card = "card"
    [hashed]
    email_uid2 = "uid2"
    email_sha256 = "sha"
    [traits]
    age = {column = "age", type = "number"}
    city = {column = "city", type = "text"}
    """,
    type=CrmColumns,
)
TABLES = ("customers", "contact_forms", "crm_rows", "customer_traits")


def digest(text: str) -> str:
    """Hash a text as hex."""
    return sha256(text.encode()).hexdigest()


class Crm:
    """A CRM whose files are imported one after the other, a second apart."""

    def __init__(self, client_of: Callable[[], Any]) -> None:
        self.client = client_of()
        self.customers = CustomerStore(client_of())
        self.customers.open()
        self.partner_ids = PartnerIdsStore(client_of())
        self.contacts = ContactIdsStore(client_of(), self.partner_ids)
        self.erased: set[tuple[str, str]] = set()
        self.now_ms = 1_700_000_000_000

    def begins(self, **rest: Any) -> CrmImport:
        """Begin an import."""
        self.now_ms += 1000
        return CrmImport(
            rest.pop("columns", COLUMNS),
            customers=self.customers,
            seal=lambda hash_hex: seal(hash_hex, KEY),
            seal_all=Sealer(KEY).seal_all,
            refused=lambda kind, value: (kind, value) in self.erased,
            at_ms=self.now_ms,
            **rest,
        )

    def imports(
        self,
        *parts: str | bytes,
        kind: str = "csv",
        delete_missing: bool = False,
        force: bool = False,
        **rest: Any,
    ) -> ImportReport:
        """Import the parts of one file."""
        running = self.begins(**rest)
        for part in parts:
            data = part.encode() if isinstance(part, str) else part
            for batch in read_batches(data, kind, 3):
                running.take(batch)
        return running.finish(delete_missing=delete_missing, force=force)

    def rows(self) -> dict[str, list[Any]]:
        """Give every table as it is after all merges."""
        for table in TABLES:
            self.client.command(f"optimize table {table} final")
        return {
            table: self.client.query(f"select * from {table} order by all").result_rows  # noqa: S608
            for table in TABLES
        }

    def names(self, crm_id: str) -> dict[str, set[str]]:
        """Give a customer's names by kind, contacts opened."""
        (customer,) = self.customers.find_customers([crm_id]).tolist()
        found: dict[str, set[str]] = {}
        for name in self.customers.names(customer):
            is_contact = name.kind in ("email", "phone")
            space = f"{name.kind}_sha256"
            value = open_form(space, name.value, KEY) if is_contact else name.value
            found.setdefault(name.kind, set()).add(value)
        return found

    def seat(self, space: str) -> set[tuple[str, str]]:
        """Give (CRM id, id as it is sent) of everybody whom a seat of this id space would get."""
        self.now_ms += 1000
        self.contacts.complete(at_ms=self.now_ms, spaces=[space, "xandr"])
        live = self.contacts.live(space)
        crm_ids = self.customers.crm_ids(live.visitors.tolist())
        pairs = zip(live.visitors.tolist(), live.ids, strict=True)
        return {(crm_ids[customer], open_form(space, each, KEY)) for customer, each in pairs}

    def traits(self, crm_id: str) -> dict[str, object]:
        """Give a customer's traits."""
        return self.customers.traits_of(int(self.customers.find_customers([crm_id])[0]))


@pytest.fixture
def crm(database: Any) -> Crm:
    """Give a CRM with empty tables."""
    return Crm(database.client)


FILE = (
    "crm_id,email,phone,opt_in,card,age,city\n"
    "a,ann.x@gmail.com,0612345678,yes,K1,30,Nantes\n"
    "b,bob@example.com,+33612345679,no,K2,40,Paris\n"
    "c,,,,,,\n"
    "d,bob@example.com,,yes,,50,Paris\n"
)


def test_the_same_file_twice_changes_nothing(crm: Crm) -> None:
    """Nobody is new, nobody changed, no table grows, and nothing is there to be told of."""
    first = crm.imports(FILE)
    assert (first.new_customers, first.changed_customers, first.traits) == (4, 0, 6)
    assert first.shared_contacts == {"email": (1, 2)}
    before = crm.rows()
    again = crm.begins()
    for batch in read_batches(FILE.encode(), "csv"):
        again.take(batch)
    assert not again.has_changed
    report = again.finish()
    assert (report.imported, report.new_customers, report.changed_customers) == (4, 0, 0)
    assert crm.rows() == before


def test_the_same_rows_otherwise_written_change_nothing(crm: Crm) -> None:
    """Other columns, another order and another format are read again, and say the same."""
    crm.imports(FILE)
    rows = [
        {"crm_id": "a", "age": 30, "email": " Ann.X@gmail.com", "phone": "+33 6 12 34 56 78"},
        {"crm_id": "d", "city": " Paris ", "opt_in": True},
    ]
    before = crm.rows()
    report = crm.imports(b"\n".join(map(msgspec.json.encode, rows)), kind="ndjson")
    assert (report.imported, report.new_customers, report.changed_customers) == (2, 0, 0)
    now = crm.rows()
    assert {table: now[table] for table in TABLES if table != "crm_rows"} == {
        table: before[table] for table in TABLES if table != "crm_rows"
    }


def test_a_changed_address_leaves_the_next_seat_file(crm: Crm) -> None:
    """The old hash is gone in every form, from names, from the seat and from lookups."""
    crm.imports(FILE)
    assert ("a", digest("annx@gmail.com")) in crm.seat("email_google")
    assert ("a", digest("ann.x@gmail.com")) in crm.seat("email_sha256")
    report = crm.imports("crm_id,email\na,ann@example.com\n")
    assert (report.new_customers, report.changed_customers) == (0, 1)
    assert crm.names("a")["email"] == {digest("ann@example.com")}
    assert {each for who, each in crm.seat("email_google") if who == "a"} == {
        digest("ann@example.com")
    }
    assert {each for who, each in crm.seat("email_sha256") if who == "a"} == {
        digest("ann@example.com")
    }
    old = seal(digest("ann.x@gmail.com"), KEY)
    assert crm.customers.find_by_name("email", old) is None
    assert not any(old in str(rows) for rows in crm.rows().values())
    crm.imports("crm_id,email\na,\n")
    assert "email" not in crm.names("a")
    assert {who for who, _ in crm.seat("email_sha256")} == {"b", "d"}
    assert {who for who, _ in crm.seat("email_md5")} == {"b", "d"}


def test_blank_takes_away_and_absent_leaves(crm: Crm) -> None:
    """An empty cell takes a trait, an alias or an answer away; an absent column does not."""
    crm.imports(FILE)
    customer = crm.customers.find_customers(["a"])[0]
    crm.imports("crm_id,age\na,31\n")
    assert crm.traits("a") == {"age": 31, "city": "Nantes"}
    assert customer in crm.customers.opted_in()
    report = crm.imports("crm_id,opt_in,card,city\na,,,\n")
    assert report.changed_customers == 1
    assert crm.traits("a") == {"age": 31}
    assert set(crm.names("a")) == {"email", "phone"}
    assert customer not in crm.customers.opted_in()


def test_traits_from_elsewhere_are_overruled_by_the_next_file(crm: Crm) -> None:
    """A row that is the same as before is heard again when somebody else has changed the trait."""
    crm.imports(FILE)
    (customer,) = crm.customers.find_customers(["a"]).tolist()
    crm.customers.put_traits(
        [
            CustomerTrait(
                customer=customer,
                trait="age",
                kind="number",
                number=99,
                source="server",
                at_ms=crm.now_ms + 1,
            )
        ]
    )
    assert crm.traits("a")["age"] == 99
    assert crm.imports(FILE).changed_customers == 1
    assert crm.traits("a")["age"] == 30
    assert crm.imports(FILE).changed_customers == 0


def test_whoever_was_erased_is_refused_though_the_row_is_the_same(crm: Crm) -> None:
    """What the rules say is part of what was read: other rules, and each row is read again."""
    crm.imports(FILE, rules="0")
    crm.erased = {("crm_id", "a")}
    report = crm.imports(FILE, rules="1")
    assert [line for line, _ in report.rejects] == [2]
    assert report.rejects_by_reason == {
        "erased: this person asked to be forgotten; lift it first": 1
    }


def test_a_row_with_a_warning_warns_each_time(crm: Crm) -> None:
    """A contact that cannot be read is told of again, though the row is the same."""
    text = "crm_id,email,age\na,no address,1\n"
    for _ in range(2):
        report = crm.imports(text)
        assert report.warnings == [(2, "email left out: not a readable email")]
        assert report.warnings_by_reason == {"email left out: not a readable email": 1}
    assert report.changed_customers == 0


def conflict(kept_by: str, lost_by: str) -> AliasConflict:
    """Tell of the one card."""
    return AliasConflict(kind="card", kept_by=kept_by, lost_by=lost_by)


def test_an_alias_moves_to_whom_a_newer_file_names(crm: Crm) -> None:
    """One customer has it at any time, nobody is merged, and both are told of."""
    crm.imports("crm_id,card\na,K1\nb,\n")
    report = crm.imports("crm_id,card\nb,K1\n")
    assert report.moved_aliases == [conflict("b", "a")]
    assert (crm.names("a"), crm.names("b")) == ({}, {"card": {"K1"}})
    back = crm.imports("crm_id,card\na,K1\nb,\n")
    assert (back.moved_aliases, back.refused_aliases) == ([], [])
    assert (crm.names("a"), crm.names("b")) == ({"card": {"K1"}}, {})


def test_of_two_in_one_file_the_holder_keeps_the_alias(crm: Crm) -> None:
    """A file that contradicts itself moves nothing, and changes nothing when it comes again."""
    text = "crm_id,card\na,K1\nb,K1\n"
    assert crm.imports(text).refused_aliases == [conflict("a", "b")]
    assert (crm.names("a"), crm.names("b")) == ({"card": {"K1"}}, {})
    before = crm.rows()
    again = crm.imports(text)
    assert (again.new_customers, again.changed_customers) == (0, 0)
    assert crm.rows() == before
    crm.imports("crm_id,card\nc,K2\n")
    assert crm.imports("crm_id,card\nb,K2\nc,K2\n").refused_aliases == [conflict("c", "b")]


def test_duplicates_are_refused_over_all_parts(crm: Crm) -> None:
    """The second row of a customer is refused wherever it stands, a first good one is not."""
    report = crm.imports(
        "crm_id,age\na,1\na,2\nb,old\nb,3\nc,4\n",
        "crm_id,age\na,5\nd,6\n",
    )
    duplicate = "duplicate: this customer stands in an earlier row"
    assert report.rejects == [
        (3, duplicate),
        (4, "unreadable age: 'old', not a number"),
        (2, duplicate),
    ]
    assert report.rejects_by_reason == {duplicate: 2, "unreadable age: ..., not a number": 1}
    assert (report.rows, report.imported, report.new_customers) == (7, 4, 4)
    assert crm.traits("b") == {"age": 3}


def people(count: int) -> str:
    """Write a file of so many customers."""
    return "crm_id,email,card,age,opt_in\n" + "".join(
        f"p{number},p{number}@example.com,K{number},{number},yes\n" for number in range(count)
    )


def test_who_is_missing_loses_what_the_file_had_said(crm: Crm) -> None:
    """On request only, of this source only, and the customer and its number stay."""
    crm.imports(people(20))
    crm.imports("crm_id,city\np19,Nantes\n", source="till")
    assert crm.imports(people(19)).missing is None
    report = crm.imports(
        people(18).replace("p3,p3@example.com,K3,3,", "p3,,,old,"), delete_missing=True
    )
    assert report.missing == Missing(customers=2, of=20, taken_away=True)
    assert crm.names("p19") == {}
    assert crm.traits("p19") == {"city": "Nantes"}
    assert crm.traits("p3") == {"age": 3}  # its row was refused, and it is not missing
    assert len(crm.customers.customers()) == 20
    assert len(crm.customers.opted_in()) == 18
    assert {who for who, _ in crm.seat("email_sha256")} == {f"p{each}" for each in range(18)}
    again = crm.imports(people(18), delete_missing=True)
    assert again.missing == Missing(customers=0, of=18, taken_away=False)
    assert crm.imports(people(20)).changed_customers == 2
    assert crm.traits("p19") == {"age": 19, "city": "Nantes"}


def test_a_file_that_lacks_too_many_is_not_believed(crm: Crm) -> None:
    """More than a tenth goes only by force, and a dry run counts without doing."""
    crm.imports(people(20))
    before = crm.rows()
    dry = crm.imports(people(18), delete_missing=True, dry_run=True)
    assert dry.missing == Missing(customers=2, of=20, taken_away=False)
    report = crm.imports(people(10), delete_missing=True)
    assert report.missing is not None
    assert not report.missing.taken_away
    assert "10 of 20 customers are missing, more than 10%" in report.missing.refused
    assert crm.rows() == before
    unnamed = crm.imports(people(19) + ",,,,\n,x@example.com,,,\n", delete_missing=True).missing
    assert unnamed is not None
    assert "1 rows do not say whose they are" in unnamed.refused
    report = crm.imports(people(10), delete_missing=True, force=True)
    assert report.missing == Missing(customers=10, of=20, taken_away=True)
    assert len(crm.customers.opted_in()) == 10


def test_a_dry_run_tells_all_and_stores_nothing(crm: Crm) -> None:
    """Counts and rejects are those of the import itself."""
    crm.imports(FILE)
    before = crm.rows()
    text = "crm_id,age,city\na,31,Nantes\nnew,1,x\nb,old,\nnew,2,\n"
    dry = crm.imports(text, dry_run=True)
    assert crm.rows() == before
    done = crm.imports(text)
    assert dry == msgspec.structs.replace(done, dry_run=True)
    assert (done.new_customers, done.changed_customers, done.traits) == (1, 1, 3)


def test_several_addresses_and_lists(crm: Crm) -> None:
    """Two columns are two addresses, a cell of NDJSON may hold several; each is replaced alone."""
    rows = [
        {
            "crm_id": "a",
            "email": ["a1@example.com", "a2@gmail.com"],
            "work_email": "a3@example.com",
        },
        {"crm_id": "b", "phone": ["+33612345678", "not one", "+33612345679"]},
    ]
    report = crm.imports(b"\n".join(map(msgspec.json.encode, rows)), kind="ndjson")
    assert report.warnings == [(2, "phone left out: not a readable phone")]
    addresses = {digest(f"{each}.com") for each in ("a1@example", "a2@gmail", "a3@example")}
    assert crm.names("a")["email"] == addresses
    assert {each for _, each in crm.seat("email_uid2")} == {
        open_form("email_uid2", seal(each, KEY), KEY) for each in addresses
    }
    assert len(crm.names("b")["phone"]) == 2
    crm.imports(b'{"crm_id":"a","email":["a2@gmail.com"]}', kind="ndjson")
    assert crm.names("a")["email"] == {digest("a2@gmail.com"), digest("a3@example.com")}
    assert {each for _, each in crm.seat("email_sha256")} == crm.names("a")["email"]


def test_numbers_are_of_their_row_s_country(crm: Crm) -> None:
    """A national number is completed by the country's calling code, else by the file's."""
    crm.imports("crm_id,phone,country\na,0612345678,DE\nb,0612345678,\nc,+12345678901,FR\n")
    assert crm.seat("phone_meta") == {
        ("a", digest("49612345678")),
        ("b", digest("33612345678")),
        ("c", digest("12345678901")),
    }
    assert {who for who, _ in crm.seat("phone_liveramp")} == {"c"}
    report = crm.imports("crm_id,country\na,Atlantis\n")
    assert "no country's code such as FR" in report.rejects[0][1]


def test_ready_hashes_are_of_the_form_that_the_file_names(crm: Crm) -> None:
    """A ready hash is sent in its own form alone, and an address column takes none."""
    ready = digest("jane@gmail.com")
    report = crm.imports(
        f"crm_id,email,uid2,sha\na,,{ready},\nb,,,{ready}\nc,{ready},,\nd,,short,\n"
    )
    assert report.rejects == [(5, "unreadable uid2: a text of 5 characters, not a sha256 in hex")]
    assert report.warnings == [(4, "email left out: not a readable email")]
    assert {who for who, _ in crm.seat("email_uid2")} == {"a"}
    assert {who for who, _ in crm.seat("email_sha256")} == {"b"}
    assert {who for who, _ in crm.seat("email_meta")} == {"b"}
    for space in ("email_google", "email_amazon", "email_md5"):
        assert crm.seat(space) == set()


def test_address_and_googles_answers(crm: Crm) -> None:
    """Parts of an address rest sealed, Google's two consents are answers like the opt-in."""
    text = (
        "crm_id,first,last,zip,born,country,ads,personal\n"
        "a,Jean Paul,Dupont,44000,2000-02-29,fr,GRANTED,denied\n"
        "b,,,,tomorrow,,,\n"
    )
    report = crm.imports(text)
    assert report.rejects == [(3, "unreadable born: 'tomorrow', not a date like 2024-05-31")]
    rows = crm.client.query(
        "select kind, slot, value from contact_forms order by kind, slot"
    ).result_rows
    found = {(kind, slot): open_sealed_text(value) for kind, slot, value in rows}
    assert found == {
        ("name_sha256", 0): bytes.fromhex(digest("jean paul")),
        ("name_google", 0): bytes.fromhex(digest("jeanpaul")),
        ("name_amazon", 0): bytes.fromhex(digest("jeanpaul")),
        ("name_sha256", 1): bytes.fromhex(digest("dupont")),
        ("postal_code", 0): b"44000",
        ("birth_date", 0): b"2000-02-29",
        ("country", 0): b"FR",
    }
    (customer,) = crm.customers.find_customers(["a"]).tolist()
    assert customer in crm.customers.granted("ad_user_data")
    assert customer not in crm.customers.granted("ad_personalization")
    assert crm.names("a") == {}
    crm.imports("crm_id,first,ads\na,,\n")
    assert customer not in crm.customers.granted("ad_user_data")
    crm.customers.erase(customers=[customer], visitors=[])
    for table in ("contact_forms", "crm_rows"):
        assert crm.rows()[table] == []


def open_sealed_text(sealed: str) -> bytes:
    """Open a sealed text."""
    return bytes.fromhex(open_sealed(sealed, KEY))


def test_forms_of_other_hashes(crm: Crm) -> None:
    """What a partner takes as MD5 is there as MD5."""
    crm.imports(FILE)
    assert ("b", md5(b"bob@example.com").hexdigest()) in crm.seat("email_md5")  # noqa: S324


@pytest.mark.parametrize("source", ["browser", "Two words", "", "1"])
def test_sources_of_ours_are_refused(crm: Crm, source: str) -> None:
    """A file cannot pass for a browser or a message."""
    with pytest.raises(CrmFileError, match="cannot be taken"):
        crm.begins(source=source)


def test_unknown_customers_may_be_refused(crm: Crm) -> None:
    """Where customers must exist, nobody is made."""
    crm.imports("crm_id,age\na,1\n")
    report = crm.imports("crm_id,age\na,2\nz,1\n", must_exist=True)
    assert report.rejects == [(3, "unknown: there is no such customer; import the customers first")]
    assert crm.traits("a") == {"age": 2}
    assert len(crm.customers.customers()) == 1
