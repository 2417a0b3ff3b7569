"""The loader: every record of a chunk is in its table exactly once, whatever happened before."""

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from audiences.calendar_days import CalendarDays
from matching.consent.decide import Signals, encode_signals
from matching.partners import load_partners
from matching.people import Limits
from service.engine.loader import Loader
from service.engine.spool_reader import SpoolReader
from service.engine.stores import Stores
from service.engine.tombstones import Act, Tombstone, Tombstones
from service.metrics import Balance
from service.tag.record import Kind, Meta, bytes_of, read_record, write_record
from service.tag.spool import Spool, SpoolSettings, writer_name
from service.tag.tag_state import Site, TagState
from service.tag.tokens import Keys

pytestmark = pytest.mark.clickhouse

NOW_US = time.time_ns() // 1000
KEYS = Keys({1: bytes(32)})
SITE = Site(key="shop", write_key="w", consent_default="allow", identify="proved")
EXAMPLE = Path(__file__).parents[2] / "service" / "example_config"
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"


class Workshop:
    """A spool, a database and a loader, as one process has them."""

    def __init__(self, database: Any, folder: Path) -> None:
        self.database = database
        self.folder = folder
        self.root = folder / "spool"
        self.balance = Balance()
        self.now_ms = NOW_US // 1000
        self.stores = Stores(database, days=CalendarDays("UTC"), limits=Limits())
        self.tombstones = Tombstones(folder / "tombstones.log", KEYS)
        self.state = TagState(published_s=0, sites=(SITE,), partners=tuple(load_partners(EXAMPLE)))

    def spools(self, records: Sequence[bytes]) -> None:
        """Close one chunk of these records."""
        settings = SpoolSettings(reserve_bytes=0)
        spool = Spool(self.root, writer=writer_name(0), settings=settings, clock=time.monotonic)
        spool.append(records)
        spool.close()

    def loader(self) -> Loader:
        """Start a loader, as a new process would."""
        next_number = self.stores.operation.next_chunk()
        self.balance = Balance()
        self.reader = SpoolReader(self.root, next_number=next_number, found=self.balance.found)
        return Loader(
            stores=self.stores,
            reader=self.reader,
            state=lambda: self.state,
            tombstones=self.tombstones,
            balance=self.balance,
            seed=KEYS.derive("message"),
            clock_ms=lambda: self.now_ms,
        )

    def off(self) -> int:
        """Audit the balance."""
        return self.balance.audit(self.reader.records_waiting)

    def loses_row(self, table: str, row: int) -> None:
        """Take one row away, as a crash in mid-insert would have."""
        self.database.client().command(
            "alter table {t:Identifier} delete where row = {r:UInt32} settings mutations_sync = 2",
            parameters={"t": table, "r": row},
        )

    def contents(self, table: str) -> list[tuple[Any, ...]]:
        """Give all of a table but the times of writing."""
        found = self.database.client().query(
            "select * except (at) from {t:Identifier}", parameters={"t": table}
        )
        return sorted(found.result_rows, key=repr)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Ask the database."""
        found: list[tuple[Any, ...]] = self.database.client().query(query).result_rows
        return found


@pytest.fixture
def workshop(database: Any, tmp_path: Path) -> Workshop:
    """Give an empty workshop."""
    return Workshop(database, tmp_path)


def visitor(number: int) -> bytes:
    return number.to_bytes(16, "big")


def message(number: int, *, who: int = 1, meta: dict[str, Any] | None = None, **body: Any) -> bytes:
    type_ = body.get("type", "page")
    whole = {"messageId": f"m{number}", **body}
    kept = Meta(site="shop", agent=AGENT, **{"type": type_, **(meta or {})})
    raw = json.dumps(whole).encode()
    return write_record(
        Kind.MESSAGE, NOW_US + number, visitor(who) if who else bytes(16), kept, raw
    )


def order(number: int, **more: Any) -> bytes:
    lines = [
        {"product_id": "p1", "category": "cycling", "price": 900.5, "quantity": 1},
        {"product_id": "p2", "category": "grocery", "price": 2, "quantity": 3},
    ]
    properties = {"order_id": f"o{number}", "total": 906.5, "currency": "USD", "products": lines}
    body = {"type": "track", "event": "Order Completed", "properties": properties}
    return message(number, **{**body, **more})


def test_a_chunk_is_loaded_once(workshop: Workshop) -> None:
    """Every message becomes one event, product lines and all, and the chunk is let go."""
    workshop.spools([order(1), message(2, who=2)])
    loaded = workshop.loader().load_all()
    assert [(each.records, each.stored, each.bad) for each in loaded] == [(2, 2, 0)]
    assert workshop.rows(
        "select event, products.category, products.price, total from events order by row"
    ) == [("Order Completed", ["cycling", "grocery"], [900.5, 2.0], 906.5), ("page", [], [], 0.0)]
    assert workshop.rows("select count() from events_by_visitor") == [(2,)]
    assert workshop.rows("select count() from chunks") == [(1,)]
    assert list((workshop.root / "claimed").iterdir()) == []
    assert workshop.off() == 0
    assert workshop.balance.sheet().received == 2


@pytest.mark.embedded
def test_a_long_backlog_is_loaded_in_turns(workshop: Workshop) -> None:
    """When its time is over the loader begins no chunk more; the rest stays claimed and counted."""
    workshop.spools([message(1)])
    workshop.spools([message(2)])
    loader = workshop.loader()
    assert loader.load_all(seconds_max=0) == []
    assert len(list((workshop.root / "claimed").iterdir())) == 2
    assert workshop.off() == 0
    assert len(loader.load_all(seconds_max=60)) == 2
    assert workshop.off() == 0


@pytest.mark.embedded
def test_the_same_message_counts_once(workshop: Workshop) -> None:
    """A message that is sent again, in the same chunk or a later one, is a duplicate."""
    workshop.spools([message(1), message(1)])
    loader = workshop.loader()
    loader.load_all()
    workshop.spools([message(1), message(2)])
    loader.load_all()
    assert workshop.rows("select count() from events") == [(2,)]
    assert workshop.balance.sheet().duplicates == 2
    assert workshop.off() == 0
    workshop.spools([message(1)])
    workshop.loader().load_all()
    assert workshop.rows("select count() from events") == [(2,)]
    assert workshop.off() == 0


@pytest.mark.parametrize("lost", ["events", "events_by_visitor", "identifications", "partner_ids"])
def test_a_half_loaded_chunk_is_completed(workshop: Workshop, lost: str) -> None:
    """After a crash in mid-insert only what is missing is inserted, table by table."""
    proof = {"proved": "123456", "method": "purchase", "type": "track"}
    offer = write_record(
        Kind.OFFER, NOW_US, visitor(1), Meta(site="shop", partner="xandr", nonce=7), b""
    )
    workshop.spools([order(1, meta=proof), order(2, meta=proof), offer])
    chunk = next(workshop.root.glob("w*/*.chunk"))
    content = chunk.read_bytes()
    workshop.loader().load_all()
    before = {table: workshop.contents(table) for table in TABLES}
    workshop.rows("truncate table chunks")
    workshop.loses_row(lost, 1)
    (workshop.root / "claimed" / f"000000000001-{chunk.name}").write_bytes(content)
    workshop.loader().load_all()
    assert workshop.off() == 0
    assert {table: workshop.contents(table) for table in TABLES} == before


TABLES = ("events", "events_by_visitor", "identifications", "partner_ids", "visitors", "customers")


@pytest.mark.embedded
def test_a_loaded_chunk_that_comes_back_adds_nothing(workshop: Workshop) -> None:
    """A chunk whose ledger row stands is let go without another look."""
    workshop.spools([message(1)])
    chunk = next(workshop.root.glob("w*/*.chunk"))
    content = chunk.read_bytes()
    workshop.loader().load_all()
    (workshop.root / "claimed" / "000000000001-again.chunk").write_bytes(content)
    workshop.loader().load_all()
    assert workshop.rows("select count() from events") == [(1,)]


def test_a_bad_record_is_set_aside_and_its_neighbours_are_kept(workshop: Workshop) -> None:
    """A record that cannot be read is kept with its bytes and reason, beside the good ones."""
    meta = Meta(site="shop", type="track", agent=AGENT)
    bad = write_record(Kind.MESSAGE, NOW_US, visitor(1), meta, b"{broken")
    workshop.spools([message(1), bad, message(3)])
    workshop.loader().load_all()
    (found,) = workshop.stores.operation.bad_records(10)
    assert (found.row, found.reason, found.bytes) == (1, "malformed", bad)
    assert workshop.rows("select count() from events") == [(2,)]
    assert workshop.off() == 0


@pytest.mark.embedded
@pytest.mark.parametrize(
    ("days", "expected_days", "flags"),
    [(-1, -1, 0), (-34, -34, 0), (-40, 0, 1), (1, 0, 1)],
    ids=["yesterday", "five weeks", "too old", "the future"],
)
def test_browser_clocks_are_judged(
    workshop: Workshop, days: int, expected_days: int, flags: int
) -> None:
    """A browser's time outside its window becomes the time of receipt, and says so."""
    moment = NOW_US // 1_000_000 + days * 86_400
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))
    workshop.spools([message(1, timestamp=at)])
    workshop.loader().load_all()
    ((found, flagged),) = workshop.rows(
        "select dateDiff('hour', received_at, at), flags from events"
    )
    assert abs(found - expected_days * 24) <= 1
    assert flagged == flags


@pytest.mark.embedded
def test_a_server_may_send_old_orders(workshop: Workshop) -> None:
    """With the server key a time long ago stands as it is."""
    proof = {"proved": "123456", "method": "purchase", "server": True, "type": "track"}
    workshop.spools([order(1, who=0, meta=proof, timestamp="2001-05-06T07:08:09Z")])
    workshop.loader().load_all()
    assert workshop.rows("select toString(at), visitor, customer, flags from events") == [
        ("2001-05-06 07:08:09.000", 0, 1, 4)
    ]


@pytest.mark.embedded
def test_bots_are_flagged_not_dropped(workshop: Workshop) -> None:
    """A crawler's page is kept with its flag."""
    crawler = {"agent": "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"}
    raw = json.dumps({"messageId": "m1"}).encode()
    meta = Meta(site="shop", type="page", **crawler)
    workshop.spools([write_record(Kind.MESSAGE, NOW_US, visitor(1), meta, raw)])
    workshop.loader().load_all()
    assert workshop.rows("select flags from events") == [(2,)]


@pytest.mark.embedded
def test_an_unsigned_claim_makes_no_customer(workshop: Workshop) -> None:
    """A claimed CRM id that nobody knows leaves no customer and no link."""
    workshop.spools([message(1, type="identify", userId="made up")])
    workshop.loader().load_all()
    assert workshop.rows("select count() from customers") == [(0,)]
    assert workshop.rows("select count() from identifications") == [(0,)]


def offered(nonce: int, *, partner: str = "xandr") -> bytes:
    meta = Meta(site="shop", partner=partner, nonce=nonce)
    return write_record(Kind.OFFER, NOW_US, visitor(1), meta, b"")


def came(nonce: int, uid: str, *, reason: str = "") -> bytes:
    meta = Meta(site="", partner="xandr", nonce=nonce, uid=uid, reason=reason)
    return write_record(Kind.PARTNER_ID, NOW_US, visitor(1), meta, b"")


def partner_rows(workshop: Workshop) -> list[tuple[Any, ...]]:
    return workshop.rows(
        "select toString(action), reason, id from partner_ids order by chunk, row % 2147483648, row"
    )


def test_an_id_is_stored_once_per_offer(workshop: Workshop) -> None:
    """The first id that answers an offer counts; a replay is refused, also after a restart."""
    workshop.spools([offered(7), came(7, "1" * 19), came(7, "2" * 19)])
    workshop.loader().load_all()
    workshop.spools([came(7, "4" * 19)])
    workshop.loader().load_all()
    assert partner_rows(workshop) == [
        ("offered", "", ""),
        ("stored", "", "1" * 19),
        ("refused", "answered", ""),
        ("refused", "answered", ""),
    ]


@pytest.mark.embedded
@pytest.mark.parametrize("must_restart", [False, True], ids=["running", "restarted"])
@pytest.mark.parametrize("uid", ["1" * 19, ""], ids=["an id", "a deletion"])
def test_an_id_may_come_before_its_offer(
    workshop: Workshop, uid: str, *, must_restart: bool
) -> None:
    """When another tag process took the offer, the id waits for it, and counts once."""
    workshop.spools([came(7, uid)])
    loader = workshop.loader()
    loader.load_all()
    assert partner_rows(workshop) == [("waiting", "", uid)]
    workshop.spools([came(7, "2" * 19)] if uid else [])
    workshop.spools([offered(7)])
    (workshop.loader() if must_restart else loader).load_all()
    answers = [row for row in partner_rows(workshop) if row[0] in {"stored", "deleted"}]
    assert answers == [("stored" if uid else "deleted", "", uid)]
    workshop.spools([came(7, "3" * 19)])
    workshop.loader().load_all()
    assert partner_rows(workshop)[-1] == (
        ("refused", "answered", "") if uid else ("stored", "", "3" * 19)
    )


def test_an_id_without_an_offer_is_never_stored(workshop: Workshop) -> None:
    """An id whose offer does not come, or was made to another partner, is nobody's."""
    workshop.spools([came(8, "3" * 19), came(9, "3" * 19), came(9, "", reason="bad_pattern")])
    workshop.spools([offered(9, partner="the_trade_desk")])
    workshop.loader().load_all()
    assert [row[:2] for row in partner_rows(workshop)] == [
        ("waiting", ""),
        ("waiting", ""),
        ("refused", "bad_pattern"),
        ("offered", ""),
        ("refused", "no_offer"),
    ]
    assert workshop.rows("select count() from partner_ids where visitor != 0") == [(1,)]


@pytest.mark.parametrize("lost", [0, 1 << 31], ids=["the offer", "the id that had waited"])
def test_a_chunk_with_an_awaited_offer_is_repaired(workshop: Workshop, lost: int) -> None:
    """After a crash in mid-insert the offer and the id that waited for it are there once."""
    workshop.spools([came(7, "1" * 19)])
    workshop.loader().load_all()
    workshop.spools([offered(7)])
    chunk = next(workshop.root.glob("w*/*.chunk"))
    content = chunk.read_bytes()
    workshop.loader().load_all()
    before = workshop.contents("partner_ids")
    assert len(before) == 3
    workshop.rows("alter table chunks delete where chunk = 2 settings mutations_sync = 2")
    workshop.rows(
        f"alter table partner_ids delete where chunk = 2 and row = {lost} "
        "settings mutations_sync = 2"
    )
    (workshop.root / "claimed" / f"000000000002-{chunk.name}").write_bytes(content)
    workshop.loader().load_all()
    assert workshop.contents("partner_ids") == before


def test_offers_of_before_a_long_outage_are_remembered(workshop: Workshop) -> None:
    """What waited while the engine was away meets the offers and messages of its own time."""
    workshop.spools([offered(7), message(1)])
    workshop.loader().load_all()
    workshop.spools([came(7, "1" * 19), message(1)])
    waited = next(workshop.root.glob("w*/*.chunk"))
    at_s = NOW_US / 1e6
    os.utime(waited, (at_s, at_s))
    workshop.now_ms += 8 * 86_400_000
    workshop.loader().load_all()
    assert partner_rows(workshop)[-1] == ("stored", "", "1" * 19)
    assert workshop.balance.sheet().duplicates == 1


def replay(workshop: Workshop) -> list[bytes]:
    """Give the bad records as `POST /api/bad/replay` spools them."""
    return [
        bytes_of(
            msgspec.structs.replace(
                record, meta=msgspec.structs.replace(record.meta, again=row.origin)
            )
        )
        for row in workshop.stores.operation.bad_records(10, only_untried=True)
        for record in [read_record(row.bytes)]
    ]


def broken() -> bytes:
    meta = Meta(site="shop", type="page", agent=AGENT)
    return write_record(Kind.MESSAGE, NOW_US, visitor(1), meta, b"{broken")


def test_a_bad_record_is_tried_again_once(workshop: Workshop) -> None:
    """Loading a replay marks its origin: a second one, in whatever chunk, is a duplicate."""
    workshop.spools([broken()])
    loader = workshop.loader()
    loader.load_all()
    again = replay(workshop)
    workshop.spools([*again, *again])
    loader.load_all()
    workshop.spools(again)
    workshop.loader().load_all()
    found = workshop.stores.operation.bad_records(10)
    assert sorted((row.chunk, row.replayed) for row in found) == [(1, True), (2, False)]
    assert workshop.balance.sheet().duplicates == 1
    assert workshop.off() == 0


def test_a_replay_survives_a_crash_before_the_ledger(workshop: Workshop) -> None:
    """A replaying chunk that is loaded again is not taken for its own duplicate."""
    workshop.spools([broken()])
    workshop.loader().load_all()
    workshop.spools(replay(workshop))
    chunk = next(workshop.root.glob("w*/*.chunk"))
    content = chunk.read_bytes()
    workshop.loader().load_all()
    workshop.rows("alter table chunks delete where chunk = 2 settings mutations_sync = 2")
    (workshop.root / "claimed" / f"000000000002-{chunk.name}").write_bytes(content)
    workshop.loader().load_all()
    assert workshop.balance.sheet().bad == 1
    assert workshop.rows("select count() from bad_replays") == [(1,)]


@pytest.mark.embedded
def test_a_chunk_that_vanishes_shows_in_the_balance(workshop: Workshop) -> None:
    """Records of a claimed file that somebody removes are missing from the balance."""
    workshop.spools([message(1), message(2)])
    workshop.loader()
    (chunk,) = workshop.reader.claim()
    assert workshop.off() == 0
    chunk.path.unlink()
    assert workshop.off() == 2
    assert workshop.balance.sheet().off == 2


@pytest.mark.embedded
def test_a_chunk_that_is_loaded_twice_shows_in_the_balance(workshop: Workshop) -> None:
    """A file that is put back by hand brings records that nobody received."""
    workshop.spools([message(1), message(2)])
    chunk = next(workshop.root.glob("w*/*.chunk"))
    content = chunk.read_bytes()
    loader = workshop.loader()
    loader.load_all()
    (workshop.root / "claimed" / f"000000000001-{chunk.name}").write_bytes(content)
    loader.load_all()
    assert workshop.off() == -2


@pytest.mark.embedded
def test_damage_is_set_aside_and_what_is_behind_it_is_loaded(workshop: Workshop) -> None:
    """One flipped bit costs one record, which the balance misses and quarantine keeps."""
    workshop.spools([message(1), message(2), message(3)])
    chunk = next(workshop.root.glob("w*/*.chunk"))
    content = bytearray(chunk.read_bytes())
    content[len(content) // 2] ^= 1
    chunk.write_bytes(content)
    (loaded,) = workshop.loader().load_all()
    assert "checksum" in loaded.damage
    assert workshop.rows("select count() from events") == [(2,)]
    assert workshop.off() == 1
    assert workshop.reader.quarantined() == 1
    workshop.reader.forget_quarantine(time.time() + 29 * 86_400)
    assert workshop.reader.quarantined() == 1
    workshop.reader.forget_quarantine(time.time() + 31 * 86_400)
    assert workshop.reader.quarantined() == 0


@pytest.mark.embedded
def test_text_that_is_no_utf_8_is_bad_alone(workshop: Workshop) -> None:
    """Bytes that no text has do not keep their chunk from being loaded."""
    meta = Meta(site="shop", type="page", agent=AGENT)
    body = b'{"messageId":"m9","properties":{"title":"\xff\xfe"}}'
    bad = write_record(Kind.MESSAGE, NOW_US, visitor(1), meta, body)
    workshop.spools([message(1), bad])
    workshop.loader().load_all()
    assert workshop.rows("select count() from events") == [(1,)]
    assert workshop.balance.sheet().bad == 1


def test_what_came_before_a_tombstone_is_dropped(workshop: Workshop) -> None:
    """After an erasure old messages of this person, and later ones dated before it, are refused."""
    hashes = (workshop.tombstones.hash_of("crm_id", "123456"),)
    workshop.tombstones.add(
        Tombstone(act=Act.ERASE, at_ms=NOW_US // 1000 + 1, receipt="r", hashes=hashes)
    )
    proof = {"proved": "123456", "method": "purchase", "type": "track", "server": True}
    later = write_record(
        Kind.MESSAGE,
        NOW_US + 10_000_000,
        bytes(16),
        Meta(site="shop", **proof),
        json.dumps({"messageId": "new", "event": "Order Completed", "userId": "123456"}).encode(),
    )
    workshop.spools([order(1, meta=proof), message(2, who=5), later])
    workshop.loader().load_all()
    assert workshop.rows("select count() from events") == [(2,)]
    assert workshop.balance.sheet().dropped == {"suppressed": 1}


def withdrawal(number: int, who: int, signals: Signals) -> bytes:
    meta = Meta(site="shop", signals=encode_signals(signals))
    return write_record(Kind.CONSENT, NOW_US + number, visitor(who), meta, b"")


@pytest.mark.parametrize("signals", [Signals(explicit={"store": False}), Signals(opted_out=True)])
def test_a_withdrawal_makes_nobody_known(workshop: Workshop, signals: Signals) -> None:
    """Who was never stored is not stored for refusing; who is known is, also by the same chunk."""
    workshop.spools([message(1, who=1)])
    workshop.loader().load_all()
    known = [withdrawal(2, 1, signals), message(3, who=2), withdrawal(4, 2, signals)]
    workshop.spools([*known, withdrawal(5, 3, signals)])
    workshop.loader().load_all()
    assert workshop.rows("select count() from visitors") == [(2,)]
    assert workshop.rows("select count(), uniqExact(visitor) from consents") == [(2, 2)]
    assert workshop.balance.sheet().dropped["unknown_visitor"] == 1
    assert workshop.off() == 0


@pytest.mark.embedded
@pytest.mark.parametrize("restart", [False, True])
def test_nothing_more_is_kept_of_who_opted_out(workshop: Workshop, *, restart: bool) -> None:
    """A server that still names the browser adds nothing, now or after a restart."""
    workshop.spools([message(1, who=1), message(2, who=2)])
    loader = workshop.loader()
    loader.load_all()
    workshop.spools([withdrawal(3, 1, Signals(opted_out=True))])
    loader.load_all()
    server = {"server": True, "type": "track", "signals": encode_signals(Signals(gpc=True))}
    workshop.spools([order(4, who=1, meta=server), order(5, who=2, meta=server)])
    (workshop.loader() if restart else loader).load_all()
    assert workshop.rows("select count() from events where event = 'Order Completed'") == [(1,)]
    assert workshop.balance.sheet().dropped["opted_out"] == 1
    assert workshop.off() == 0


def test_an_opt_out_s_chunk_that_is_read_again_loses_the_same(workshop: Workshop) -> None:
    """A chunk with an opt-out that was half loaded ends as if it had been loaded at once."""
    workshop.spools(
        [message(1, who=1), message(2, who=2), withdrawal(3, 2, Signals(opted_out=True))]
    )
    (path,) = workshop.root.glob("*/*.chunk")
    content = path.read_bytes()
    workshop.loader().load_all()
    whole = workshop.contents("events")
    assert len(whole) == 1
    workshop.loses_row("events", 0)
    workshop.database.client().command("truncate table chunks")
    workshop.root.joinpath("claimed", f"{1:012d}-{path.parent.name}-{path.name}").write_bytes(
        content
    )
    workshop.loader().load_all()
    assert workshop.contents("events") == whole
    assert workshop.rows("select count() from consents") == [(1,)]


def test_consent_is_kept_when_it_changes(workshop: Workshop) -> None:
    """Signals of a visitor are stored when they are new, not with every message."""
    no = encode_signals(Signals(us_privacy="1YYN"))
    told = {"type": "page", "signals": no}
    workshop.spools([message(1), message(2, meta=told), message(3, meta=told)])
    workshop.loader().load_all()
    assert workshop.rows("select signals from consents") == [(no,)]
