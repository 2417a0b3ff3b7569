"""What CRM files said of customers, and whose row was the same before.

Columns of names, forms of contacts, traits and digests come in and are stored; what stands of some
customers goes out. The tables `contact_forms` and `crm_rows` are its own.
"""

import io
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
from clickhouse_connect.driver.client import Client
from numpy.typing import NDArray
from pyroaring import BitMap

from matching.bitmaps import bitmap_of
from matching.crm.stored import Claim, Contested, NameRows, NowOf, Ordinals, TraitRows
from matching.rows_store import all_numbers, all_rows
from matching.sql import sql

CUSTOMERS_PER_QUERY: Final = 10_000  # a server takes 128 KiB for one parameter
ROWS_PER_INSERT_MAX: Final = 500_000
CONTESTED_MAX: Final = 10_000
DIGEST_ROW: Final = np.dtype([("customer", "<u4"), ("digest", "<u8")])
ONCE_EACH: Final = {"optimize_on_insert": 0}
"""Why: of the rows of one insert no two replace each other, and looking for such takes long."""
LOOK_AGAIN, GONE = 0, 1
DIGEST_FIRST: Final = 2
"""Digests are not below this: 0 asks to read the next row, 1 says that the customer is missing."""
MOMENT: Final = pa.timestamp("ms", tz="UTC")


class CrmRowsStore:
    """The rows of CRM files, as far as the next file needs them."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._lock = threading.RLock()
        self.forget()

    def forget(self) -> None:
        """Drop what is held in memory; it is read again when it is asked for."""
        with self._lock:
            self._digests: dict[str, NDArray[np.uint64]] = {}
            self._sources: set[str] | None = None

    def forget_digests(self) -> None:
        """Drop the digests: eight bytes a customer that only an import needs."""
        with self._lock:
            self._digests = {}

    def digests_of(self, source: str, customers: Ordinals) -> NDArray[np.uint64]:
        """Give the digest of each customer's last row of this source, 0 for none."""
        with self._lock:
            held = self._held(source)
            found = np.zeros(customers.size, np.uint64)
            inside = customers < held.size
            found[inside] = held[customers[inside]]
            return found

    def customers_of(self, source: str) -> BitMap:
        """Give the customers who were in a file of this source."""
        rows = all_rows(self._client, sql("crm_digests"), DIGEST_ROW, {"source": source})
        return bitmap_of(rows["customer"][rows["digest"] != GONE].astype(np.uint32))

    def forget_rows(self, source: str, customers: Ordinals, at_ms: int) -> None:
        """Note that these customers are in this source's file no more."""
        self.put_rows(source, customers, np.full(customers.size, GONE, np.uint64), at_ms)

    def put_rows(
        self, source: str, customers: Ordinals, digests: NDArray[np.uint64], at_ms: int
    ) -> None:
        """Note whose row was stored; to be called after everything that it says."""
        with self._lock:
            self._put_digests(source, customers, digests, at_ms)
            if self._sources is not None:
                self._sources.add(source)

    def look_again(self, customers: Iterable[int]) -> None:
        """Let the next file's rows of these customers be read, whether they changed or not."""
        wanted = sorted(set(customers))
        with self._lock:
            for source in sorted(self._known_sources()):
                for begin in range(0, len(wanted), CUSTOMERS_PER_QUERY):
                    asked = {
                        "source": source,
                        "customers": wanted[begin : begin + CUSTOMERS_PER_QUERY],
                    }
                    some = all_numbers(self._client, sql("crm_digests_of"), asked)
                    if some.size:
                        again = np.full(some.size, LOOK_AGAIN, np.uint64)
                        self._put_digests(source, some, again, self._newest(source))

    def put_names(self, table: str, rows: Sequence[NameRows], *, source: str, at_ms: int) -> None:
        """Store names in `customers`, or forms of contacts in `contact_forms`."""
        rows = [each for each in rows if len(each.values)]
        if not rows:
            return
        sizes = [len(each.values) for each in rows]
        count = sum(sizes)
        self._insert(
            table,
            {
                "customer": pa.array(np.concatenate([each.customers for each in rows])),
                "kind": _repeated([each.kind for each in rows], sizes),
                "source": _same(source, count),
                "slot": pa.array(np.repeat(np.array([each.slot for each in rows], "u1"), sizes)),
                "value": pa.array([value for each in rows for value in each.values], pa.string()),
                "at": _moments(at_ms, count),
            },
        )

    def put_traits(self, rows: Sequence[TraitRows], *, source: str, at_ms: int) -> None:
        """Store values of traits."""
        rows = [each for each in rows if len(each.codes)]
        if not rows:
            return
        sizes = [len(each.codes) for each in rows]
        count = sum(sizes)
        kinds = [pa.array(each.kinds, pa.string()).take(pa.array(each.codes)) for each in rows]
        texts = [pa.array(each.texts, pa.string()).take(pa.array(each.codes)) for each in rows]
        numbers = [np.asarray(each.numbers, np.float64)[each.codes] for each in rows]
        self._insert(
            "customer_traits",
            {
                "trait": _repeated([each.trait for each in rows], sizes),
                "customer": pa.array(np.concatenate([each.customers for each in rows])),
                "kind": pa.concat_arrays(kinds).dictionary_encode(),
                "text": pa.concat_arrays(texts),
                "number": pa.array(np.concatenate(numbers)),
                "source": _same(source, count),
                "at": _moments(at_ms, count),
            },
        )

    def now_of(self, source: str, customers: Ordinals, traits: Sequence[str]) -> dict[int, NowOf]:
        """Give what this source said of customers, and their traits of any source."""
        wanted = np.sort(customers)
        found = {customer: NowOf(names={}, answers={}, traits={}) for customer in wanted.tolist()}
        for begin in range(0, wanted.size, CUSTOMERS_PER_QUERY):
            some = wanted[begin : begin + CUSTOMERS_PER_QUERY]
            asked: dict[str, Any] = {
                "customers": some.tolist(),
                "first": int(some[0]),
                "last": int(some[-1]),
            }
            for customer, kind, slot, value in self._rows("crm_names_now", asked, source=source):
                found[customer].names[kind, slot] = value
            for customer, kind, value in self._rows("crm_answers_now", asked, source=source):
                found[customer].answers[kind] = value
            for customer, trait, *value in self._rows("crm_traits_now", asked, traits=list(traits)):
                found[customer].traits[trait] = tuple(value)
        return found

    def traits_gone(self, source: str, customers: Ordinals) -> list[TraitRows]:
        """Give what takes away each trait that this source gave these customers."""
        asked = {"customers": customers.tolist(), "first": int(customers[0])}
        asked["last"] = int(customers[-1])
        found: dict[str, list[int]] = {}
        for customer, trait in self._rows("crm_traits_of_source", asked, source=source):
            found.setdefault(trait, []).append(customer)
        return [
            TraitRows(
                trait=trait,
                customers=np.array(some, np.uint32),
                codes=np.zeros(len(some), np.int32),
                kinds=[""],
                texts=[""],
                numbers=[0.0],
            )
            for trait, some in found.items()
        ]

    def contested(self, kinds: Sequence[str], *, since_ms: int) -> list[Contested]:
        """Give the aliases claimed since then that more than one customer claims."""
        if not kinds:
            return []
        asked = {"kinds": list(kinds), "since_ms": since_ms, "limit": CONTESTED_MAX}
        rows = self._client.query(sql("crm_contested"), parameters=asked).result_rows
        return [
            Contested(
                kind=kind,
                value=value,
                claims=[
                    Claim(customer=customer, source=source, slot=slot, at_ms=at_ms)
                    for customer, source, slot, at_ms in claims
                ],
            )
            for kind, value, claims in rows
        ]

    def shared_contacts(self) -> dict[str, tuple[int, int]]:
        """Give how many contacts of a kind several customers share, and how many customers do."""
        rows = self._client.query(sql("crm_shared")).result_rows
        return {kind: (int(contacts), int(holders)) for kind, contacts, holders in rows}

    def erase(self, customers: Sequence[int]) -> None:
        """Delete everything kept here of these customers."""
        parameters = {"customers": list(customers)}
        with self._lock:
            for query in ("erase_contact_forms", "erase_crm_rows"):
                self._client.command(sql(query), parameters=parameters)
            self.forget()

    def _put_digests(
        self, source: str, customers: Ordinals, digests: NDArray[np.uint64], at_ms: int
    ) -> None:
        if customers.size == 0:
            return
        self._insert(
            "crm_rows",
            {
                "source": _same(source, customers.size),
                "customer": pa.array(customers),
                "digest": pa.array(digests),
                "at": _moments(at_ms, customers.size),
            },
        )
        if source in self._digests:
            self._digests[source] = _with(self._digests[source], customers, digests)

    def _rows(self, query: str, asked: Mapping[str, Any], **more: Any) -> Iterable[Any]:
        raw = self._client.raw_query(sql(query), parameters={**asked, **more}, fmt="ArrowStream")
        with pa.ipc.open_stream(raw) as stream:
            table = stream.read_all()
        columns = [_plain(table[name]).to_pylist() for name in table.column_names]
        return zip(*columns, strict=True)

    def _held(self, source: str) -> NDArray[np.uint64]:
        if source not in self._digests:
            rows = all_rows(self._client, sql("crm_digests"), DIGEST_ROW, {"source": source})
            held = np.zeros(0, np.uint64)
            self._digests[source] = _with(held, rows["customer"], rows["digest"])
        return self._digests[source]

    def _known_sources(self) -> set[str]:
        if self._sources is None:
            rows = self._client.query(sql("crm_sources")).result_rows
            self._sources = {source for (source,) in rows}
        return self._sources

    def _newest(self, source: str) -> int:
        """Give a moment that no row of a source is after."""
        rows = self._client.query(sql("crm_newest"), parameters={"source": source}).result_rows
        return int(rows[0][0]) + 1

    def _insert(self, table: str, columns: Mapping[str, Any]) -> None:
        whole = pa.table(dict(columns))
        for begin in range(0, len(whole), ROWS_PER_INSERT_MAX):
            sink = io.BytesIO()
            some = whole.slice(begin, ROWS_PER_INSERT_MAX)
            with pa.ipc.new_stream(sink, some.schema) as stream:
                stream.write_table(some)
            self._client.raw_insert(
                table, list(columns), sink.getvalue(), fmt="ArrowStream", settings=ONCE_EACH
            )


def _with(held: NDArray[np.uint64], customers: Any, digests: Any) -> NDArray[np.uint64]:
    """Enter digests, making room for new customers."""
    places = np.asarray(customers, np.int64)
    if places.size == 0:
        return held
    wanted = int(places.max()) + 1
    if wanted > held.size:
        held = np.concatenate([held, np.zeros(wanted + wanted // 4 - held.size, np.uint64)])
    held[places] = digests
    return held


def _same(text: str, count: int) -> Any:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int8)), pa.array([text]))


def _repeated(texts: Sequence[str], sizes: Sequence[int]) -> Any:
    places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
    codes = np.repeat(np.array([places[text] for text in texts], np.int32), sizes)
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(list(places)))


def _moments(at_ms: int, count: int) -> Any:
    return pa.array(np.full(count, at_ms, np.int64)).cast(MOMENT)


def _plain(column: Any) -> Any:
    binary = pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)
    return column.cast(pa.string()) if binary else column
