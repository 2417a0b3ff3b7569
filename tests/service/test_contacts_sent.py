"""Contacts rest sealed, and leave in each partner's form: from a CRM file to the seats' files."""

import csv
import io
import json
import re
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import pytest
from contact_shop import CASES, SEATS, Shop, content_of, opened_shop

from audiences.exports.report import ExportReport, ExportStatus
from service.engine.crm_imports import CrmImports, ImportOptions
from service.tag.tokens import Keys

pytestmark = [pytest.mark.clickhouse, pytest.mark.embedded, pytest.mark.slow]

EVERYBODY: Final = {"name": "Everybody", "rule": {"type": "everyone"}}
READY_UID2: Final = "b4c9a289323b21a01c3e940f150eb9b8c542587f1abfd8f0e1cc1ffc5e475514"
READY_BASE: Final = "8b1a9953c4611296a827abf8c47804d78b1a9953c4611296a827abf8c47804d7"
SEALED: Final = re.compile(rb"(?<![0-9a-f])[0-9a-f]{96}(?![0-9a-f])")


def hex_of(text: str) -> str:
    """Hash a clear contact as partners do."""
    return sha256(text.encode()).hexdigest()


def base64_of(text: str) -> str:
    """Hash a clear contact as UID2 does."""
    return b64encode(sha256(text.encode()).digest()).decode()


GOOGLE: Final = {
    ("email", hex_of("paulvelo+bike@gmail.com")),
    ("email", hex_of("secondone@googlemail.com")),
    ("phone", hex_of("+33612345678")),
    ("phone", hex_of("+33600000002")),
}
EXPECTED: Final = {
    "google_customer_match": GOOGLE,
    "google_data_manager": GOOGLE,
    "ttd_crm": {
        ("email", base64_of("paulvelo@gmail.com")),
        ("email", base64_of("second.one@googlemail.com")),
        ("email", b64encode(bytes.fromhex(READY_UID2)).decode()),
    },
    "meta": {
        ("email", hex_of("paul.velo+bike@gmail.com")),
        ("email", hex_of("second.one@googlemail.com")),
        ("email", READY_BASE),
        ("phone", hex_of("33612345678")),
        ("phone", hex_of("33600000002")),
        ("phone", hex_of("15551234567")),
    },
    "liveramp": {
        ("email", hex_of("paul.velo+bike@gmail.com")),
        ("email", hex_of("second.one@googlemail.com")),
        ("email", READY_BASE),
    },
}
"""By seat every contact as its partner normalises it, written here by hand from the file."""


@pytest.fixture
def shop(database: Any, tmp_path: Path) -> Iterator[Shop]:
    """Give a shop with an audience of everybody on every seat; nobody has a browser."""
    with opened_shop(database, tmp_path) as opened:
        opened.imports((CASES / "customers.csv").read_bytes())
        opened.audience("everybody", EVERYBODY, *SEATS)
        yield opened


def said(report: ExportReport, action: str = "add") -> set[tuple[str, str]]:
    """Read what the files of a seat add or remove, each format in its own way."""
    found: set[tuple[str, str]] = set()
    for name, content in content_of(report).items():
        is_of_action = f"_{action}_" in name
        if report.seat in {"ttd_crm", "liveramp"}:
            texts = [line.strip('"') for line in content.decode().splitlines()]
            found |= {("email", text) for text in texts if text != "EMAIL_SHA256"}
        elif report.seat == "google_customer_match" and is_of_action:
            for row in csv.DictReader(io.StringIO(content.decode())):
                found |= {("email", row["Email"])} if row["Email"] else {("phone", row["Phone"])}
        elif report.seat == "google_data_manager" and is_of_action:
            members = [each for line in content.splitlines() for each in _members(line)]
            found |= {
                (kind.removesuffix("Address").removesuffix("Number"), text)
                for each in members
                for kind, text in each.items()
            }
        elif report.seat == "meta" and is_of_action:
            for line in content.splitlines():
                payload = json.loads(line)["payload"]
                (kind,) = payload["schema"]
                found |= {(kind.lower(), text) for (text,) in payload["data"]}
    return found


def _members(line: bytes) -> list[dict[str, str]]:
    members = json.loads(line)["audienceMembers"]
    return [each for member in members for each in member["userData"]["userIdentifiers"]]


def test_each_seat_is_sent_its_own_form(shop: Shop) -> None:
    """Files are those of the golden folder; every hash in them is that of the clear contact."""
    reports = shop.exports(*SEATS)
    assert reports.keys() == set(SEATS)
    for seat, report in reports.items():
        assert report.status is ExportStatus.PUBLISHED, report.reason
        assert (report.refused_ids, report.unnamed_ids) == (0, 0)
        assert said(report) == EXPECTED[seat]
        written = content_of(report)
        golden = {path.name: path.read_bytes() for path in (CASES / seat).iterdir()}
        assert written == golden
        assert not any(SEALED.search(content) for content in written.values())


def test_a_seat_follows_what_the_crm_says(shop: Shop) -> None:
    """The same file again sends nothing; another address, a no and a lost contact send deltas."""
    file = (CASES / "customers.csv").read_text()
    shop.exports("meta", "google_customer_match")
    header, *rows = file.splitlines()
    shop.imports("\n".join([header, *reversed(rows)]).replace("Paul.Velo", "PAUL.velo"))
    again = shop.exports("meta", "google_customer_match")
    assert {each.status for each in again.values()} == {ExportStatus.NOTHING_TO_SEND}

    shop.imports(
        file.replace("Paul.Velo+Bike@Gmail.com", "paul@example.com")
        .replace("second.one@GoogleMail.com,06 00 00 00 02,,,yes", ",06 00 00 00 02,,,yes")
        .replace("123-4567,,,yes", "123-4567,,,no")
    )
    changed = shop.exports("meta", "google_customer_match")
    new = ("email", hex_of("paul@example.com"))
    assert said(changed["meta"]) == said(changed["google_customer_match"]) == {new}
    assert said(changed["meta"], "remove") == {
        ("email", hex_of("paul.velo+bike@gmail.com")),
        ("email", hex_of("second.one@googlemail.com")),
        ("phone", hex_of("15551234567")),
    }
    assert said(changed["google_customer_match"], "remove") == {
        ("email", hex_of("paulvelo+bike@gmail.com")),
        ("email", hex_of("secondone@googlemail.com")),
    }
    shop.imports(file.replace("GRANTED,GRANTED", "GRANTED,DENIED"))
    back = shop.exports("meta", "google_customer_match")
    assert said(back["meta"], "remove") == {new}
    assert said(back["meta"]) == {
        ("email", hex_of("paul.velo+bike@gmail.com")),
        ("email", hex_of("second.one@googlemail.com")),
        ("phone", hex_of("15551234567")),
    }
    assert said(back["google_customer_match"]) == {("email", hex_of("paulvelo+bike@gmail.com"))}
    assert said(back["google_customer_match"], "remove") == {
        new,
        ("phone", hex_of("+33600000002")),
    }


def test_an_erased_customer_leaves_every_seat(shop: Shop) -> None:
    """Its removals rest sealed until a run says them in the clear; nobody else is removed.

    Who has the same address is sent again by the next run, so that no file says both.
    """
    header = (CASES / "customers.csv").read_text().splitlines()[0]
    shop.imports(f"{header}\nseventh,paul.velo+bike@gmail.com,,,,yes,yes,yes\n")
    shop.exports(*SEATS)
    receipt = shop.erases("123456")
    assert receipt.seats == tuple(sorted(SEATS))
    client = shop.engine.clickhouse.client()
    asked = "select distinct tupleElement(arrayJoin(removals), 'id') from ledger"
    frozen = [text for (text,) in client.query(asked).result_rows]
    assert len(frozen) >= 5
    assert all(SEALED.fullmatch(text.encode()) for text in frozen)

    reports = shop.exports(*SEATS)
    assert said(reports["meta"], "remove") == {
        ("email", hex_of("paul.velo+bike@gmail.com")),
        ("phone", hex_of("33612345678")),
    }
    google = {("email", hex_of("paulvelo+bike@gmail.com")), ("phone", hex_of("+33612345678"))}
    assert said(reports["google_customer_match"], "remove") == google
    assert said(reports["google_data_manager"], "remove") == google
    for seat, gone in (
        ("ttd_crm", base64_of("paulvelo@gmail.com")),
        ("liveramp", hex_of("paul.velo+bike@gmail.com")),
    ):
        assert said(reports[seat]) == EXPECTED[seat] - {("email", gone)}
    after = shop.exports(*SEATS)
    assert said(after["meta"]) == {("email", hex_of("paul.velo+bike@gmail.com"))}
    assert said(after["meta"], "remove") == set()
    assert said(after["ttd_crm"]) == EXPECTED["ttd_crm"]
    report = CrmImports(shop.engine).whole(
        (CASES / "customers.csv").read_bytes(), ImportOptions(), delete_missing=False, force=False
    )
    assert len(report.rejects) == 1
    shop.engine.tick()
    assert {each.status for each in shop.exports("meta", "google_data_manager").values()} == {
        ExportStatus.NOTHING_TO_SEND
    }


def test_a_lost_key_stops_only_the_seats_of_contacts(shop: Shop) -> None:
    """Where contacts cannot be opened the run of the seat fails and says why, naming nobody."""
    shop.exports("meta")
    engine = shop.engine
    engine.keys = Keys({1: bytes(32)})
    meta = shop.exports("meta")["meta"]
    assert meta.status is ExportStatus.FAILED
    assert meta.reason.startswith("seat meta: 4 contact hashes cannot be opened: another key")
    (newest,) = engine.stores.exports.exports(limit=1)
    assert (newest.seat, newest.status) == ("meta", ExportStatus.FAILED)
    assert not SEALED.search(newest.report.encode())
    other = shop.exports("pixel_csv")["pixel_csv"]
    assert other.status is ExportStatus.NO_ACTIVATIONS
