"""The CRM import: rows are taken whole or refused with a reason, and contacts rest sealed."""

import io
from datetime import UTC, date, datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from matching.contact_hashes import seal
from matching.crm.rows import UNREADABLE, CrmFileError
from matching.crm.values import TraitType, TraitValue, is_blank, read_trait
from matching.crm_import import CrmColumns, ImportReport, import_customers, read_rows
from matching.customer_store import CustomerStore

KEY = bytes(range(64))
COLUMNS = msgspec.toml.decode(
    """
    crm_id = "customer"
    calling_code = "33"
    [aliases]
    card = "card number"
    [traits]
    age = {column = "age", type = "number"}
    since = {column = "since", type = "date"}
    vip = {column = "vip", type = "boolean"}
    likes = {column = "likes", type = "set", separator = "|"}
    city = {column = "town", type = "text"}
    """,
    type=CrmColumns,
)
PAUL = (
    "customer,email,phone,opt_in,card number,age,since,vip,likes,town\n"
    "123456,Paul@example.com,06 12 34 56 78,yes,K1,26,2020-02-29,no,running|cycling|,Nantes\n"
)


def sealed(hash_hex: str) -> str:
    """Seal under this test's key."""
    return seal(hash_hex, KEY)


def sealed_text(normal: str) -> str:
    """Give the sealed hash of a normalised contact."""
    return sealed(sha256(normal.encode()).hexdigest())


class Import:
    """A store, and files imported into it one after the other."""

    def __init__(self, store: CustomerStore) -> None:
        self.store = store
        self.erased: set[tuple[str, str]] = set()
        self.now_ms = 1_700_000_000_000

    def csv(self, text: str, columns: CrmColumns = COLUMNS, **rest: Any) -> ImportReport:
        """Import a CSV, a second later than the one before."""
        self.now_ms += 1000
        return import_customers(
            read_rows(text.encode(), "csv"),
            columns,
            customers=self.store,
            seal=sealed,
            refused=lambda kind, value: (kind, value) in self.erased,
            now_ms=self.now_ms,
            **rest,
        )

    def customer(self, crm_id: str) -> int:
        """Find an imported customer."""
        return int(self.store.find_customers([crm_id])[0])

    def traits(self, crm_id: str = "123456") -> dict[str, object]:
        """Give the traits of a customer."""
        return self.store.traits_of(self.customer(crm_id))


@pytest.fixture
def imports(database: Any) -> Import:
    """Give empty tables to import into."""
    store = CustomerStore(database.client())
    store.open()
    return Import(store)


@pytest.mark.clickhouse
def test_paul_is_imported(imports: Import) -> None:
    """Every column becomes what it means, and no address or number rests in the clear."""
    report = imports.csv(PAUL)
    told = (report.rows, report.imported, report.new_customers, report.traits)
    assert told == (1, 1, 1, 5)
    assert (report.rejects, report.warnings) == ([], [])
    assert imports.traits() == {
        "age": 26,
        "since": "2020-02-29",
        "vip": False,
        "likes": ["cycling", "running"],
        "city": "Nantes",
    }
    names = {name.kind: name.value for name in imports.store.names(imports.customer("123456"))}
    assert names == {
        "card": "K1",
        "email": sealed_text("paul@example.com"),
        "phone": sealed_text("+33612345678"),
        "opt_in": "1",
    }
    assert imports.store.opted_in() == imports.store.customers()


@pytest.mark.clickhouse
def test_a_second_file_changes_what_it_says(imports: Import) -> None:
    """New values replace old ones, blank cells take away, absent columns leave alone."""
    imports.csv(PAUL)
    report = imports.csv("customer,age,town,opt_in\n123456,27,,no\nnew,,,\n")
    assert (report.imported, report.new_customers, report.traits) == (2, 1, 1)
    assert imports.traits()["age"] == 27
    assert "city" not in imports.traits()
    assert imports.traits()["likes"] == ["cycling", "running"]
    assert not imports.store.opted_in()
    assert imports.traits("new") == {}


@pytest.mark.clickhouse
def test_every_reject_names_line_and_reason(imports: Import) -> None:
    """What is refused is refused whole, with the file's own line, and the rest is imported."""
    imports.erased = {
        ("crm_id", "gone"),
        ("email", sealed_text("gone@example.com")),
        ("card", "K9"),
    }
    report = imports.csv(
        "customer,email,age,since,vip,card number,opt_in\n"
        "a,,1,,,,\n"
        ",,1,,,,\n"
        "undefined,,1,,,,\n"
        "b,,old,,,,\n"
        "c,,,31/05/2024,,,\n"
        "d,,,,perhaps,,\n"
        "e,,,,,,maybe\n"
        "gone,,1,,,,\n"
        "f,Gone@example.com,1,,,,\n"
        "g,,1,,,K9,\n"
        "a,,2,,,,\n"
        "h,,1,,,,,too,many\n"
        "i,no address,1,,,,\n"
    )
    lifted = "erased: this person asked to be forgotten; lift it first"
    assert report.rejects == [
        (3, "missing customer"),
        (4, "customer 'undefined' names nobody"),
        (5, "unreadable age: 'old', not a number"),
        (6, "unreadable since: '31/05/2024', not a date like 2024-05-31"),
        (7, "unreadable vip: 'perhaps', neither true nor false"),
        (8, "unreadable opt_in: 'maybe', neither true nor false"),
        (9, lifted),
        (10, lifted),
        (11, lifted),
        (12, "duplicate: this customer stands in an earlier row"),
        (13, "unreadable: 9 fields where the header has 7"),
    ]
    assert report.warnings == [(14, "email left out: not a readable email")]
    assert (report.rows, report.imported, report.new_customers) == (13, 2, 2)
    assert imports.traits("a") == {"age": 1}
    assert imports.store.find_customers(["b", "gone", "h"]).tolist() == [0, 0, 0]


@pytest.mark.clickhouse
def test_without_trait_columns_every_other_column_is_one(imports: Import) -> None:
    """A file nobody described is imported as it looks, and hides no contact in a trait."""
    report = imports.csv(
        "crm_id;email;age;zip;vip;note;home_phone\n"
        "1a;x@example.com;26;01234;true;write to y@example.com;0612345678\n",
        CrmColumns(),
    )
    assert report.traits == 5
    traits = imports.traits("1a")
    assert traits.pop("note") == "write to contact:" + sealed_text("y@example.com")
    assert traits.pop("home_phone") == "contact:" + sealed_text("0612345678")
    assert traits == {"age": 26, "zip": "01234", "vip": True}


@pytest.mark.clickhouse
def test_an_address_as_crm_id_is_sealed(imports: Import) -> None:
    """A shop that names customers by address gets the names that its tag sends."""
    imports.csv("crm_id\npaul@example.com\n", CrmColumns())
    assert imports.customer("contact:" + sealed_text("paul@example.com")) == 1


@pytest.mark.clickhouse
def test_a_computed_trait_cannot_be_imported(imports: Import) -> None:
    """A file that would write a computed trait is refused row by row."""
    computed = frozenset({"rfm_segment"})
    report = imports.csv("crm_id,rfm_segment\n1a,champion\n", CrmColumns(), computed=computed)
    assert report.rejects == [(2, "trait 'rfm_segment' is computed and cannot be imported")]


CSV = b'\xef\xbb\xbfcrm_id, name \n1,"two\nlines"\n\n2\n'
NDJSON = b'{"crm_id":1}\n\n[2]\n{"crm_id":"\xff"}\n{"crm_id":3}'


@pytest.mark.parametrize(
    ("data", "kind", "expected"),
    [
        (CSV, "csv", [(2, {"crm_id": "1", "name": "two\nlines"}), (5, {"crm_id": "2"})]),
        (b"a;b,c;d\n1;2;3\n", "csv", [(2, {"a": "1", "b,c": "2", "d": "3"})]),
        (b"a\tb\tc,d\n1\t2\t3\n", "csv", [(2, {"a": "1", "b": "2", "c,d": "3"})]),
        (b"", "csv", []),
        (
            NDJSON,
            "ndjson",
            [
                (1, {"crm_id": 1}),
                (3, {UNREADABLE: "not a JSON object"}),
                (4, {UNREADABLE: "not a JSON object"}),
                (5, {"crm_id": 3}),
            ],
        ),
    ],
    ids=["csv", "semicolons", "tabs", "empty", "ndjson"],
)
def test_files_are_cut_into_rows(data: bytes, kind: str, expected: list[Any]) -> None:
    """Rows carry the line of the file on which they begin."""
    assert list(read_rows(data, kind)) == expected


def test_parquet_rows_keep_their_types() -> None:
    """A Parquet row counts from 1 and keeps numbers, dates and lists."""
    table = pa.table({"crm_id": ["1", None], "since": [date(2024, 5, 31), None], "n": [[1], []]})
    file = io.BytesIO()
    pq.write_table(table, file)
    assert list(read_rows(file.getvalue(), "parquet")) == [
        (1, {"crm_id": "1", "since": date(2024, 5, 31), "n": [1]}),
        (2, {"crm_id": None, "since": None, "n": []}),
    ]


def test_a_field_without_end_ends_the_file() -> None:
    """What stands before the damage is read, and the report says that nothing after it was."""
    rows = list(read_rows(b'a\n1\n"' + b"x" * 1_100_000, "csv"))
    assert rows[0] == (2, {"a": "1"})
    assert rows[1][0] == 3
    assert "nothing from here on" in rows[1][1][UNREADABLE]


@pytest.mark.parametrize(
    ("data", "kind", "message"),
    [
        (b"a,\xff\n", "csv", "Byte 2 of the CSV is not UTF-8"),
        (b"a,b,a\n1,2,3\n", "csv", "two columns named 'a'"),
        (b"no parquet", "parquet", "cannot be read"),
        (b"", "xml", "use csv, ndjson, parquet"),
    ],
    ids=["bytes", "header", "parquet", "format"],
)
def test_unreadable_files(data: bytes, kind: str, message: str) -> None:
    """A file that cannot be read at all says why."""
    with pytest.raises(CrmFileError, match=message):
        list(read_rows(data, kind))


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        ("26", "number", ("number", "", 26.0)),
        (Decimal("1.5"), "number", ("number", "", 1.5)),
        (1e3, "text", ("text", "1000", 0.0)),
        (True, "text", ("text", "true", 0.0)),
        ("2024-05-31T23:00:00+02:00", "date", ("date", "2024-05-31", 19_874.0)),
        (datetime(2024, 5, 31, tzinfo=UTC), "date", ("date", "2024-05-31", 19_874.0)),
        (date(1970, 1, 2), "date", ("date", "1970-01-02", 1.0)),
        ("ON", "boolean", ("boolean", "true", 1.0)),
        (["b", "a", "b", None], "set", ("set", '["a","b"]', 2.0)),
        ("01234", "auto", ("text", "01234", 0.0)),
        ("-12.5", "auto", ("number", "", -12.5)),
        ("true", "auto", ("boolean", "true", 1.0)),
        (date(1970, 1, 2), "auto", ("date", "1970-01-02", 1.0)),
        (["x"], "auto", ("set", '["x"]', 1.0)),
        (3, "auto", ("number", "", 3.0)),
    ],
)
def test_values_are_read_as_their_type(value: Any, kind: str, expected: tuple[Any, ...]) -> None:
    """A cell becomes kind, text and number."""
    text_kind, text, number = expected
    found = read_trait(value, TraitType(kind))
    assert found == TraitValue(kind=text_kind, text=text, number=number)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("1_000", "number"),
        ("nan", "number"),
        ("1e999", "number"),
        (True, "number"),
        ("2", "boolean"),
        ("yesterday", "date"),
        ({"a": 1}, "text"),
        ("x" * 2_001, "text"),
        ([str(number) for number in range(1_001)], "set"),
    ],
)
def test_unreadable_values(value: Any, kind: str) -> None:
    """What is not of its type is refused, never bent."""
    with pytest.raises(ValueError, match=r"not a|neither|more than"):
        read_trait(value, TraitType(kind))


@pytest.mark.parametrize("value", [None, "", " ", float("nan"), []])
def test_blank_cells(value: Any) -> None:
    """Empty cells of every format are blank."""
    assert is_blank(value)


def test_a_column_file_is_checked() -> None:
    """Misspelt fields and aliases with names of ours are refused when the file is read."""
    with pytest.raises(msgspec.ValidationError, match="alias 'email' is a name of ours"):
        msgspec.toml.decode('[aliases]\nemail = "mail"', type=CrmColumns)
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.toml.decode('crmid = "id"', type=CrmColumns)
