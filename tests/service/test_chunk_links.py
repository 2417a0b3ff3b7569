"""What visitors consented to is stored when it changes, and only then."""

from collections import Counter
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from service.engine.chunk_links import ChunkLinks, signals_told
from service.engine.chunk_records import records_of
from service.engine.chunk_rows import ChunkRows, rows_of
from service.engine.event_rows import EventRows
from service.engine.seen_messages import SeenMessages
from service.engine.tombstones import Tombstones
from service.tag.record import MAGIC, Kind, Meta, write_record
from service.tag.tokens import Keys

NOW_US = 1_795_000_000_000_000
SIGNALS = ("", '{"gpc":true}', '{"us_privacy":"1YYN"}')


class People:
    """Ordinals that are the visitors' own numbers."""

    def visitor(self, name: bytes) -> int:
        return int.from_bytes(name, "little")

    def visitors(self, events: EventRows) -> NDArray[np.uint32]:
        return events.visitor[:, 0].astype(np.uint32)


said = st.tuples(
    st.sampled_from([Kind.MESSAGE] * 4 + [Kind.CONSENT, Kind.OFFER, Kind.PARTNER_ID]),
    st.integers(0, 3),
    st.sampled_from(SIGNALS),
)


def rows_from(chunk: list[tuple[Kind, int, str]], first: int, tombstones: Tombstones) -> ChunkRows:
    drafts = [
        (kind, NOW_US + row, who.to_bytes(16, "little"), Meta(site="s", type="page", signals=text))
        for row, (kind, who, text) in enumerate(chunk)
    ]
    records = [
        write_record(*draft, b'{"messageId":"%d"}' % (first + row))
        for row, draft in enumerate(drafts)
    ]
    return rows_of(
        records_of(MAGIC + b"".join(records)),
        site=lambda _: None,
        seen=SeenMessages(seed=bytes(16)),
        tombstones=tombstones,
    )


@given(st.lists(st.lists(said, max_size=12), max_size=4))
def test_consents_are_the_changes_one_record_after_the_other(
    tmp_path_factory: Any, chunks: list[list[tuple[Kind, int, str]]]
) -> None:
    """Over several chunks the rows are those of a plain walk that remembers each visitor's last."""
    tombstones = Tombstones(tmp_path_factory.getbasetemp() / "none.log", Keys({1: bytes(32)}))
    links, people, last = ChunkLinks({}), People(), dict[int, str]()
    for number, chunk in enumerate(chunks):
        expected = []
        for row, (kind, who, text) in enumerate(chunk):
            if text and who and kind is not Kind.PARTNER_ID and last.get(who) != text:
                last[who] = text
                expected.append((row, NOW_US // 1000, who, text))
        rows = rows_from(chunk, number * 100, tombstones)
        assert rows.dropped == Counter()
        columns = links.consents(number, signals_told(rows, people))  # type: ignore[arg-type]
        found = zip(
            columns.row, columns.received_at_ms, columns.visitor, columns.signals, strict=True
        )
        assert list(found) == expected
