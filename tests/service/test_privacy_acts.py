"""Privacy acts find the person by every name, hit nobody else, and leave no copy behind."""

import base64
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from audiences.calendar_days import CalendarDays
from matching.contact_hashes import contact_hash, crm_id_of, seal
from matching.crm_import import CrmColumns, import_customers
from matching.partner_ids_store import PartnerIdColumns
from matching.partners import load_partners
from matching.people import Limits
from service.engine.erasure import Receipt, erase, lift, suppress
from service.engine.loader import Loader
from service.engine.spool_reader import SpoolReader
from service.engine.stores import Stores
from service.engine.subjects import Subject, Subjects
from service.engine.tombstones import Tombstones
from service.metrics import Balance
from service.tag import visitor_cookie
from service.tag.click import click
from service.tag.collect import Collector
from service.tag.collect_import import collect_import
from service.tag.record import Kind, Meta, write_record
from service.tag.request import Caller, TagRequest
from service.tag.spool import Spool, SpoolSettings, writer_name
from service.tag.steps import DropReason
from service.tag.tag_state import Site, TagState
from service.tag.tokens import Click, Keys, make_click

pytestmark = [pytest.mark.clickhouse, pytest.mark.embedded]

NOW_US = time.time_ns() // 1000
KEYS = Keys({1: bytes(32)})
SITE = Site(key="shop", write_key="w", consent_default="allow")
EXAMPLE = Path(__file__).parents[2] / "service" / "example_config"
ADDRESS = "Paul@Example.com"
OTHER = (8).to_bytes(16, "big")
BROWSER = (7).to_bytes(16, "big")


def sealed(hash_hex: str) -> str:
    return seal(hash_hex, KEYS.contact_key)


class Office:
    """A database with its loader, and the privacy officer's acts on it."""

    def __init__(self, database: Any, folder: Path) -> None:
        self.database = database
        self.root = folder / "spool"
        self.stores = Stores(database, days=CalendarDays("UTC"), limits=Limits())
        self.tombstones = Tombstones(folder / "tombstones.log", KEYS)
        state = TagState(published_s=0, sites=(SITE,), partners=tuple(load_partners(EXAMPLE)))
        self.collector = Collector(state=lambda: state, keys=KEYS)
        self.subjects = Subjects(self.stores, KEYS, ["loyalty"])
        self.reader = SpoolReader(self.root, next_number=1)
        self.loader = Loader(
            stores=self.stores,
            reader=self.reader,
            state=lambda: state,
            tombstones=self.tombstones,
            balance=Balance(),
            seed=KEYS.derive("message"),
            clock_ms=lambda: NOW_US // 1000,
        )

    def loads(self, records: Sequence[bytes]) -> None:
        """Load these records and link people."""
        settings = SpoolSettings(reserve_bytes=0)
        spool = Spool(self.root, writer=writer_name(0), settings=settings, clock=time.monotonic)
        spool.append(records)
        spool.close()
        self.loader.load_all()
        self.stores.people.refresh(visitors=self.stores.customers.visitor_count)

    def imports(self, *lines: dict[str, Any]) -> list[str]:
        """Import messages as a file; give why some were refused."""
        report = collect_import(
            self.collector,
            SITE,
            [json.dumps(line).encode() for line in lines],
            refused=self.tombstones.refuses_import,
            received_us=time.time_ns() // 1000,
        )
        self.loads(report.records)
        return [reason for _, reason in report.refused]

    def imports_customers(self, *rows: dict[str, Any]) -> int:
        """Import a CRM file and give how many rows were refused."""
        report = import_customers(
            iter(enumerate(rows, start=1)),
            CrmColumns(crm_id="crm_id", aliases={"loyalty": "card"}, email="email"),
            customers=self.stores.customers,
            seal=sealed,
            refused=self.tombstones.refuses_import,
            now_ms=NOW_US // 1000,
        )
        return len(report.rejects)

    def stores_id(self, visitor: bytes, space: str, text: str) -> None:
        """Let a partner know a browser by an id."""
        ordinal = self.stores.customers.visitor_ordinals([visitor], 1).tolist()
        columns = PartnerIdColumns(
            chunk=[9],
            row=[0],
            received_at_ms=[NOW_US // 1000],
            partner=[space],
            id_space=[space],
            action=["stored"],
            reason=[""],
            nonce=[1],
            visitor=ordinal,
            id=[text],
            id_ordinal=self.stores.partner_ids.id_ordinals(space, [text]),
            source=["sync"],
        )
        self.stores.partner_ids.insert(columns)

    def subject(self, name: str) -> Subject:
        """Find somebody who must be there."""
        found = self.subjects.find(name)
        assert found is not None
        return found

    def erases(self, name: str) -> Receipt:
        """Erase a person."""
        receipt = erase(
            self.subject(name),
            subjects=self.subjects,
            stores=self.stores,
            reader=self.reader,
            tombstones=self.tombstones,
            actor="test",
        )
        self.loader.open()
        return receipt

    def lifts(self, name: str) -> None:
        """Allow a person again."""
        lift(
            name,
            subjects=self.subjects,
            stores=self.stores,
            tombstones=self.tombstones,
            actor="test",
        )

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Ask the database."""
        found: list[tuple[Any, ...]] = self.database.client().query(query).result_rows
        return found


@pytest.fixture
def office(database: Any, tmp_path: Path) -> Office:
    """Give an empty installation."""
    return Office(database, tmp_path)


def message(number: int, who: bytes, *, proved: str = "", **body: Any) -> bytes:
    method = "login" if proved else ""
    meta = Meta(site="shop", type="page", proved=proved, method=method)
    raw = json.dumps({"messageId": f"m{number}", **body}).encode()
    return write_record(Kind.MESSAGE, NOW_US + number, who, meta, raw)


def order(number: int, customer: str, **more: Any) -> dict[str, Any]:
    body = {"type": "track", "event": "Order Completed", "messageId": f"o{number}"}
    return {**body, "userId": customer, **more}


@pytest.mark.parametrize(
    "crm_id", [ADDRESS, "+33 6 12 34 56 78", "0033612345678", "mail=paul@example.com", " 123456 "]
)
def test_a_person_is_found_by_the_crm_id_as_it_was_written(office: Office, crm_id: str) -> None:
    """A CRM id that holds an address or a number is one customer wherever it comes in."""
    assert office.imports_customers({"crm_id": crm_id, "email": "x@example.com"}) == 0
    assert office.imports(order(1, crm_id)) == []
    stored = office.subject(crm_id).crm_id
    assert stored == crm_id_of(crm_id, sealed)
    assert office.rows("select count() from customers where kind = 'crm_id'") == [(1,)]
    assert office.rows("select distinct customer from events") == [(1,)]
    suppress(
        office.subject(crm_id),
        subjects=office.subjects,
        stores=office.stores,
        tombstones=office.tombstones,
        actor="test",
    )
    office.lifts(crm_id)
    assert not office.tombstones.suppressed
    office.erases(crm_id)
    assert office.subjects.find(crm_id) is None
    assert office.imports(order(2, crm_id)) == ["erased: this person asked to be forgotten"]
    assert office.imports_customers({"crm_id": crm_id}) == 1
    office.lifts(crm_id)
    assert office.imports(order(3, crm_id)) == []


def test_a_claim_of_an_address_meets_its_customer(office: Office) -> None:
    """A browser's claim is stored for the customer whose id is this address."""
    office.imports_customers({"crm_id": ADDRESS})
    stored = crm_id_of(ADDRESS, sealed)
    office.loads([message(1, OTHER, userId=stored)])
    assert office.rows("select customer, claimed from identifications") == [(1, 1)]


def test_lifting_by_one_name_lifts_all_that_fell_with_it(office: Office) -> None:
    """After a lift by CRM id the row with the old e-mail and card is imported again."""
    row = {"crm_id": "123456", "email": ADDRESS, "card": "card-1234"}
    office.imports_customers(row, {"crm_id": "2", "email": "two@example.com"})
    office.erases("123456")
    office.erases("2")
    assert office.imports_customers(row) == 1
    office.lifts("123456")
    assert office.imports_customers(row) == 0
    assert office.imports_customers({"crm_id": "2"}) == 1


def test_an_act_takes_a_partners_id_with_its_space_only(office: Office) -> None:
    """An id that some partner also uses names nobody to an act, but still opens the card."""
    office.loads([message(1, BROWSER, proved="123456"), message(2, OTHER)])
    office.stores_id(OTHER, "adform", "4711")
    assert office.subject("4711").visitors == office.subject(OTHER.hex()).visitors
    assert office.subjects.find("4711", by_plain_partner_id=False) is None
    assert office.subjects.find("xandr:4711", by_plain_partner_id=False) is None
    found = office.subjects.find("adform:4711", by_plain_partner_id=False)
    assert found is not None
    assert list(found.visitors.values()) == [OTHER]


def test_erasure_reaches_what_was_set_aside(office: Office) -> None:
    """Bad records and quarantined bytes that name the person go; those of others stay."""
    reference = visitor_cookie.write_reference(KEYS, BROWSER)  # type: ignore[arg-type]
    contact = sealed(contact_hash("email", ADDRESS))
    office.imports_customers({"crm_id": "123456", "email": ADDRESS})
    broken = [
        (BROWSER, b"{nothing"),
        (OTHER, b'{"userId":"123456"'),
        (OTHER, b'{"userId":123456,'),
        (OTHER, f'{{"anonymousId":"{reference}"'.encode()),
        (OTHER, f'{{"v":"{BROWSER.hex()}"'.encode()),
        (OTHER, f'{{"e":"contact:{contact}"'.encode()),
        (OTHER, b'{"userId":"1234567"'),
        (OTHER, b"{nothing"),
    ]
    meta = Meta(site="shop", type="page")
    office.loads(
        [message(1, BROWSER, proved="123456")]
        + [write_record(Kind.MESSAGE, NOW_US, who, meta, body) for who, body in broken]
    )
    quarantine = office.root / "quarantine"
    (quarantine / "one").write_bytes(b'...{"userId":"123456"}...')
    (quarantine / "two").write_bytes(b'...{"userId":"9123456"}...')
    receipt = office.erases("123456")
    assert receipt.set_aside == 7
    assert office.rows("select row from bad_records order by row") == [(7,), (8,)]
    assert [path.name for path in quarantine.iterdir()] == ["two"]


def test_what_turns_bad_after_an_erasure_is_not_kept(office: Office) -> None:
    """A waiting record that names the erased and cannot be loaded is dropped, not set aside."""
    office.loads([message(1, BROWSER, proved="123456")])
    office.erases("123456")
    office.loads(
        [
            message(2, OTHER, userId="123456", timestamp="nonsense"),
            message(3, BROWSER, timestamp="nonsense"),
            message(4, OTHER, timestamp="nonsense"),
        ]
    )
    assert office.rows("select row from bad_records") == [(2,)]


def test_claims_of_other_browsers_go_and_are_counted(office: Office) -> None:
    """Another browser that only claimed the id keeps its page, no longer tied to the customer."""
    office.loads([message(1, BROWSER, proved="123456")])
    office.loads([message(2, OTHER, userId="123456"), message(3, BROWSER, userId="123456")])
    assert office.erases("123456").claims == 1
    assert office.rows("select count() from identifications") == [(0,)]
    assert office.rows("select count() from events") == [(1,)]


def test_an_import_for_an_erased_browser_is_refused(office: Office) -> None:
    """A file line that names the browser, by our reference or an SDK's id, is refused."""
    own = visitor_cookie.visitor_of_sdk(KEYS, "shop", "sdk-1")
    office.loads([message(1, BROWSER), message(2, own)])
    office.erases(BROWSER.hex())
    office.erases(own.hex())
    reference = visitor_cookie.write_reference(KEYS, BROWSER)  # type: ignore[arg-type]
    refused = office.imports(
        order(1, "2", anonymousId=reference),
        order(2, "2", anonymousId="sdk-1"),
        order(3, "2", anonymousId="sdk-2"),
    )
    assert len(refused) == 2
    office.lifts(reference)
    assert office.imports(order(4, "2", anonymousId=reference)) == []


@pytest.mark.parametrize(
    ("at", "refused"),
    [("9999-12-31T23:59:59.999-23:59", 1), ("1969-12-31T23:59:59Z", 1), ("1970-01-01", 0)],
)
def test_a_line_dated_out_of_range_is_refused(office: Office, at: str, refused: int) -> None:
    """An import says which line has a time that cannot be."""
    reasons = office.imports(order(1, "2", timestamp=at))
    assert len(reasons) == refused
    assert all("timestamp" in reason for reason in reasons)


def test_a_click_link_links_three_browsers(office: Office) -> None:
    """A newsletter that is forwarded on and on makes three browsers its customer's, not all."""
    office.imports_customers({"crm_id": "123456"})
    records = []
    for number in range(5):
        who = (20 + number).to_bytes(16, "big")
        meta = Meta(site="shop", proved="123456", method="click", nonce=77)
        records.append(write_record(Kind.CLICK, NOW_US + number, who, meta, b""))
        page = Meta(site="shop", type="page")
        body = json.dumps({"messageId": f"p{number}"}).encode()
        records.append(write_record(Kind.MESSAGE, NOW_US + 10 + number, who, page, body))
    office.loads(records)
    assert office.rows("select distinct proof from identifications where method = 'click'") == [
        (77,)
    ]
    assert len(office.subject("123456").visitors) == 3
    card = office.stores.people.links_of(
        visitor=int(office.rows("select max(ordinal) from visitors")[0][0])
    )
    assert [link.status for link in card] == ["click_over_limit"]


def server_request(path: str, body: Any, key: str) -> TagRequest:
    basic = base64.b64encode(f"{key}:".encode()).decode()
    return TagRequest(
        method="POST",
        path=path,
        query="",
        caller=Caller(headers={"host": "t.example", "authorization": f"Basic {basic}"}),
        body=json.dumps(body).encode(),
        received_us=NOW_US,
    )


@pytest.mark.parametrize(
    ("timestamp", "kept"),
    [
        ("9999-12-31T23:59:59.999-23:59", 0),
        ("1969-12-31T23:59:59Z", 0),
        ("1970-01-01T00:00:00Z", 1),
        ("2001-05-06", 1),
    ],
)
def test_the_door_refuses_a_server_time_out_of_range(
    monkeypatch: pytest.MonkeyPatch, timestamp: str, kept: int
) -> None:
    """A server hears at once that a time cannot be; a browser's is corrected at load as before."""
    monkeypatch.setenv("TEST_SERVER_KEY", "the server key")
    site = msgspec.structs.replace(SITE, server_key_env="TEST_SERVER_KEY")
    collector = Collector(state=lambda: TagState(published_s=0, sites=(site,)), keys=KEYS)
    body = {"batch": [order(1, "123456", timestamp=timestamp)]}
    outcome = collector.collect_segment(server_request("/v1/batch", body, "the server key"), "")
    assert len(outcome.records) == kept
    assert outcome.dropped == (() if kept else (DropReason.MALFORMED,))
    outcome = collector.collect_segment(server_request("/v1/batch", body, "w"), "")
    assert len(outcome.records) == 1


def test_the_door_knows_a_suppressed_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """A message and a click that name a suppressed customer by address are not kept."""
    monkeypatch.setenv("TEST_SERVER_KEY", "the server key")
    site = msgspec.structs.replace(SITE, server_key_env="TEST_SERVER_KEY")
    stored = crm_id_of(ADDRESS, sealed)
    hashed = KEYS.keyed_hash("tombstone", b"crm_id", stored.encode()).hex()
    state = TagState(published_s=0, sites=(site,), suppressed=(hashed,))
    collector = Collector(state=lambda: state, keys=KEYS)
    body = {"batch": [order(1, ADDRESS), order(2, f" {ADDRESS.lower()} "), order(3, "2")]}
    outcome = collector.collect_segment(server_request("/v1/batch", body, "the server key"), "")
    assert len(outcome.records) == 1
    token = make_click(
        KEYS,
        Click(
            crm_id=ADDRESS,
            site="shop",
            target="https://shop.example/",
            expires_s=NOW_US // 1_000_000 + 60,
            nonce=1,
        ),
    )
    outcome = click(collector, server_request(f"/c/{token}", {}, ""), token)
    assert outcome.dropped == (DropReason.SUPPRESSED,)
