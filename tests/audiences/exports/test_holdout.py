"""Who of an audience is kept off its segments."""

import numpy as np
import pytest
from clickhouse_connect.driver.client import Client
from hypothesis import given
from hypothesis import strategies as st
from pyroaring import BitMap

from audiences.exports.holdout import held_out, siphash
from matching.ids import VISITOR_FIRST

KEY = bytes(range(32))
PEOPLE = BitMap(range(VISITOR_FIRST, VISITOR_FIRST + 20_000)) | BitMap(range(1, 20_001))


def test_the_hash_is_siphash() -> None:
    """The hash of the eight bytes 0 to 7 is the one of SipHash's own table of vectors."""
    word = np.frombuffer(bytes(range(8)), dtype="<u8")
    (found,) = siphash(word, bytes(range(16))).tolist()
    assert found.to_bytes(8, "little").hex() == "6224939a79f5f593"


@pytest.mark.clickhouse
def test_the_hash_is_the_databases(client: Client) -> None:
    """ClickHouse hashes the same words under the same key alike."""
    words = np.array([0, 1, 2**32 - 1, 2**64 - 1], dtype=np.uint64)
    key = bytes(range(100, 116))
    halves = [int.from_bytes(key[:8], "little"), int.from_bytes(key[8:], "little")]
    query = """
        select sipHash64Keyed(({low:UInt64}, {high:UInt64}), word)
        from (select arrayJoin({words:Array(UInt64)}) as word)
    """
    asked = {"low": halves[0], "high": halves[1], "words": words.tolist()}
    theirs = [row[0] for row in client.query(query, parameters=asked).result_rows]
    assert siphash(words, key).tolist() == theirs


@pytest.mark.parametrize("percent", [1, 10, 25, 50])
def test_the_share_is_what_was_asked(percent: int) -> None:
    """Of 40,000 people the wanted per cent are held out, within five standard deviations."""
    found = held_out(PEOPLE, percent=percent, key=KEY, audience="champions")
    share = percent / 100
    allowed = 5 * (len(PEOPLE) * share * (1 - share)) ** 0.5
    assert abs(len(found) - len(PEOPLE) * share) <= allowed
    assert found <= PEOPLE


@given(st.sets(st.integers(1, 2**32 - 2), max_size=50), st.integers(0, 50))
def test_a_person_is_held_out_whoever_else_is_there(ordinals: set[int], percent: int) -> None:
    """Whether somebody is held out depends on nobody else, and a larger group holds a smaller."""
    persons = BitMap(ordinals)
    found = held_out(persons, percent=percent, key=KEY, audience="champions")
    for each in persons:
        alone = held_out(BitMap([each]), percent=percent, key=KEY, audience="champions")
        assert (each in alone) is (each in found)
    assert found <= held_out(persons, percent=50, key=KEY, audience="champions")


def test_audiences_and_keys_have_groups_of_their_own() -> None:
    """Another audience, or another key, holds others out."""
    one = held_out(PEOPLE, percent=50, key=KEY, audience="champions")
    other = held_out(PEOPLE, percent=50, key=KEY, audience="cyclists")
    third = held_out(PEOPLE, percent=50, key=bytes(32), audience="champions")
    for two in (other, third):
        assert abs(len(one & two) - len(PEOPLE) / 4) < len(PEOPLE) / 50
