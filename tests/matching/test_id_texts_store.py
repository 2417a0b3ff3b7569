"""What ids are called, read back from the table of correspondence by their ordinals."""

from random import Random
from typing import Any, cast

import pytest
from clickhouse_connect.driver.client import Client
from partner_id_rows import Row, put
from pyroaring import BitMap

from matching import id_texts_store
from matching.id_texts_store import FEW, IdTextsStore
from matching.partner_ids_store import PartnerIdsStore

pytestmark = pytest.mark.clickhouse

LONG = ["x" * 127, "é" * 64, "y" * 128, "z" * 20_000]
"""Their sizes take one, two and three bytes to say."""
ODD = ["a-b", "é", "a b", "\U0001f6b2", *LONG[1:2]]
BEYOND = 1_000_000


@pytest.fixture
def store(database: Any) -> PartnerIdsStore:
    """Give a store on an empty table, opened."""
    store = PartnerIdsStore(cast(Client, database.client()))
    store.open()
    return store


def texts_in(found: Any) -> list[tuple[int, str]]:
    """List ordinal and text of all pieces."""
    return [
        (ordinal, text)
        for piece in found
        for ordinal, text in zip(piece.id_ordinals.tolist(), piece.ids.to_pylist(), strict=True)
    ]


@pytest.mark.parametrize("others", [0, FEW], ids=["few", "many"])
def test_ids_have_the_texts_that_were_stored(store: PartnerIdsStore, others: int) -> None:
    """Few or many are asked for: each comes with its text, however often it was stored."""
    pick = Random(5)
    known = [*LONG, *ODD[:4], *(f"X{number}" for number in range(300))]
    rows: list[Row] = [
        (pick.randrange(500), pick.randrange(60), "stored", pick.choice(known), nonce)
        for nonce in range(900)
    ]
    rows += [(1, 61, "deleted", "", 901), (2, 61, "refused", "", 902)]
    put(store, rows)
    put(store, [(7, 1, "stored", "X1", 903)], space="adform", chunk=2)
    stored = sorted({text for *_, text, _ in rows if text})
    ordinals = dict(zip(store.id_ordinals("xandr", stored).tolist(), stored, strict=True))
    other = int(store.id_ordinals("adform", ["X1"])[0])
    asked = BitMap([*[*ordinals][::2], other]) | BitMap(range(BEYOND, BEYOND + others))
    expected = {(each, ordinals[each]) for each in asked & BitMap(ordinals)}
    assert set(texts_in(store.texts.pieces("xandr", asked))) == expected
    assert texts_in(store.texts.pieces("adform", asked)) == [(other, "X1")]
    odd = set(texts_in(store.texts.odd("xandr", asked)))
    plain = {pair for pair in expected if pair[1].isascii() and pair[1].isalnum()}
    assert expected - plain <= odd <= expected
    assert not others or odd == expected - plain
    assert store.texts.named(["xandr"], asked) == BitMap(dict(expected))
    assert store.texts.named(["xandr", "adform"], asked) == BitMap([*dict(expected), other])
    assert not store.texts.named(["elsewhere"], asked)


def test_a_text_has_its_ordinal_in_its_own_space(store: PartnerIdsStore) -> None:
    """Texts that no row of the space stores have none."""
    put(store, [(0, 1, "stored", "X7", 1), (1, 1, "stored", "X8", 2)])
    put(store, [(0, 1, "stored", "X7", 1)], space="adform", chunk=2)
    (ordinal,) = store.id_ordinals("xandr", ["X7"]).tolist()
    assert store.texts.ordinals_of("xandr", ["X7", "nobody's"]) == BitMap([ordinal])
    assert not store.texts.ordinals_of("xandr", [])


def test_nothing_asked_is_nothing_read(store: PartnerIdsStore) -> None:
    """No ordinals give no pieces."""
    texts: IdTextsStore = store.texts
    assert texts_in(texts.pieces("xandr", BitMap())) == []
    assert not texts.named(["xandr"], BitMap())
    assert id_texts_store.FEW >= id_texts_store.ORDINALS_PER_QUERY_MAX
