"""Sealed hashes open in bulk to what one at a time gives, and nothing that was changed opens."""

from base64 import b64encode
from hashlib import md5, sha1, sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matching.contact_hashes import SealError, open_sealed, seal
from matching.contact_profiles import open_form, open_forms
from matching.opening import Opener
from matching.sealing import Sealer

KEY = bytes(range(64))
OTHER_KEY = bytes(reversed(range(64)))


@given(
    key=st.sampled_from([32, 48, 64]).flatmap(lambda size: st.binary(min_size=size, max_size=size)),
    hashes=st.integers(16, 32).flatmap(
        lambda size: st.lists(st.binary(min_size=size, max_size=size), max_size=8)
    ),
)
def test_what_is_sealed_opens_to_itself(key: bytes, hashes: list[bytes]) -> None:
    """In bulk and one by one the same hashes come back, in their order."""
    sealed = Sealer(key).seal_all(hashes)
    assert Opener(key).open_all(sealed) == hashes
    assert [open_sealed(each, key) for each in sealed] == [each.hex() for each in hashes]


@given(data=st.data())
def test_nothing_that_was_changed_opens(data: st.DataObject) -> None:
    """One flipped bit of one of them, wherever it is, stops all."""
    sealed = Sealer(KEY).seal_all([bytes([number]) * 32 for number in range(4)])
    place = data.draw(st.integers(0, 3))
    raw = bytearray.fromhex(sealed[place])
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    sealed[place] = raw.hex()
    with pytest.raises(SealError, match="1 contact hashes cannot be opened: another key"):
        Opener(KEY).open_all(sealed)


@pytest.mark.parametrize(
    ("sealed", "problem"),
    [
        (Sealer(OTHER_KEY).seal_all([bytes(32)] * 3), "^3 contact hashes .* another key"),
        (["ab" * 48, "ab" * 32], "lengths"),
        (["ab" * 15], "lengths"),
        (["", ""], "lengths"),
        (["zz" * 48], "no hex"),
    ],
    ids=["another key", "two lengths", "too short", "empty", "no hex"],
)
def test_what_is_no_sealed_hash_is_told(sealed: list[str], problem: str) -> None:
    """The error says how many and why, and names none of them."""
    with pytest.raises(SealError, match=problem) as raised:
        Opener(KEY).open_all(sealed)
    assert not any(each[:8] in str(raised.value) for each in sealed if each)


@pytest.mark.parametrize(
    ("space", "digest", "text"),
    [
        ("email_sha256", sha256(b"x"), sha256(b"x").hexdigest()),
        ("email_uid2", sha256(b"x"), b64encode(sha256(b"x").digest()).decode()),
        ("email_md5", md5(b"x"), md5(b"x").hexdigest()),  # noqa: S324 - as some partners want it
        ("phone_liveramp", sha1(b"x"), sha1(b"x").hexdigest()),  # noqa: S324
    ],
    ids=lambda each: each if isinstance(each, str) and "_" in each else "",
)
def test_each_space_is_written_in_its_own_form(space: str, digest: object, text: str) -> None:
    """Many at once are written as one by one: hex, or base64 of the bytes."""
    sealed = seal(digest.hexdigest(), KEY)  # type: ignore[attr-defined]
    assert open_forms(space, [sealed] * 2, Opener(KEY).open_all) == [text] * 2
    assert open_form(space, sealed, KEY) == text
