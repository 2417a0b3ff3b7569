"""Chunks become rows: thousands of messages at once give what each would give alone."""

import json
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any
from zlib import crc32

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matching.ordinals import bytes_of_keys
from service.engine.chunk_records import ChunkRecords, columns_of, records_of
from service.engine.chunk_rows import ChunkRows, rows_of
from service.engine.event_times import EARLY_MS_MAX, LATE_MS_MAX
from service.engine.seen_messages import SeenMessages
from service.engine.tombstones import Act, Tombstone, Tombstones
from service.tag.bots import is_bot
from service.tag.messages import FACTS_OF, Message, read_time_ms, server_time_fault
from service.tag.record import MAGIC, Kind, Meta, Record, bytes_of, write_record
from service.tag.tag_state import Site
from service.tag.tokens import Keys

NOW_MS = 1_795_000_000_000
NOBODY = bytes(16)
ERASED = (7).to_bytes(16, "little")
CRAWLER = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
SITES = {
    "shop": Site(key="shop", write_key="w", consent_default="allow", identify="proved"),
    "open": Site(key="open", write_key="o", consent_default="allow", identify="open"),
}


class Body(msgspec.Struct, rename="camel"):
    """All that is read of any message."""

    given_id: str | None = msgspec.field(default=None, name="messageId")
    timestamp: str | None = None
    event: str | None = None
    properties: msgspec.Raw = msgspec.Raw(b"")
    traits: msgspec.Raw = msgspec.Raw(b"")
    sent_at: str | None = None
    named: str | int | None = msgspec.field(default=None, name="userId")
    name: Any = None
    category: Any = None
    group_id: Any = None
    previous_id: Any = None


class OutOfRange(ValueError):
    """A server's time that cannot stand."""


def row_alone(record: Record) -> dict[str, Any]:
    """Make one message's row, as slowly and plainly as can be."""
    meta, received_ms = record.meta, record.received_us // 1000
    body = msgspec.json.decode(record.body, type=Body)
    at_ms, corrected = time_alone(record, body)
    named = "" if body.named is None else str(body.named).strip()
    opened = bool(named) and not meta.proved and SITES[meta.site].identify == "open"
    name = body.given_id or f"{record.received_us}:{record.row}:{crc32(record.body)}"
    bot = not meta.server and is_bot(meta.agent, library_alone(record.body))
    return {
        "row": record.row,
        "received_ms": received_ms,
        "at_ms": at_ms,
        "flags": corrected + 2 * bot + 4 * meta.server,
        "event": (body.event or "") if meta.type == "track" else meta.type,
        "site": meta.site,
        "visitor": record.visitor,
        "proved": named if opened else meta.proved,
        "claimed": "" if opened or meta.proved else named,
        "method": "form" if opened else meta.method,
        "signals": meta.signals,
        "properties": facts_alone(meta.type, body),
        "named": (meta.site, record.visitor, name),
        "names": meta.proved or named,
    }


def time_alone(record: Record, body: Body) -> tuple[int, bool]:
    received_ms = record.received_us // 1000
    if not body.timestamp:
        return received_ms, False
    at_ms = read_time_ms(body.timestamp)
    if record.meta.server:
        fault = server_time_fault(Message(timestamp=body.timestamp), received_ms=received_ms)
        if fault:
            raise OutOfRange(fault)
        return at_ms, False
    sent_at = body.sent_at or record.meta.sent_at
    if sent_at and not -2000 <= received_ms - read_time_ms(sent_at) <= 2000:
        at_ms += received_ms - read_time_ms(sent_at)
    if received_ms - LATE_MS_MAX <= at_ms <= received_ms + EARLY_MS_MAX:
        return at_ms, False
    return received_ms, True


def facts_alone(kind: str, body: Body) -> str:
    raw = bytes(body.traits if kind in {"identify", "group"} else body.properties)
    if raw[:1] != b"{":
        raw = b"{}"
    found = {name: getattr(body, name) for name in FACTS_OF.get(kind, ())}
    own = {name: value for name, value in found.items() if isinstance(value, str | int)}
    if own:
        raw = msgspec.json.encode(own | msgspec.json.decode(raw, type=dict[str, msgspec.Raw]))
    return raw.decode()


class Sent(msgspec.Struct):
    """Of a message: what sent it."""

    context: Any = None


def library_alone(raw: bytes) -> str:
    context = msgspec.json.decode(raw, type=Sent).context
    library = context.get("library") if isinstance(context, dict) else None
    name = library.get("name") if isinstance(library, dict) else None
    return name if isinstance(name, str) else ""


def rows_alone(
    records: Sequence[Record], forbids: Callable[[bytes, int], bool]
) -> tuple[list[dict[str, Any]], list[tuple[int, str]], int]:
    """Give rows, bad records and how many repeat others, one record after the other."""
    rows, bad, seen, repeated = [], [], set(), 0
    for record in records:
        if record.kind is not Kind.MESSAGE:
            continue
        try:
            row = row_alone(record)
        except OutOfRange:
            bad.append((record.row, "time_out_of_range"))
            continue
        except (msgspec.MsgspecError, ValueError, OverflowError):
            bad.append((record.row, "malformed"))
            continue
        if forbids(record.visitor, min(row["at_ms"], row["received_ms"])):
            continue
        repeated += row["named"] in seen
        if row["named"] not in seen:
            seen.add(row["named"])
            rows.append(row)
    return rows, bad, repeated


def told(rows: ChunkRows) -> list[dict[str, Any]]:
    """Write the columns of events as rows."""
    events = rows.events
    packed, bounds = events.properties.packed, events.properties.bounds.tolist()
    texts = [packed[begin:end] for begin, end in pairwise(bounds)]
    return [
        {
            "row": int(events.row[index]),
            "received_ms": int(events.received_ms[index]),
            "at_ms": int(events.at_ms[index]),
            "flags": int(events.flags[index]),
            "event": events.event.names[events.event.codes[index]],
            "site": sender.site,
            "visitor": bytes_of_keys(events.visitor[index : index + 1])[0],
            "proved": events.opened.get(place, events.customers[events.proved[index]]),
            "claimed": events.claimed.get(place, ""),
            "method": "form" if place in events.opened else sender.method,
            "signals": sender.signals,
            "properties": texts[index][1 + (len(texts[index]) > 128) :].decode(),
        }
        for index, place in enumerate(events.place.tolist())
        for sender in [events.senders[events.sender[index]]]
    ]


def iso(at_ms: int) -> str:
    return str(np.datetime64(at_ms, "ms")) + "Z"


near = st.integers(NOW_MS - 40 * 86_400_000, NOW_MS + 600_000).map(iso)
moments = st.integers(NOW_MS - 5_000, NOW_MS + 5_000).map(iso)
times = st.one_of(
    near,
    moments,
    st.integers(-70_000_000_000_000, 240_000_000_000_000).map(iso),
    near.map(lambda text: text[:19] + "+02:00"),
    st.sampled_from(
        [
            "",
            "yesterday",
            "2026-02-29T00:00:00.000Z",
            "2024-02-29T23:59:59.999Z",
            "2026-11-18T24:00:00.000Z",
            "2026-11-18T09:60:00.000Z",
            "2026-11-18 09:05:00.000Z",
            "2026-11-18T09:05:00.25OZ",
            "2026-11-18T09:05:00.123456+00:00",
            "0000-01-01T00:00:00.000Z",
            "0001-01-01T00:00:00.000Z",
            "9999-12-31T23:59:59.999Z",
            "9999-12-31T23:59:59.999-23:59",
            "\uff12026-11-18T09:05:00.000Z",
            "\n" * 24,
            "2026-11-18",
        ]
    ),
)
texts = st.text(max_size=6)
objects = st.dictionaries(texts, st.one_of(texts, st.integers(0, 9)), max_size=3)
things = st.one_of(objects, st.none(), st.lists(st.integers(0, 9), max_size=2), texts)
bodies = st.fixed_dictionaries(
    {},
    optional={
        "messageId": st.one_of(st.none(), st.sampled_from(["a", "b", "c", "", "é"])),
        "timestamp": st.one_of(st.none(), times),
        "sentAt": st.one_of(st.none(), times),
        "event": st.one_of(st.none(), st.sampled_from(["Order Completed", "", "été"])),
        "properties": st.one_of(
            things, st.builds(lambda text: {"t": text}, st.text("xé", min_size=120, max_size=130))
        ),
        "traits": things,
        "userId": st.one_of(st.none(), st.sampled_from(["123456", " 7 ", "", 5, -1])),
        "name": st.one_of(st.none(), texts, st.integers(), objects),
        "category": st.one_of(st.none(), texts),
        "groupId": texts,
        "previousId": texts,
        "context": st.sampled_from(
            [None, {}, {"library": {"name": "analytics-node"}}, {"library": {"name": "x"}}, 5]
        ),
    },
)
raw_bodies = st.one_of(
    bodies.map(lambda body: json.dumps(body, ensure_ascii=False).encode()),
    bodies.map(lambda body: json.dumps(body, indent=1).encode()),
    st.sampled_from(
        [
            b"{broken",
            b"",
            b"[]",
            b"null",
            b'{"messageId":5}',
            b'{"event":{}}',
            b'{"userId":1.5}',
            b'{"properties":{"t":"\xff\xfe"}}',
            b'{"traits":{"t":"\xff\xfe"}}',
            b'{"name":"n","properties":{"t":"\xff"}}',
            b'{"event":"\xff"}',
            b'{"messageId":"\\ud800"}',
            b'{"messageId":"a"} {"messageId":"b"}',
        ]
    ),
)
metas = st.builds(
    Meta,
    site=st.sampled_from(["shop", "open"]),
    type=st.sampled_from(["track", "track", "page", "screen", "identify", "group", "alias"]),
    server=st.booleans(),
    agent=st.sampled_from(["Firefox", CRAWLER]),
    ip=st.sampled_from(["10.0.0.0", "10.0.1.0"]),
    signals=st.sampled_from(["", '{"gpc":true}']),
    proved=st.sampled_from(["", "", "123456"]),
    method=st.just("login"),
    sent_at=st.one_of(st.just(""), times),
)
visitors = st.sampled_from([NOBODY, (1).to_bytes(16, "little"), ERASED])
records = st.lists(
    st.builds(
        lambda kind, at_ms, visitor, meta, body: (kind, at_ms * 1000 + 7, visitor, meta, body),
        st.sampled_from([Kind.MESSAGE] * 9 + [Kind.OFFER]),
        st.integers(NOW_MS - 1000, NOW_MS),
        visitors,
        metas,
        raw_bodies,
    ),
    max_size=12,
)


def chunk_of(drafts: Sequence[tuple[Any, ...]]) -> ChunkRecords:
    return records_of(MAGIC + b"".join(write_record(*draft) for draft in drafts))


@given(records, st.sampled_from(["nobody", "erased", "suppressed"]))
def test_rows_are_those_of_each_record_alone(
    tmp_path_factory: pytest.TempPathFactory, drafts: list[tuple[Any, ...]], act: str
) -> None:
    """Whatever a chunk holds, every message gives the row that it would give alone."""
    tombstones = Tombstones(tmp_path_factory.mktemp("t") / "tombstones.log", Keys({1: bytes(32)}))
    if act != "nobody":
        hashes = (tombstones.hash_of("visitor", ERASED),)
        kind = Act.ERASE if act == "erased" else Act.SUPPRESS
        tombstones.add(Tombstone(act=kind, at_ms=NOW_MS - 500, receipt="r", hashes=hashes))

    def forbids(visitor: bytes, oldest_ms: int) -> bool:
        return visitor == ERASED and (
            act == "suppressed" or (act == "erased" and oldest_ms <= NOW_MS - 500)
        )

    found = chunk_of(drafts)
    rows = rows_of(found, site=SITES.get, seen=SeenMessages(seed=bytes(16)), tombstones=tombstones)
    expected, bad, repeated = rows_alone(list(found), forbids)
    only = told(rows)[0].keys() if len(rows.events) else ()
    assert told(rows) == [{name: row[name] for name in only} for row in expected]
    kept = [each for each in bad if not forbids(drafts[each[0]][2], drafts[each[0]][1] // 1000)]
    assert [(each.row, each.reason) for each in rows.bad] == kept
    assert [each.bytes for each in rows.bad] == [write_record(*drafts[row]) for row, _ in kept]
    assert rows.dropped["duplicate"] == repeated
    stored = len(rows.events) + len(rows.others)
    assert stored + len(rows.bad) + sum(rows.dropped.values()) == len(drafts)


@given(records)
def test_records_side_by_side_are_those_one_by_one(drafts: list[tuple[Any, ...]]) -> None:
    """A chunk's columns give back every record, and those of chosen rows."""
    whole = [
        Record(row=row, kind=kind, received_us=at_us, visitor=visitor, meta=meta, body=body)
        for row, (kind, at_us, visitor, meta, body) in enumerate(drafts)
    ]
    found = chunk_of(drafts)
    assert list(found) == whole
    assert list(columns_of(whole[1:])) == whole[1:]
    assert list(found.without({0, 2, 99})) == [each for each in whole if each.row not in {0, 2}]


def test_records_that_are_tried_again_are_found() -> None:
    """Only records that name an earlier bad one are given."""
    again = Meta(site="shop", type="page", again="1:7")
    drafts = [
        (Kind.MESSAGE, NOW_MS * 1000, NOBODY, meta, b"{}") for meta in (Meta(site="shop"), again)
    ]
    (only,) = chunk_of(drafts).tried_again()
    assert (only.row, only.meta.again) == (1, "1:7")
    assert bytes_of(only) == write_record(*drafts[1])
