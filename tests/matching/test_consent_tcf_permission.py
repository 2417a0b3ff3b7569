"""What TCF strings permit: the framework's rules, and nothing more when the string was damaged."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matching.consent.bits import Unreadable
from matching.consent.tcf import Purposes, TcString, Vendors, decode_tcf
from matching.consent.tcf_permission import allows_us, allows_vendor, is_current, is_valid
from matching.consent.vendor_list import Vendor, VendorListError, read_vendor_list

CASES = Path(__file__).parent.parent / "cases" / "consent"
VECTORS: list[dict[str, Any]] = msgspec.json.decode((CASES / "tcf_vectors.json").read_bytes())
VENDOR_LIST_BYTES = (CASES / "vendor_list_42.json").read_bytes()
VENDOR_LIST = read_vendor_list(VENDOR_LIST_BYTES)
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
HEAD_BITS = 213
"""Everything before the vendor sections."""


def bits_of(text: str) -> str:
    """Spell base64url text as zeros and ones."""
    return "".join(f"{ALPHABET.index(char):06b}" for char in text)


def text_of(bits: str) -> str:
    """Pack zeros and ones as an encoder does, filled up to whole characters."""
    padded = bits + "0" * (-len(bits) % 6)
    return "".join(ALPHABET[int(padded[at : at + 6], 2)] for at in range(0, len(padded), 6))


def flipped(text: str, places: Iterable[int]) -> str:
    """Invert some bits of a segment."""
    bits = list(bits_of(text))
    for place in places:
        bits[place % len(bits)] = "10"[int(bits[place % len(bits)])]
    return text_of("".join(bits))


def decoded(text: str) -> TcString:
    """Decode a text that must be readable."""
    tc = decode_tcf(text)
    assert isinstance(tc, TcString), tc
    return tc


def grants(text: str) -> set[tuple[int, int]]:
    """List everything that a text allows: (vendor, purpose), with vendor 0 for us."""
    tc = decode_tcf(text)
    if isinstance(tc, Unreadable) or not is_valid(tc) or tc.vendor_list_version != 42:
        return set()
    ours = {(0, purpose) for purpose in range(1, 25) if allows_us(tc, purpose)}
    return ours | {
        (number, purpose)
        for number, vendor in VENDOR_LIST.vendors.items()
        if number <= 40
        for purpose in range(1, 12)
        if allows_vendor(tc, number, vendor, purpose)
    }


def test_generated_strings_are_valid_unless_they_disclose_too_little() -> None:
    """A string without disclosed vendors is valid only when made before 28 February 2026."""
    for vector in VECTORS:
        fields = vector["fields"]
        late = fields["created_ms"] >= 1_772_236_800_000
        expected = fields["disclosed"] is not None or not late
        assert is_valid(decoded(vector["text"])) == expected, vector["text"]


def test_no_truncation_grants_anything_new() -> None:
    """A string cut at any character allows nothing that the whole string does not."""
    for vector in VECTORS:
        text = vector["text"]
        whole = grants(text)
        for length in range(len(text)):
            cut = text[:length]
            if isinstance(decode_tcf(cut), Unreadable) or decode_tcf(cut) == decode_tcf(text):
                continue
            assert grants(cut) <= whole, cut


def test_a_core_alone_is_refused_since_vendors_must_be_disclosed() -> None:
    """Cut at its first dot, every string of framework 2.3 or of its time becomes invalid."""
    checked = 0
    for vector in VECTORS:
        fields = vector["fields"]
        if fields["policy_version"] >= 5 or fields["created_ms"] >= 1_772_236_800_000:
            assert grants(vector["text"].split(".")[0]) == set()
            checked += 1
    assert checked > 100


NO_CONSENT = st.integers(0, 5) | st.integers(78, 119) | st.integers(201, 212)
"""Bits of the version, of the platform and its screen, and of the publisher's country."""


@given(st.sampled_from(VECTORS), NO_CONSENT)
def test_flipped_fields_that_are_no_consent_grant_nothing(
    vector: dict[str, Any], place: int
) -> None:
    """A wrong bit of what says nothing of consent, its time or its list adds no permission."""
    text = vector["text"]
    core, *others = text.split(".")
    if vector["fields"]["disclosed"] is not None:
        damaged = ".".join([flipped(core, [place]), *others])
        assert grants(damaged) <= grants(text)


PLACES = {
    "created_ms": (6, 36),
    "updated_ms": (42, 36),
    "policy_version": (132, 6),
    "service_specific": (138, 1),
    "purposes_consent": (152, 24),
    "purposes_interest": (176, 24),
    "purpose_one_treatment": (200, 1),
}
"""Where fields of fixed width stand, and how wide they are."""


def replaced(tc: TcString, **fields: Any) -> TcString:
    """Change fields of a decoded string, those of fixed width in the bits that hold them."""
    head = tc.head
    for name in PLACES.keys() & fields.keys():
        value = fields.pop(name)
        value = value.field if isinstance(value, Purposes) else int(value)
        value //= 100 if name.endswith("_ms") else 1
        at, width = PLACES[name]
        right = HEAD_BITS - at - width
        head = head & ~(((1 << width) - 1) << right) | value << right
    return msgspec.structs.replace(tc, head=head, **fields)


def changed(**fields: Any) -> TcString:
    """Give a valid string of 2025 and framework 2.2 with some fields changed."""
    day = {"created_ms": 1_760_000_000_000, "updated_ms": 1_760_000_000_000}
    return replaced(decoded(VECTORS[0]["text"]), **({"policy_version": 4} | day | fields))


@pytest.mark.parametrize(
    "fields",
    [
        {"policy_version": 3},
        {"service_specific": False},
        {"purposes_interest": Purposes(1 << 23)},
        {"purposes_interest": Purposes(1 << (24 - 4))},
        {"disclosed": None, "policy_version": 5},
        {"disclosed": None, "updated_ms": 1_772_236_800_000},
        {"updated_ms": 1_700_000_000_000},
    ],
    ids=[
        "old policy",
        "global scope",
        "LI of 1",
        "LI of 4",
        "2.3 undisclosed",
        "2026 undisclosed",
        "updated before it was created",
    ],
)
def test_broken_rules_make_a_string_invalid(fields: dict[str, Any]) -> None:
    """Each rule of the framework alone makes a readable string invalid."""
    assert is_valid(changed(disclosed=None))
    assert not is_valid(changed(**fields))


def test_strings_age() -> None:
    """A string counts for 13 months, and one from tomorrow counts, but none from next week."""
    tc, day = changed(), 86_400_000
    ages = [-7, -1, 0, 396, 397]
    assert [is_current(tc, tc.updated_ms + age * day) for age in ages] == [
        False,
        True,
        True,
        True,
        False,
    ]


def test_a_purpose_that_was_not_shown_is_not_agreed_to() -> None:
    """Where a country needs no question for purpose 1, its bit is nobody's answer."""
    everyone = Vendors(last=9, starts=(1,), ends=(9,))
    one = Purposes(1 << 23)
    shown = changed(
        purposes_consent=one,
        purpose_one_treatment=False,
        vendors_consent=everyone,
        disclosed=everyone,
        restrictions=(),
    )
    hidden = replaced(shown, purpose_one_treatment=True)
    vendor = Vendor(purposes=(1,))
    assert (allows_us(shown, 1), allows_vendor(shown, 3, vendor, 1)) == (True, True)
    assert (allows_us(hidden, 1), allows_vendor(hidden, 3, vendor, 1)) == (False, False)


def test_a_vendor_that_was_not_disclosed_is_allowed_nothing() -> None:
    """Without the segment of disclosed vendors a string says nothing to any of them."""
    tc = next(
        tc
        for tc in (decoded(vector["text"]) for vector in VECTORS)
        if tc.disclosed and any(allows_vendor(tc, 2, VENDOR_LIST.vendors[2], p) for p in (2, 4))
    )
    bare = msgspec.structs.replace(tc, disclosed=None)
    assert not any(allows_vendor(bare, 2, VENDOR_LIST.vendors[2], each) for each in range(1, 12))


def limit_cases() -> Iterator[tuple[set[int], str, bool]]:
    """Give restriction kinds, how purpose 2 is declared, and whether both bits allow it."""
    for declared in ("consent", "interest", "flexible consent", "flexible interest", "nothing"):
        yield set(), declared, declared != "nothing"
        yield {0}, declared, False
        yield {3}, declared, False
        yield {0, 1}, declared, False
        yield {1}, declared, declared in {"consent", "flexible consent", "flexible interest"}
        yield {2}, declared, declared in {"interest", "flexible consent", "flexible interest"}


@pytest.mark.parametrize(("kinds", "declared", "expected"), list(limit_cases()))
def test_publisher_restrictions(kinds: set[int], declared: str, *, expected: bool) -> None:
    """A restriction forbids a purpose or its basis, which only flexible purposes may change."""
    two = Purposes(1 << 22)
    everyone = Vendors(last=9, starts=(1,), ends=(9,))
    limits = [f"{2:06b}{kind:02b}{1:012b}0{7:016b}" for kind in kinds]
    head = bits_of(VECTORS[0]["text"].split(".")[0])[:HEAD_BITS]
    text = text_of(head + f"{0:034b}{len(limits):012b}{''.join(limits)}")
    tc = replaced(
        decoded(text),
        purposes_consent=two,
        purposes_interest=two,
        vendors_consent=everyone,
        vendors_interest=everyone,
        disclosed=everyone,
    )
    vendor = Vendor(
        purposes=(2,) if "consent" in declared else (),
        li_purposes=(2,) if "interest" in declared else (),
        flexible=(2,) if "flexible" in declared else (),
    )
    assert allows_vendor(tc, 7, vendor, 2) == expected
    assert allows_vendor(tc, 8, vendor, 2) == (declared != "nothing")
    assert not allows_vendor(msgspec.structs.replace(tc, disclosed=Vendors()), 8, vendor, 2)


def test_vendor_list_leaves_deleted_vendors_out() -> None:
    """A deleted vendor of a published list is nobody's vendor any more."""
    assert b'"13":{"id":13' in VENDOR_LIST_BYTES
    assert 12 in VENDOR_LIST.vendors
    assert 13 not in VENDOR_LIST.vendors
    assert VENDOR_LIST.version == 42


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"\xff", VENDOR_LIST_BYTES.replace(b'Version":3', b'Version":2', 1)],
    ids=["empty", "no list", "no text", "format 2"],
)
def test_other_files_are_no_vendor_lists(data: bytes) -> None:
    """What is no vendor list of format 3 is refused whole."""
    with pytest.raises(VendorListError, match=r"[Ff]etch"):
        read_vendor_list(data)
