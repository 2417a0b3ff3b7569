"""Ticks of an engine: what they patch, what they ask anew, and that both are the same."""

import json
import time

import pytest
from pyroaring import BitMap

from audiences.criteria import Criteria
from audiences.rule import decode_audience, decode_rule
from matching.customer_traits_store import CustomerTrait
from matching.ids import VISITOR_FIRST
from matching.people import Identity
from service.engine.engine import Engine
from service.tag.record import Kind, Meta, write_record
from service.tag.spool import Spool, SpoolSettings, writer_name
from service.tag.tokens import Keys

pytestmark = [pytest.mark.embedded, pytest.mark.slow]

KEYS = Keys({1: bytes(32)})
LAST = Identity.LAST_AUTHENTICATED
CRITERIA = [
    decode_rule({"type": "did", "event": "Order Completed", "within_days": 30}),
    decode_rule({"type": "did", "event": "Order Completed", "at_least": 2}),
    decode_rule({"type": "did", "event": "Order Completed", "exactly": 0}),
    decode_rule({"type": "trait", "trait": "age", "op": "is", "value": 26}),
    decode_rule({"type": "identified"}),
]
BUYERS = {"name": "Buyers", "rule": {"type": "did", "event": "Order Completed"}}


@pytest.fixture
def engine(engine: Engine) -> Engine:
    """Give the engine an audience of all who bought."""
    engine.stores.audiences.save(decode_audience(BUYERS, key="buyers"), engine.now_ms())
    engine.define()
    return engine


def buys(engine: Engine, *customers: str, event: str = "Order Completed") -> None:
    """Let the shop's server report an order of each customer."""
    spool = Spool(
        engine.environment.data / "spool",
        writer=writer_name(0),
        settings=SpoolSettings(reserve_bytes=0),
        clock=time.monotonic,
    )
    now_us = time.time_ns() // 1000
    records = []
    for number, crm_id in enumerate(customers):
        meta = Meta(site="demo", type="track", proved=crm_id, method="server", server=True)
        body = {
            "type": "track",
            "event": event,
            "userId": crm_id,
            "messageId": f"{now_us}-{number}",
        }
        visitor = crm_id.encode().rjust(16, b"\0")
        raw = json.dumps(body | {"properties": {"total": 5}}).encode()
        records.append(write_record(Kind.MESSAGE, now_us + number, visitor, meta, raw))
    spool.append(records)
    spool.close()


def fresh(engine: Engine) -> Criteria:
    """Give criteria over the engine's world that know nothing."""
    stores = engine.stores
    return Criteria(
        events=stores.asked_events,
        traits=stores.traits,
        days=engine.days,
        world=engine.criteria.world,
        synced=lambda _: BitMap(),
        built=engine.builder.members,
    )


def agrees(engine: Engine) -> None:
    """Compare every criterion with one that is asked anew."""
    anew, now_ms = fresh(engine), engine.now_ms()
    for identity in Identity:
        for each in CRITERIA:
            known = engine.criteria.members(each, identity, now_ms)
            assert known == anew.members(each, identity, now_ms), (each, identity)


def test_a_tick_patches_what_is_cached_and_builds_from_it(engine: Engine) -> None:
    """Orders of new and known customers are in criteria and audiences after one tick."""
    buys(engine, "123456", "123457")
    engine.tick()
    agrees(engine)
    assert len(engine.builder.members("buyers")) == 2
    nobody = decode_rule({"type": "did", "event": "Never"})
    before = engine.criteria.bitmap(nobody, LAST, engine.now_ms())
    buys(engine, "123456", "123458")
    buys(engine, "123459", event="Page")
    engine.tick()
    # Why by identity: a full renewal would have asked for it anew.
    assert engine.criteria.bitmap(nobody, LAST, engine.now_ms()) is before
    agrees(engine)
    assert len(engine.builder.members("buyers")) == 3
    twice = engine.criteria.members(CRITERIA[1], LAST, engine.now_ms())
    assert len(twice) == 1
    assert max(twice) < VISITOR_FIRST


def test_an_import_of_traits_asks_for_traits_alone(engine: Engine) -> None:
    """After an import the traits are new, and what people did stays as it was cached."""
    buys(engine, "123456")
    engine.tick()
    agrees(engine)
    bought = engine.criteria.bitmap(CRITERIA[0], LAST, engine.now_ms())
    (customer,) = bought
    row = CustomerTrait(
        customer=customer, trait="age", kind="number", number=26, source="crm", at_ms=1
    )
    engine.stores.customers.put_traits([row])
    engine.imported()
    engine.tick()
    agrees(engine)
    assert engine.criteria.members(CRITERIA[3], LAST, engine.now_ms()) == bought
    assert engine.criteria.bitmap(CRITERIA[0], LAST, engine.now_ms()) is bought


@pytest.mark.parametrize("way", ["changed", "failed"])
def test_after_an_unknown_change_everything_is_asked_anew(engine: Engine, way: str) -> None:
    """What changed behind the stores' backs is found once somebody says that something did."""
    buys(engine, "123456", "123457")
    engine.tick()
    agrees(engine)
    engine.clickhouse.client().command("truncate table events")
    if way == "changed":
        engine.changed()
    else:
        engine.builder.build_all = None  # type: ignore[assignment, method-assign]
        buys(engine, "123458")
        with pytest.raises(TypeError):
            engine.tick()
        del engine.builder.build_all
    engine.tick()
    agrees(engine)


def test_definitions_change_no_data(engine: Engine) -> None:
    """A new definition is known at once, over the people of the last renewal."""
    buys(engine, "123456")
    engine.tick()
    world = engine.criteria.world
    engine.stores.audiences.save(decode_audience(BUYERS, key="others"), engine.now_ms())
    engine.define()
    assert set(engine.criteria.world.audiences) >= {"buyers", "others"}
    assert engine.criteria.world.data_version == world.data_version
    assert engine.criteria.world.people is world.people
