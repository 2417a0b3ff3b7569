"""The forms of contacts: what each partner hashes, as its own documents and vectors say it."""

from hashlib import md5, sha1, sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matching.calling_codes import CALLING_CODES, calling_code_of, national_digits
from matching.contact_hashes import seal
from matching.contact_profiles import (
    BASES,
    FORM_OF,
    FORMS,
    OWN_FORMS,
    SPACES,
    digests_of,
    hashes_of,
    normal_name,
    open_form,
    ready_hash,
    standing_for,
    unknown_from,
)

KEY = bytes(range(64))
VECTORS = [
    ("email_uid2", "user@example.com", "tMmiiTI7IaAcPpQPFQ65uMVCWH8av9jw4cwf/F5HVRQ="),
    (
        "email_sha256",
        "user@example.com",
        "b4c9a289323b21a01c3e940f150eb9b8c542587f1abfd8f0e1cc1ffc5e475514",
    ),
    ("email_uid2", "janesaoirse+work@gmail.com", "ku4mBX7Z3qJTXWyLFB1INzkyR2WZGW4ANSJUiW21iI8="),
    ("email_uid2", "janesaoirse@gmail.com", "ku4mBX7Z3qJTXWyLFB1INzkyR2WZGW4ANSJUiW21iI8="),
    ("phone_uid2", "+12345678901", "EObwtHBUqDNZR33LNSMdtt5cafsYFuGmuY4ZLenlue4="),
    (
        "phone_google",
        "+12345678901",
        "10e6f0b47054a83359477dcb35231db6de5c69fb1816e1a6b98e192de9e5b9ee",
    ),
    (
        "phone_meta",
        "+15551234567",
        "d6736136ea896c1bfdc553e0e86e702c70d060d805696ca3e4e9e0961353860a",
    ),
]
NORMAL_FORMS = [
    ("email_uid2", "j.ane+x@gmail.com", "jane@gmail.com"),
    ("email_uid2", "j.ane+x@googlemail.com", "j.ane+x@googlemail.com"),
    ("email_uid2", "j.ane+x@example.com", "j.ane+x@example.com"),
    ("email_google", "j.ane+x@gmail.com", "jane+x@gmail.com"),
    ("email_google", "j.ane+x@googlemail.com", "jane+x@googlemail.com"),
    ("email_google", "jane+x@gmail.com", "jane+x@gmail.com"),
    ("email_google", "j.ane@example.com", "j.ane@example.com"),
    ("email_meta", "j.ane+x@gmail.com", "j.ane+x@gmail.com"),
    ("email_criteo", "j.ane+x@gmail.com", "j.ane+x@gmail.com"),
    ("email_liveramp", "j.ane+x@gmail.com", "j.ane+x@gmail.com"),
    ("email_amazon", "j.a_ne+x-1@gmail.com", "j.anex-1@gmail.com"),
    ("email_amazon", "jane@example.com", "jane@example.com"),
    ("phone_meta", "+33612345678", "33612345678"),
    ("phone_amazon", "+33612345678", "33612345678"),
    ("phone_uid2", "+33612345678", "+33612345678"),
    ("name_google", "jean paul", "jeanpaul"),
    ("name_amazon", "d'arc-1", "darc1"),
]


def digest_of(space: str, normal: str) -> bytes:
    """Find a form's digest as a seat does: its own, else that of what stands for it."""
    digests = digests_of(FORM_OF[space].contact, normal)
    return next(digests[each] for each in standing_for(space) if each in digests)


@pytest.mark.parametrize(("space", "normal", "expected"), VECTORS)
def test_vectors_of_partners(space: str, normal: str, expected: str) -> None:
    """What is opened for a seat is what the partner's own documents show."""
    sealed = seal(digest_of(space, normal).hex(), KEY)
    assert open_form(space, sealed, KEY) == expected


@pytest.mark.parametrize(("space", "normal", "expected"), NORMAL_FORMS)
def test_normal_forms(space: str, normal: str, expected: str) -> None:
    """Dots, tags and signs are kept or dropped as each partner wants."""
    assert digest_of(space, normal) == sha256(expected.encode()).digest()


def test_other_digests() -> None:
    """Some partners take other hashes of the same texts."""
    assert digest_of("email_md5", "paul@example.com") == md5(b"paul@example.com").digest()  # noqa: S324
    assert digest_of("phone_liveramp", "+12345678901") == sha1(b"2345678901").digest()  # noqa: S324
    assert "phone_liveramp" not in digests_of("phone", "+33612345678")
    assert FORM_OF["phone_liveramp"].unverified


ADDRESS = st.builds(
    lambda local, domain: f"{local}@{domain}",
    st.text("ab.+_-1", min_size=1, max_size=8),
    st.sampled_from(["gmail.com", "googlemail.com", "example.com"]),
)


@given(st.lists(st.none() | ADDRESS, max_size=8))
def test_each_form_is_found_again(normals: list[str | None]) -> None:
    """Whatever is left out because it coincides, each form gives its own text's hash."""
    stored = {
        (hashed.space, place): digest
        for hashed in hashes_of("email", normals)
        for place, digest in zip(hashed.places, hashed.digests, strict=True)
    }
    for form in FORMS:
        for place, normal in enumerate(normals):
            if form.contact != "email" or form.digest != "sha256":
                continue
            found = [stored.get((each, place)) for each in standing_for(form.space)]
            digest = next((each for each in found if each is not None), None)
            text = None if normal is None else form.normal(normal)
            assert digest == (None if text is None else sha256(text.encode()).digest())


def test_coinciding_forms_are_kept_once() -> None:
    """An ordinary address has two digests and a number two or three, however many ask for them."""
    assert set(digests_of("email", "paul@example.com")) == {"email_sha256", "email_md5"}
    assert set(digests_of("phone", "+33612345678")) == {"phone_sha256", "phone_meta"}
    assert len(SPACES) > sum(len(forms) for forms in OWN_FORMS.values()) - 3
    assert set(BASES.values()) <= set(FORM_OF)


def test_a_name_without_letters_has_no_such_form() -> None:
    """Where a form is nothing, its stand-in must not answer for it."""
    assert digests_of("name", "лена")["name_amazon"] == b""
    assert normal_name("  Jean  PAUL ") == "jean paul"
    assert normal_name("  ") is None


@pytest.mark.parametrize(
    ("space", "text", "is_good"),
    [
        ("email_uid2", "ab" * 32, True),
        ("email_uid2", "AB" * 32, True),
        ("email_md5", "ab" * 16, True),
        ("email_md5", "ab" * 32, False),
        ("email_uid2", "zz" * 32, False),
        ("email_uid2", "paul@example.com", False),
    ],
)
def test_ready_hashes(space: str, text: str, is_good: bool) -> None:
    """A hash is taken for the form that it is said to be, and nothing else for one."""
    if is_good:
        assert ready_hash(space, text) == bytes.fromhex(text)
        return
    with pytest.raises(ValueError, match=r"not a|non-hexadecimal"):
        ready_hash(space, text)


def test_a_ready_hash_stands_for_no_other_form() -> None:
    """From a hash of the plain address nobody can make the one without dots."""
    assert set(unknown_from("email_sha256")) == {"email_uid2", "email_amazon"}
    assert unknown_from("email_uid2") == ("email_google",)


def test_calling_codes() -> None:
    """Countries have codes, and no code begins with another one."""
    assert (calling_code_of("fr"), calling_code_of(" US "), calling_code_of("XX")) == (
        "33",
        "1",
        None,
    )
    codes = set(CALLING_CODES.values())
    assert not [(a, b) for a in codes for b in codes if a != b and b.startswith(a)]
    assert (national_digits("+12345678901"), national_digits("+999")) == ("2345678901", None)
