"""The bodies of a chunk's messages become columns: what rows of events are made of.

Records come in, arrays and packed texts go out, and the records that cannot be read with the
reason. Only what rows are made of is read; whether a message is one, the door has judged.
"""

from collections.abc import Collection, Sequence
from typing import Any, Final
from zlib import crc32

import msgspec
import numpy as np
from numpy.typing import NDArray

from audiences.native_block import CodedTexts, PackedTexts, joined_texts, pack_texts
from service.engine.chunk_records import ChunkRecords
from service.engine.event_times import Told, Unreadable, batch_time_ms, event_times
from service.engine.seen_messages import SeenMessages
from service.tag.messages import FACTS_OF

PIECE: Final = 4_096
"""So many messages at once: few enough to stay in the processor's cache, enough for arrays."""
TRAITS_OF: Final = frozenset({"identify", "group"})
UNREADABLE: Final = (msgspec.MsgspecError, ValueError, OverflowError, RecursionError)
_BRACE: Final = ord("}")

Places = NDArray[np.intp]


class MessageColumns(msgspec.Struct, frozen=True, kw_only=True):
    """One item for each message that can be read, in the records' order; `place` says which."""

    place: Places
    at_ms: NDArray[np.int64]
    corrected: NDArray[np.bool_]
    event: CodedTexts
    message_hash: NDArray[np.uint64]
    properties: PackedTexts
    named: dict[int, str]
    """Whom a message itself names, by the record's place."""
    bad: dict[int, Unreadable]
    """Why others cannot be read, by the record's place."""


class _Tracked(msgspec.Struct, rename="camel", gc=False):
    """What is read of a tracked event."""

    given_id: str | None = msgspec.field(default=None, name="messageId")
    timestamp: str | None = None
    event: str | None = None
    properties: msgspec.Raw = msgspec.Raw(b"")
    sent_at: str | None = None
    named: str | int | None = msgspec.field(default=None, name="userId")


class _Other(_Tracked, rename="camel", gc=False):
    """What is read of every other message."""

    traits: msgspec.Raw = msgspec.Raw(b"")
    name: Any = None
    category: Any = None
    group_id: Any = None
    previous_id: Any = None


_DECODE_TRACKED: Final = msgspec.json.Decoder(_Tracked).decode
_DECODE_OTHER: Final = msgspec.json.Decoder(_Other).decode


class _Codes(dict[str | None, int]):
    """Numbers names in the order in which they are met."""

    def __missing__(self, name: str | None) -> int:
        code = self[name] = len(self)
        return code


class _Piece(msgspec.Struct, frozen=True, kw_only=True):
    """The columns of some messages that all can be read."""

    place: Places
    at_ms: NDArray[np.int64]
    corrected: NDArray[np.bool_]
    event: NDArray[np.uint32]
    message_hash: NDArray[np.uint64]
    properties: PackedTexts


def read_messages(records: ChunkRecords, places: Places, seen: SeenMessages) -> MessageColumns:
    """Read the messages at these places."""
    return _Reader(records, seen).read(places)


class _Reader:
    """Reads one chunk; what is the same for all messages of one sender is worked out once."""

    def __init__(self, records: ChunkRecords, seen: SeenMessages) -> None:
        self._records = records
        self._seen = seen
        self._types = records.of_sender(lambda meta: meta.type, object)
        self._tracked = records.of_sender(lambda meta: meta.type == "track", np.bool_)
        self._server = records.of_sender(lambda meta: meta.server, np.bool_)
        self._sent_at = records.of_sender(lambda meta: meta.sent_at, object)
        self._sent_ms = records.of_sender(lambda meta: batch_time_ms(meta.sent_at), np.int64)
        sites = _Codes()
        self._site = records.of_sender(lambda meta: sites[meta.site], np.intp)
        hashes = [seen.hash_of_site(site or "") for site in sites]
        self._site_hashes = np.array(hashes, dtype=np.uint64)
        self._received_ms = records.received_ms
        self._events = _Codes()
        self._named: dict[int, str] = {}
        self._bad: dict[int, Unreadable] = {}

    def read(self, places: Places) -> MessageColumns:
        """Read all messages, some thousand at once."""
        pieces = [
            self._piece(places[begin : begin + PIECE])
            for begin in range(0, max(len(places), 1), PIECE)
        ]

        def whole(column: str) -> NDArray[Any]:
            return np.concatenate([getattr(each, column) for each in pieces])

        return MessageColumns(
            place=whole("place"),
            at_ms=whole("at_ms"),
            corrected=whole("corrected"),
            event=CodedTexts(names=[name or "" for name in self._events], codes=whole("event")),
            message_hash=whole("message_hash"),
            properties=joined_texts([each.properties for each in pieces]),
            named=self._named,
            bad=self._bad,
        )

    def _piece(self, places: Places) -> _Piece:
        messages, places = self._decoded(places)
        properties = self._packed_facts(messages, places)
        times = event_times(self._told(messages, places))
        self._bad |= {int(places[index]): why for index, why in times.faults.items()}
        self._put_named(messages, places)
        piece = _Piece(
            place=places,
            at_ms=times.at_ms,
            corrected=times.corrected,
            event=self._event_codes(messages, places),
            message_hash=self._hashes(messages, places),
            properties=properties,
        )
        return _without(piece, self._bad.keys()) if self._bad else piece

    def _decoded(self, places: Places) -> tuple[Sequence[_Other], Places]:
        """Decode the bodies; when one cannot be, each alone."""
        content = self._records.content
        decoders = [_DECODE_TRACKED if each else _DECODE_OTHER for each in self._tracked[places]]
        begins, ends = self._records.begin[places].tolist(), self._records.end[places].tolist()
        whole: Any
        try:
            whole = [
                decode(content[begin:end])
                for decode, begin, end in zip(decoders, begins, ends, strict=True)
            ]
        except UNREADABLE:
            whole, kept = [], []
            for index, decode in enumerate(decoders):
                try:
                    whole.append(decode(content[begins[index] : ends[index]]))
                    kept.append(index)
                except UNREADABLE as problem:
                    self._set_bad(places[index], problem)
            return whole, places[kept]
        return whole, places

    def _put_named(self, messages: Sequence[_Other], places: Places) -> None:
        named = [each.named for each in messages]
        if named.count(None) < len(named):
            for place, each in zip(places.tolist(), named, strict=True):
                if each is not None and (name := str(each).strip()):
                    self._named[place] = name

    def _told(self, messages: Sequence[_Other], places: Places) -> Told:
        return Told(
            timestamp=[each.timestamp for each in messages],
            sent_at=[each.sent_at for each in messages],
            batch_sent_at=self._sent_at[places],
            batch_sent_ms=self._sent_ms[places],
            received_ms=self._received_ms[places],
            server=self._server[places],
        )

    def _packed_facts(self, messages: Sequence[_Other], places: Places) -> PackedTexts:
        """Give the JSON objects of what the messages tell; what is no object tells nothing."""
        texts = self._facts(messages, places)
        packed = pack_texts(texts)
        last = np.frombuffer(packed.packed, dtype=np.uint8)[packed.bounds[1:] - 1]
        wrong = np.flatnonzero(last != _BRACE).tolist()
        if packed.may_be_no_utf_8:
            wrong += self._undecodable(texts, places)
        if not wrong:
            return packed
        for index in wrong:
            texts[index] = b"{}"
        return pack_texts(texts)

    def _facts(self, messages: Sequence[_Other], places: Places) -> list[bytes | msgspec.Raw]:
        texts: list[bytes | msgspec.Raw] = [each.properties for each in messages]
        others = np.flatnonzero(~self._tracked[places])
        for index, kind in zip(others.tolist(), self._types[places[others]].tolist(), strict=True):
            each = messages[index]
            if kind in TRAITS_OF:
                texts[index] = each.traits
            if each.name is each.category is each.group_id is each.previous_id is None:
                continue
            try:
                texts[index] = _with_own(each, kind, texts[index])
            except UNREADABLE as problem:
                self._set_bad(places[index], problem)
        return texts

    def _undecodable(self, texts: Sequence[bytes | msgspec.Raw], places: Places) -> list[int]:
        """Find the texts that are no UTF-8; together they are, when each is."""
        found = []
        try:
            b"".join(texts).decode()
        except UnicodeDecodeError:
            for index, text in enumerate(texts):
                try:
                    bytes(text).decode()
                except UnicodeDecodeError as problem:
                    self._set_bad(places[index], problem)
                    found.append(index)
        return found

    def _hashes(self, messages: Sequence[_Other], places: Places) -> NDArray[np.uint64]:
        records = self._records
        ids: Any = [each.given_id for each in messages]
        if not all(ids):
            given = zip(ids, places.tolist(), strict=True)
            # Why the bytes: two tag processes may take different messages in the same moment.
            ids = [each or _name_of(records, place) for each, place in given]
        sites = self._site_hashes[self._site[places]]
        return self._seen.hashes_of(sites, records.visitor[places], ids)

    def _event_codes(self, messages: Sequence[_Other], places: Places) -> NDArray[np.uint32]:
        codes = self._events
        found = np.array([codes[each.event] for each in messages], dtype=np.uint32)
        others = np.flatnonzero(~self._tracked[places])
        found[others] = [codes[kind] for kind in self._types[places[others]].tolist()]
        return found

    def _set_bad(self, place: int, problem: Exception) -> None:
        self._bad[int(place)] = Unreadable(reason="malformed", detail=str(problem))


def _with_own(message: _Other, kind: str, text: bytes | msgspec.Raw) -> bytes | msgspec.Raw:
    """Put a message's own fields, such as a page's name, before what it tells else."""
    named = {name: getattr(message, name) for name in FACTS_OF.get(kind, ())}
    own = {name: value for name, value in named.items() if isinstance(value, str | int)}
    if not own:
        return text
    raw = bytes(text)
    told = msgspec.json.decode(raw, type=dict[str, msgspec.Raw]) if raw[:1] == b"{" else {}
    return msgspec.json.encode(own | told)


def _name_of(records: ChunkRecords, place: int) -> str:
    """Name a message that has no id."""
    body = records.content[records.begin[place] : records.end[place]]
    return f"{records.received_us[place]}:{records.row[place]}:{crc32(body)}"


def _without(piece: _Piece, bad: Collection[int]) -> _Piece:
    kept = np.flatnonzero(~np.isin(piece.place, list(bad)))
    return _Piece(**{name: getattr(piece, name).take(kept) for name in _Piece.__struct_fields__})
