"""Sealing many hashes at once gives the bytes that sealing one by one gives."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matching.contact_hashes import open_sealed, seal
from matching.sealing import Sealer

KEYS = st.sampled_from([32, 48, 64]).flatmap(lambda size: st.binary(min_size=size, max_size=size))


@given(KEYS, st.integers(16, 32), st.integers(0, 2**32))
def test_many_are_sealed_as_one_by_one(key: bytes, size: int, seed: int) -> None:
    """Whatever the key and the hash's length, both ways agree, and what is sealed opens."""
    hashes = [sha256(f"{seed} {number}".encode()).digest()[:size] for number in range(5)]
    sealed = Sealer(key).seal_all(hashes)
    assert sealed == [seal(each.hex(), key) for each in hashes]
    assert [open_sealed(each, key) for each in sealed] == [each.hex() for each in hashes]


def test_counters_run_over() -> None:
    """Among very many hashes each counter's carry happens, and all still open."""
    key = bytes(range(64))
    hashes = [sha256(bytes([number % 256, number // 256])).digest() for number in range(5_000)]
    sealed = Sealer(key).seal_all(hashes)
    assert [bytes.fromhex(open_sealed(each, key)) for each in sealed] == hashes


@pytest.mark.parametrize("hashes", [[b"x" * 15], [b"x" * 33], [b"x" * 16, b"x" * 32]])
def test_hashes_of_other_lengths_are_refused(hashes: list[bytes]) -> None:
    """A hash that would be sealed wrongly is not sealed."""
    with pytest.raises(ValueError, match="one length of 16 to 32"):
        Sealer(bytes(64)).seal_all(hashes)
    assert Sealer(bytes(64)).seal_all([]) == []
