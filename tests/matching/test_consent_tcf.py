"""TCF strings: equal to the official library's reading, and never a permission from damage."""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matching.consent.bits import TEXT_CHARS_MAX, Unreadable
from matching.consent.tcf import TcString, Vendors, decode_tcf

CASES = Path(__file__).parent.parent / "cases" / "consent"
VECTORS: list[dict[str, Any]] = msgspec.json.decode((CASES / "tcf_vectors.json").read_bytes())
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def bits_of(text: str) -> str:
    """Spell base64url text as zeros and ones."""
    return "".join(f"{ALPHABET.index(char):06b}" for char in text)


def text_of(bits: str) -> str:
    """Pack zeros and ones as an encoder does, filled up to whole characters."""
    padded = bits + "0" * (-len(bits) % 6)
    return "".join(ALPHABET[int(padded[at : at + 6], 2)] for at in range(0, len(padded), 6))


def ranges_of(members: Iterable[int]) -> str:
    """Write ids as the vectors do: `1-5 7`."""
    runs: list[list[int]] = []
    for member in members:
        if runs and runs[-1][1] == member - 1:
            runs[-1][1] = member
        else:
            runs.append([member, member])
    return " ".join(str(low) if low == high else f"{low}-{high}" for low, high in runs)


def members_of(vendors: Vendors) -> list[int]:
    """List a set of vendors the slow way."""
    return [vendor for vendor in range(1, vendors.last + 1) if vendor in vendors]


def restricted(tc: TcString) -> list[dict[str, Any]]:
    """Write restrictions as the vectors do."""
    found = [
        {
            "purpose": each.purpose,
            "kind": each.kind,
            "vendors": ranges_of(v for v in range(1, 1000) if v in each.vendors),
        }
        for each in tc.restrictions
    ]
    return sorted(found, key=lambda each: (each["purpose"], each["kind"]))


def ones(field: int, width: int) -> list[int]:
    """List the positions, from 1, of the ones of a bit field."""
    return [at + 1 for at, bit in enumerate(f"{field:0{width}b}"[-width:]) if bit == "1"]


def as_fields(tc: TcString) -> dict[str, Any]:
    """Write a decoded string as the vectors do."""
    named = {name: getattr(tc, name) for name in VECTORS[0]["fields"] if hasattr(tc, name)}
    publisher = tc.publisher
    assert publisher is not None
    return named | {
        "special_features": ones(tc.special_features, 12),
        "purposes_consent": ones(tc.purposes_consent.field, 24),
        "purposes_interest": ones(tc.purposes_interest.field, 24),
        "vendors_consent": ranges_of(members_of(tc.vendors_consent)),
        "vendors_interest": ranges_of(members_of(tc.vendors_interest)),
        "restrictions": restricted(tc),
        "disclosed": None if tc.disclosed is None else ranges_of(members_of(tc.disclosed)),
        "publisher_consent": ones(publisher.consent.field, 24),
        "publisher_interest": ones(publisher.interest.field, 24),
        "custom": publisher.custom,
        "custom_consent": ones(publisher.custom_consent, publisher.custom)
        if publisher.custom
        else [],
        "custom_interest": ones(publisher.custom_interest, publisher.custom)
        if publisher.custom
        else [],
    }


def decoded(text: str) -> TcString:
    """Decode a text that must be readable."""
    tc = decode_tcf(text)
    assert isinstance(tc, TcString), tc
    return tc


def test_all_fields_equal_the_official_library() -> None:
    """Every field of every generated string is what the library that made it reads."""
    assert len(VECTORS) == 200
    for vector in VECTORS:
        assert as_fields(decoded(vector["text"])) == vector["fields"], vector["text"]


class NaiveError(Exception):
    """The slow reader found the string malformed."""


class Naive:
    """A slow, obviously right reader of zeros and ones."""

    def __init__(self, bits: str) -> None:
        self.bits = bits

    def take(self, width: int) -> int:
        """Take the next bits as a number."""
        if width > len(self.bits):
            raise NaiveError
        taken, self.bits = self.bits[:width], self.bits[width:]
        return int(taken or "0", 2)

    def purposes(self) -> set[int]:
        """Take 24 purposes."""
        return {purpose for purpose in range(1, 25) if self.take(1)}

    def letters(self) -> None:
        """Take two letters."""
        if self.take(6) > 25 or self.take(6) > 25:
            raise NaiveError

    def vendors(self) -> set[int]:
        """Take a vendor section in either form."""
        last = self.take(16)
        if self.take(1):
            return self.ranges(last)
        return {vendor for vendor in range(1, last + 1) if self.take(1)}

    def ranges(self, last: int) -> set[int]:
        """Take range entries."""
        found: set[int] = set()
        for _ in range(self.take(12)):
            is_range, start = self.take(1), self.take(16)
            end = self.take(16) if is_range else start
            if not max(found, default=0) < start <= end <= last:
                raise NaiveError
            found |= set(range(start, end + 1))
        return found


def naive_core(text: str) -> tuple[set[int], set[int], set[int], set[int], list[Any]]:
    """Read purposes, vendors and restrictions of a core segment, bit by bit."""
    reader = Naive(bits_of(text))
    if reader.take(6) != 2:
        raise NaiveError
    reader.take(36 + 36 + 12 + 12 + 6)
    reader.letters()
    reader.take(12 + 6 + 1 + 1 + 12)
    consent, interest = reader.purposes(), reader.purposes()
    reader.take(1)
    reader.letters()
    vendors, vendors_interest = reader.vendors(), reader.vendors()
    limits = []
    for _ in range(reader.take(12)):
        purpose, kind = reader.take(6), reader.take(2)
        limits.append((purpose, kind, reader.ranges(65535)))
        if not purpose:
            raise NaiveError
    if len(reader.bits) > 23 or "1" in reader.bits:
        raise NaiveError
    return consent, interest, vendors, vendors_interest, limits


def check_against_naive(core: str) -> None:
    """Compare the decoder with the slow reader on one core segment."""
    tc = decode_tcf(core)
    try:
        consent, interest, vendors, vendors_interest, limits = naive_core(core)
    except NaiveError:
        assert isinstance(tc, Unreadable)
        return
    assert isinstance(tc, TcString), tc
    assert set(ones(tc.purposes_consent.field, 24)) == consent
    assert set(ones(tc.purposes_interest.field, 24)) == interest
    assert set(members_of(tc.vendors_consent)) == vendors
    assert set(members_of(tc.vendors_interest)) == vendors_interest
    assert [(each.purpose, each.kind) for each in tc.restrictions] == [
        (purpose, kind) for purpose, kind, _ in limits
    ]
    for each, (_, _, members) in zip(tc.restrictions, limits, strict=True):
        ranges = zip(each.vendors.starts, each.vendors.ends, strict=True)
        assert {v for start, end in ranges for v in range(start, end + 1)} == members


def flipped(text: str, places: Iterable[int]) -> str:
    """Invert some bits of a segment."""
    bits = list(bits_of(text))
    for place in places:
        bits[place % len(bits)] = "10"[int(bits[place % len(bits)])]
    return text_of("".join(bits))


@given(st.sampled_from(VECTORS), st.lists(st.integers(0, 5000), min_size=1, max_size=4))
def test_flipped_bits_read_as_they_stand_or_not_at_all(
    vector: dict[str, Any], places: list[int]
) -> None:
    """A damaged string means exactly what its bits say, or is unreadable: nothing is invented."""
    check_against_naive(flipped(vector["text"].split(".")[0], places))


@given(st.text(ALPHABET + ".", max_size=300).map(lambda text: "C" + text) | st.text(max_size=50))
def test_random_text_never_fails(text: str) -> None:
    """Any text gives a value; nothing but a whole string gives a `TcString`."""
    assert isinstance(decode_tcf(text), TcString | Unreadable)


CORE = VECTORS[0]["text"].split(".")[0]
DISCLOSED = VECTORS[0]["text"].split(".")[1]
HEAD = bits_of(CORE)[:213]


def with_vendors(section: str) -> str:
    """Write a core whose vendor section is replaced, with no interest and no restriction."""
    return text_of(HEAD + section + f"{0:017b}{0:012b}")


MALFORMED = {
    "empty": "",
    "version 1": "B" + CORE[1:],
    "standard base64": CORE[:-1] + "+",
    "padded with =": CORE + "=",
    "trailing dot": CORE + ".",
    "leading dot": "." + CORE,
    "doubled segment": f"{CORE}.{DISCLOSED}.{DISCLOSED}",
    "segment of type 0": f"{CORE}.AAAA",
    "segment of type 4": f"{CORE}.gAAA",
    "characters after the last field": CORE + "AAAAAAAA",
    "too long": CORE + "A" * TEXT_CHARS_MAX,
    "line break": CORE + "\n",
    "full-width letter": CORE[:-1] + "\uff21",
    "lone surrogate": CORE[:-1] + "\ud800",
    "range from 0": with_vendors(f"{9:016b}1{1:012b}0{0:016b}"),
    "range backwards": with_vendors(f"{9:016b}1{1:012b}1{5:016b}{4:016b}"),
    "range beyond the last vendor": with_vendors(f"{9:016b}1{1:012b}1{5:016b}{10:016b}"),
    "ranges that overlap": with_vendors(f"{9:016b}1{2:012b}1{1:016b}{5:016b}0{5:016b}"),
    "ranges that descend": with_vendors(f"{9:016b}1{2:012b}0{5:016b}0{4:016b}"),
    "ones in the padding": with_vendors(f"{9:016b}0{0:09b}") + "_",
    "more entries than bits": with_vendors(f"{9:016b}1{4095:012b}0{1:016b}"),
    "disclosed claims 65535 vendors in 20 bits": f"{CORE}.{text_of('001' + '1' * 16 + '0')}",
    "language beyond Z": text_of(HEAD[:108] + "1" * 12 + bits_of(CORE)[120:]),
    "restricts purpose 0": text_of(HEAD + f"{0:034b}{1:012b}{0:06b}00{0:012b}"),
}


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED)
def test_malformed_strings_are_unreadable(text: str) -> None:
    """No malformed string decodes."""
    assert isinstance(decode_tcf(text), Unreadable)


@pytest.mark.parametrize("apart", [True, False], ids=["apart", "overlapping"])
def test_ranges_cost_bounded_work(*, apart: bool) -> None:
    """The longest accepted string, full of ranges, is judged in a moment, however they lie."""
    entries = (TEXT_CHARS_MAX * 6 - 300) // 33
    spans = [(4 * at + 1, 4 * at + 2) if apart else (1, 65535) for at in range(entries)]
    bits = f"{65535:016b}1{entries:012b}" + "".join(
        f"1{low:016b}{high:016b}" for low, high in spans
    )
    text = with_vendors(bits)
    assert len(text) <= TEXT_CHARS_MAX
    before = time.process_time()
    tc = decode_tcf(text)
    assert time.process_time() - before < 0.1
    assert isinstance(tc, TcString) == apart
    if isinstance(tc, TcString):
        assert tc.vendors_consent.starts == tuple(low for low, _ in spans)
