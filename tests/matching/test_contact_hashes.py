"""Contact hashes: every address and number is found and sealed, nothing else is touched."""

import re
import string
from hashlib import sha256
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matching.contact_hashes import (
    SealError,
    contact_hash,
    may_hold_contact,
    normalise_email,
    normalise_phone,
    open_sealed,
    redact_json,
    redact_text,
    seal,
)

KEY = bytes(range(64))
EMAIL = "paul@example.com"
PHONE = "+33612345678"
QUOTED = '"paul"@example.com'


def sealed(hash_hex: str) -> str:
    """Seal under this test's key."""
    return seal(hash_hex, KEY)


def token(normal: str) -> str:
    """Write what stands for a contact after redaction."""
    return "contact:" + sealed(sha256(normal.encode()).hexdigest())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" Paul@Example.COM ", EMAIL),
        ("paul+shop@example.co.uk", "paul+shop@example.co.uk"),
        ("paul@localhost", None),
        ("paul", None),
        ("a b@example.com", None),
        ("", None),
    ],
)
def test_emails_are_normalised(text: str, expected: str | None) -> None:
    """Addresses are trimmed and lower-cased, other texts are none."""
    assert normalise_email(text) == expected


@pytest.mark.parametrize(
    ("text", "code", "expected"),
    [
        ("+33 6 12 34 56 78", "", PHONE),
        ("+33 (0)6 12.34.56-78", "", PHONE),
        ("0033612345678", "", PHONE),
        ("06 12 34 56 78", "33", PHONE),
        ("06 12 34 56 78", "+33", PHONE),
        ("06 12 34 56 78", "", None),
        ("+0612345678", "", None),
        ("+33 12", "", None),
        ("+1234567890123456", "", None),
        ("call me", "33", None),
        ("", "33", None),
    ],
)
def test_phones_are_normalised(text: str, code: str, expected: str | None) -> None:
    """Numbers become E.164; a national one needs its country, and nonsense is none."""
    assert normalise_phone(text, calling_code=code) == expected


def test_hashes_are_those_that_partners_make() -> None:
    """The hash of an address or number is the plain SHA-256 of its normal form."""
    known = "b4c9a289323b21a01c3e940f150eb9b8c542587f1abfd8f0e1cc1ffc5e475514"
    assert contact_hash("email", "User@Example.com") == known
    assert contact_hash("phone", "+1 234 567 8901") == sha256(b"+12345678901").hexdigest()


@pytest.mark.parametrize(("kind", "text"), [("email", "x"), ("phone", "x"), ("fax", EMAIL)])
def test_an_unreadable_contact_has_no_hash(kind: str, text: str) -> None:
    """What cannot be normalised is told, without repeating it."""
    with pytest.raises(ValueError, match=r"Unreadable|Unknown kind"):
        contact_hash(kind, text)


@given(st.binary(min_size=32, max_size=32))
def test_sealing_is_deterministic_and_opens_again(raw: bytes) -> None:
    """Equal hashes join, and the key alone gives them back."""
    assert sealed(raw.hex()) == sealed(raw.hex())
    assert raw.hex() not in sealed(raw.hex())
    assert open_sealed(sealed(raw.hex()), KEY) == raw.hex()
    assert open_sealed("contact:" + sealed(raw.hex()), KEY) == raw.hex()


@pytest.mark.parametrize("damage", ["key", "text", "hex"])
def test_another_key_opens_nothing(damage: str) -> None:
    """A wrong key or a changed text is an error that says what to check."""
    text = sealed("00" * 32)
    if damage != "key":
        text = ("x" if damage == "hex" else "0" if text[0] != "0" else "1") + text[1:]
    with pytest.raises(SealError, match="cannot be opened"):
        open_sealed(text, KEY if damage != "key" else KEY[::-1])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(f"Write to {EMAIL}.", f"Write to {token(EMAIL)}.", id="in-a-sentence"),
        pytest.param(f"<PAUL@example.com>,{EMAIL}", f"<{token(EMAIL)}>,{token(EMAIL)}", id="two"),
        pytest.param(f"mailto:{EMAIL}", f"mailto:{token(EMAIL)}", id="mailto"),
        pytest.param(
            "https://shop.example/?email=paul%40example.com&page=2",
            f"https://shop.example/?email={token(EMAIL)}&page=2",
            id="encoded-in-a-query",
        ),
        pytest.param(
            "https://x.example/?next=%2Flogin%3Fu%3Dpaul%2540example.com",
            f"https://x.example/?next=%2Flogin%3Fu%3D{token(EMAIL)}",
            id="encoded-twice",
        ),
        pytest.param(
            "?u=paul%2Bshop%40example.com", f"?u={token('paul+shop@example.com')}", id="plus"
        ),
        pytest.param("o'neil@example.com", token("o'neil@example.com"), id="apostrophe"),
        pytest.param(f"'{EMAIL}'", f"'{token(EMAIL)}'", id="quoted"),
        pytest.param("zoé@exämple.fr", token("zoé@exämple.fr"), id="accents"),
        pytest.param(f"call {PHONE}!", f"call {token(PHONE)}!", id="phone"),
        pytest.param("+33 (0)6 12 34 56 78", token(PHONE), id="phone-as-written"),
        pytest.param("?q=a%20%2B33612345678", f"?q=a%20{token(PHONE)}", id="phone-encoded"),
        pytest.param("?q=%2B33+6+12+34+56+78", f"?q={token(PHONE)}", id="phone-plus"),
        pytest.param("?phone=0612345678&x=1", f"?phone={token('0612345678')}&x=1", id="named"),
        pytest.param("tel=0612345678", f"tel={token('0612345678')}", id="named-first"),
        pytest.param("?mobile=1&page=3", "?mobile=1&page=3", id="a-flag"),
        pytest.param("2024-05-01T10:00:00+02:00", "2024-05-01T10:00:00+02:00", id="a-time"),
        pytest.param("order 0612345678", "order 0612345678", id="an-order-number"),
        pytest.param("3 + 4 = 7, a@b, @paul", "3 + 4 = 7, a@b, @paul", id="no-address"),
        pytest.param("paul\uff20example.com", token(EMAIL), id="full-width-at"),
        pytest.param("ｐａｕｌ＠ｅｘａｍｐｌｅ．ｃｏｍ", token(EMAIL), id="full-width"),  # noqa: RUF001
        pytest.param("\uff0b33612345678", token(PHONE), id="full-width-plus"),
        pytest.param("価格\uff0b税 \uff20", "価格\uff0b税 \uff20", id="full-width-alone"),
        pytest.param("a paul&#64;example.com", f"a {token(EMAIL)}", id="entity"),
        pytest.param("paul&#x0040;example&period;com", token(EMAIL), id="entity-16"),
        pytest.param("paul&amp;commat;example.com", token(EMAIL), id="entity-name-twice"),
        pytest.param("paul&#64example.com", token(EMAIL), id="entity-without-end"),
        pytest.param(
            "?a=1&plus=2&#top &amp; &#64;", "?a=1&plus=2&#top &amp; &#64;", id="no-entity"
        ),
        pytest.param('"paul d"@example.com', token('"paul d"@example.com'), id="quoted-local"),
        pytest.param('x"paul"@example.com', f"x{token(QUOTED)}", id="quoted-behind-a-letter"),
        pytest.param("%22paul%22%40example.com", token(QUOTED), id="quoted-encoded"),
        pytest.param(f'"u":"{EMAIL}"', f'"u":"{token(EMAIL)}"', id="json-in-a-text"),
        pytest.param("call 0033612345678", f"call {token(PHONE)}", id="phone-of-00"),
        pytest.param("00 33 6 12 34 56 78.", f"{token(PHONE)}.", id="phone-of-00-as-written"),
        pytest.param("?q=a%200033612345678", f"?q=a%20{token(PHONE)}", id="phone-of-00-encoded"),
        pytest.param("tel:0033612345678", f"tel:{token(PHONE)}", id="phone-of-00-link"),
        pytest.param("0012345678", "0012345678", id="a-padded-number"),
        pytest.param("10:00 2024-05-01 10:00:00", "10:00 2024-05-01 10:00:00", id="a-time-of-00"),
        pytest.param("1700123456789012", "1700123456789012", id="00-inside"),
        pytest.param("", "", id="empty"),
    ],
)
def test_texts_are_redacted(text: str, expected: str) -> None:
    """Contacts in free text and URLs are replaced, and the rest stands as it was."""
    assert redact_text(text, sealed) == expected
    assert redact_text(expected, sealed) == expected


HASH = sha256(EMAIL.encode()).hexdigest()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"email": EMAIL}, {"email": token(EMAIL)}),
        ({"E-Mail": "not an address"}, {"E-Mail": token("not an address")}),
        ({"billing_email": " Paul@example.com"}, {"billing_email": token(EMAIL)}),
        ({"phone": 33612345678}, {"phone": token("33612345678")}),
        ({"phone": ["06 12 34 56 78", None]}, {"phone": [token("0612345678"), None]}),
        ({"homePhone": "06.12.34.56.78"}, {"homePhone": token("0612345678")}),
        ({"hashed_email": HASH.upper()}, {"hashed_email": "contact:" + sealed(HASH)}),
        ({"order": HASH}, {"order": HASH}),
        ({"iphone": "iPhone 13"}, {"iphone": "iPhone 13"}),
        ({"email": None, "mobile": True}, {"email": None, "mobile": True}),
        ({"email": "", "phone": " "}, {"email": "", "phone": " "}),
        ({"email": {"work": EMAIL}}, {"email": {"work": token(EMAIL)}}),
        ([{"a": {"b": [f"x {EMAIL}"]}}], [{"a": {"b": [f"x {token(EMAIL)}"]}}]),
        ({EMAIL: 1}, {token(EMAIL): 1}),
        ({"price": 12.5, "count": 3}, {"price": 12.5, "count": 3}),
        ({"note": "0033612345678"}, {"note": token(PHONE)}),
        ({"product_id": "0012345678905"}, {"product_id": "0012345678905"}),
        ({"products": [{"id": "0012345678905"}]}, {"products": [{"id": "0012345678905"}]}),
        ({"q": "paul\uff20example.com"}, {"q": token(EMAIL)}),
        ({"q": "paul&#64;example.com"}, {"q": token(EMAIL)}),
        ({"q": "?s=%200033612345678"}, {"q": f"?s=%20{token(PHONE)}"}),
    ],
)
def test_json_is_redacted(value: Any, expected: Any) -> None:
    """Named fields are always replaced, other texts are searched, and redacting twice is once."""
    assert redact_json(value, sealed) == expected
    assert redact_json(expected, sealed) == expected
    changed = value != expected
    assert not changed or may_hold_contact(msgspec.json.encode(value))


def test_a_body_nested_too_deep_is_cut() -> None:
    """A body made to exhaust the stack costs nothing and hides nothing."""
    value: Any = EMAIL
    for _ in range(500):
        value = [value]
    assert EMAIL.encode() not in msgspec.json.encode(redact_json(value, sealed))


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        "a.",
        "%2B",
        "%41",
        "a@",
        "+1",
        "a@b.",
        "+1 ",
        "x=",
        "a'",
        "%2541",
        '"',
        '"a',
        "%22",
        '\\"',
        "&#",
        "&#0",
        "&amp;",
        "00",
        "001",
        "00 1.",
    ],
)
def test_hostile_texts_cost_little(piece: str) -> None:
    """No text of a message's size takes long to search."""
    redact_text(piece * (32_000 // len(piece)), sealed)


NAMES = st.text(string.ascii_letters + string.digits + "._-+", min_size=1, max_size=12).map(
    lambda text: f"p{text}q"
)
ADDRESSES = st.builds(lambda name, domain: f"{name}@{domain}.example", NAMES, st.just("shop"))
AROUND = st.text(st.sampled_from(" ,;:()<>/?&=\"'\n"), max_size=4)


@given(AROUND, ADDRESSES, AROUND, st.integers(0, 2))
def test_no_address_survives(before: str, address: str, after: str, encodings: int) -> None:
    """Whatever stands around it, an address is found, as it is or URL-encoded."""
    text = before + address + after
    for _ in range(encodings):
        text = quote(text)
    redacted = redact_text(text, sealed)
    assert token(address.lower()) in redacted
    assert not re.search("shop|example", redacted)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(0, 10**12)
    | st.text(max_size=20)
    | ADDRESSES
    | st.sampled_from([PHONE, "0612345678", HASH, "u%40shop.example", "?tel=061234567"])
    | st.sampled_from(["q=%200033612345678", "00 33 6 12 34 56 78", "p\uff20shop.example"])
    | st.sampled_from(["p&COMMAT;shop.example", "p&#064;shop.example", QUOTED]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["email", "Phone", "e-mail", "tel", "name", "msisdn", "m.a.il", "sku"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)


@given(JSON)
def test_the_quick_look_misses_nothing(value: Any) -> None:
    """A body that redacting would change is never passed over, and redacting twice is once."""
    raw = msgspec.json.encode(value)
    redacted = redact_json(msgspec.json.decode(raw), sealed)
    if redacted != value:
        assert may_hold_contact(raw)
    assert redact_json(redacted, sealed) == redacted


def test_the_quick_look_passes_plain_messages() -> None:
    """An ordinary page view is not decoded a second time."""
    assert not may_hold_contact(
        b'{"type":"page","messageId":"f3a1","properties":{"url":"https://shop.example/bikes?p=2"}}'
    )
