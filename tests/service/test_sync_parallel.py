"""A hundred partners answer one browser at once, and nothing is lost."""

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from audiences.calendar_days import CalendarDays
from matching.partners import Partner, known_facts
from matching.people import Limits
from service.engine.loader import Loader
from service.engine.spool_reader import SpoolReader
from service.engine.stores import Stores
from service.engine.tombstones import Tombstones
from service.metrics import Balance
from service.tag.process import TagProcess
from service.tag.spool import SpoolSettings
from service.tag.tag_state import Site, TagState, write_tag_state
from service.tag.visitor_cookie import mint_visitor, write_cookie

pytestmark = [pytest.mark.clickhouse, pytest.mark.embedded]

COUNT = 100
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
PIXEL = known_facts("pixel") | {"name": "P", "enabled": True, "account": {"host": "p.example"}}
PARTNERS = tuple(
    msgspec.convert(PIXEL | {"key": f"p{number}", "id_space": f"p{number}"}, Partner)
    for number in range(COUNT)
)


def test_parallel_callbacks_of_one_browser_lose_nothing(database: Any, tmp_path: Path) -> None:
    """Thirteen pages offer a hundred partners; all answer together; each id has its row."""
    state = TagState(
        published_s=int(time.time()),
        sites=(Site(key="shop", write_key="w", consent_default="allow"),),
        partners=PARTNERS,
        callback_base="http://t.example",
    )
    write_tag_state(tmp_path / "tag-state", state)
    settings = SpoolSettings(reserve_bytes=0)
    tag = TagProcess(tmp_path, worker=0, settings=settings, balance=Balance())
    visitor = mint_visitor()
    cookie = write_cookie(tag.keys, visitor, now_s=int(time.time()))
    statuses = asyncio.run(_visit(tag, cookie))
    tag.spool.close()
    assert statuses == [200] * COUNT
    stores = Stores(database, days=CalendarDays("UTC"), limits=Limits())
    balance = Balance()
    reader = SpoolReader(tmp_path / "spool", next_number=1, found=balance.found)
    Loader(
        stores=stores,
        reader=reader,
        state=lambda: state,
        tombstones=Tombstones(tmp_path / "tombstones.log", tag.keys),
        balance=balance,
        seed=bytes(32),
        clock_ms=lambda: int(time.time() * 1000),
    ).load_all()
    ordinal = int(stores.customers.find_visitors([visitor])[0])
    rows = stores.partner_ids.of_visitors([ordinal])
    stored = {row.partner: row.id for row in rows if row.action == "stored"}
    assert stored == {each.key: f"id-of-{each.key}" for each in PARTNERS}


async def _visit(tag: TagProcess, cookie: str) -> list[int]:
    transport = httpx.ASGITransport(app=tag.endpoint)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://t.example") as browser:
        browser.cookies.set("jml", cookie)
        browser.headers["User-Agent"] = AGENT
        callbacks: list[str] = []
        while len(callbacks) < COUNT:
            answer = await browser.post("/cookie_sync?account=w", json={})
            offers = answer.json()["bidder_status"]
            assert offers
            callbacks += [_callback(each["usersync"]["url"]) for each in offers]
        answers = await asyncio.gather(*(browser.get(each) for each in callbacks))
    return [each.status_code for each in answers]


def _callback(url: str) -> str:
    redirect = httpx.URL(url).params["redir"]
    key = httpx.URL(redirect).params["bidder"]
    return redirect.replace("[UID]", f"id-of-{key}")
