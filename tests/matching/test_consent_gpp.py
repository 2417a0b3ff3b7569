"""GPP strings and US Privacy: equal to the official library's reading, unreadable when damaged."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matching.consent.bits import TEXT_CHARS_MAX, Unreadable
from matching.consent.gpp import TCF_EU, US_PRIVACY, Gpp, decode_gpp
from matching.consent.tcf import TcString, decode_tcf
from matching.consent.us_privacy import SaleChoice, read_us_privacy
from matching.consent.us_sections import US_SECTIONS, UsSection, decode_us_section

CASES = Path(__file__).parent.parent / "cases" / "consent"
VECTORS: list[dict[str, Any]] = msgspec.json.decode((CASES / "gpp_vectors.json").read_bytes())
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def text_of(bits: str) -> str:
    """Pack zeros and ones as an encoder does, filled up to whole characters."""
    padded = bits + "0" * (-len(bits) % 6)
    return "".join(ALPHABET[int(padded[at : at + 6], 2)] for at in range(0, len(padded), 6))


def as_fields(section: int, text: str) -> dict[str, Any]:
    """Read one section and write it as the vectors do."""
    if section == TCF_EU:
        tc = decode_tcf(text)
        assert isinstance(tc, TcString), tc
        return {"cmp_id": tc.cmp_id}
    if section == US_PRIVACY:
        opted_out = read_us_privacy(text) is SaleChoice.OPTED_OUT
        return {"opt_out_sale": "Y" if opted_out else "N"}
    us = decode_us_section(section, text)
    assert isinstance(us, UsSection), us
    fields: dict[str, Any] = msgspec.structs.asdict(us)
    del fields["notices"]  # the 2,000 of test_consent_vectors.py have them
    return fields | {"children": list(us.children)}


def test_all_sections_equal_the_official_library() -> None:
    """Every section of every generated string is what the library that made it reads."""
    seen = set()
    for vector in VECTORS:
        gpp = decode_gpp(vector["text"])
        assert isinstance(gpp, Gpp), gpp
        assert {str(section) for section in gpp.sections} == set(vector["sections"])
        for section, text in gpp.sections.items():
            assert as_fields(section, text) == vector["sections"][str(section)], vector["text"]
            seen.add(section)
    assert len(VECTORS) == 104
    assert seen == US_SECTIONS | {TCF_EU, US_PRIVACY}


def test_no_truncation_takes_a_refusal_away() -> None:
    """A string cut at any character is unreadable, or says at least what the whole one says."""
    for vector in VECTORS:
        text = vector["text"]
        whole = decode_gpp(text)
        assert isinstance(whole, Gpp)
        for length in range(len(text)):
            gpp = decode_gpp(text[:length])
            if isinstance(gpp, Unreadable):
                continue
            assert gpp.sections.keys() == whole.sections.keys()
            for section in US_SECTIONS & gpp.sections.keys():
                check_cut_section(section, gpp.sections[section], whole.sections[section])


def check_cut_section(section: int, cut: str, text: str) -> None:
    """Compare what is left of a section with the whole."""
    us, whole = decode_us_section(section, cut), decode_us_section(section, text)
    if isinstance(us, Unreadable):
        return
    assert isinstance(whole, UsSection)
    # Why: a section cut at its dot is a complete section that says nothing of GPC.
    gpc = whole.gpc if "." in cut else us.gpc
    assert us == msgspec.structs.replace(whole, gpc=gpc)


def fibonacci(value: int) -> str:
    """Write a number as the standard says: largest parts first, then turned round."""
    parts = [1, 2]
    while parts[-1] < value:
        parts.append(parts[-1] + parts[-2])
    bits = ""
    for part in reversed(parts):
        bits += "1" if part <= value else "0"
        value -= part if part <= value else 0
    return bits.lstrip("0")[::-1] + "1"


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(0, 4)), max_size=12))
def test_headers_read_back(groups: list[tuple[int, int]]) -> None:
    """Any section ids, alone or in ranges, come back from a header in their order."""
    bits, last = f"{3:06b}{1:06b}{len(groups):012b}", 0
    expected: list[int] = []
    for step, more in groups:
        bits += f"{int(more > 0)}{fibonacci(step)}{fibonacci(more) if more else ''}"
        expected += range(last + step, last + step + more + 1)
        last = expected[-1]
    gpp = decode_gpp("~".join([text_of(bits), *(f"s{section}" for section in expected)]))
    assert gpp == Gpp(sections={section: f"s{section}" for section in expected})


HEADER_7 = text_of(f"{3:06b}{1:06b}{1:012b}0{fibonacci(7)}")

MALFORMED = {
    "empty": "",
    "TCF string": "CQjlHEAQjlHEAUJ5qmENAqFsAGvgAELgABpYALAEARAFIAoAAEBACAQAAAIAZYACAAEEAB",
    "type 4": text_of(f"{4:06b}{1:06b}{0:012b}"),
    "version 2": text_of(f"{3:06b}{2:06b}{0:012b}"),
    "short header": "DBA",
    "header with characters behind": "DBAAAAAAAA",
    "section missing": HEADER_7,
    "section too many": f"{HEADER_7}~CAA~CAA",
    "trailing tilde": f"{HEADER_7}~CAA~",
    "endless number": text_of(f"{3:06b}{1:06b}{1:012b}0" + "01" * 60) + "~x",
    "4,095 groups in few bits": text_of(f"{3:06b}{1:06b}{4095:012b}0{fibonacci(7)}") + "~x",
    "range of 4,000 sections": text_of(f"{3:06b}{1:06b}{1:012b}1{fibonacci(1)}{fibonacci(4000)}"),
    "too long": f"{HEADER_7}~{'A' * TEXT_CHARS_MAX}",
    "other alphabet": "DB+A",
    "ones in the padding": text_of(f"{3:06b}{1:06b}{1:012b}0{fibonacci(7)}" + "1") + "~x",
}


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED)
def test_malformed_strings_are_unreadable(text: str) -> None:
    """No malformed header, and no wrong number of sections, decodes."""
    assert isinstance(decode_gpp(text), Unreadable)


MALFORMED_SECTIONS = {
    "empty": (7, ""),
    "version 3": (7, text_of(f"{3:06b}{0:064b}")),
    "version 2 of a state": (9, text_of(f"{2:06b}{0:034b}")),
    "field with value 3": (9, text_of(f"{1:06b}{'00' * 3}11{'00' * 13}")),
    "last field with value 3": (9, text_of(f"{1:06b}{'00' * 16}11")),
    "short": (9, text_of(f"{1:06b}{0:028b}")),
    "characters behind": (9, text_of(f"{1:06b}{0:034b}") + "AAAAAAAA"),
    "segment of type 2": (9, text_of(f"{1:06b}{0:034b}") + ".gA"),
    "empty segment": (9, text_of(f"{1:06b}{0:034b}") + "."),
    "three segments": (9, text_of(f"{1:06b}{0:034b}") + ".YA.YA"),
    "short sensitive data": (25, text_of(f"{1:06b}{0:018b}") + ".AA"),
    "unknown section": (99, text_of(f"{1:06b}{0:034b}")),
    "too long": (9, "A" * (TEXT_CHARS_MAX + 1)),
}


@pytest.mark.parametrize(("section", "text"), MALFORMED_SECTIONS.values(), ids=MALFORMED_SECTIONS)
def test_malformed_sections_are_unreadable(section: int, text: str) -> None:
    """No malformed section decodes."""
    assert isinstance(decode_us_section(section, text), Unreadable)


@given(st.integers(1, 30), st.text(ALPHABET + "~.", max_size=120) | st.text(max_size=30))
def test_random_text_never_fails(section: int, text: str) -> None:
    """Any text gives a value."""
    assert isinstance(decode_gpp(text), Gpp | Unreadable)
    assert isinstance(decode_gpp("DB" + text), Gpp | Unreadable)
    assert isinstance(decode_us_section(section, "B" + text), UsSection | Unreadable)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1YYN", SaleChoice.OPTED_OUT),
        ("1-Y-", SaleChoice.OPTED_OUT),
        ("1YNN", SaleChoice.NOT_OPTED_OUT),
        ("1---", SaleChoice.NOT_OPTED_OUT),
        ("", SaleChoice.UNREADABLE),
        ("2YNN", SaleChoice.UNREADABLE),
        ("1YN", SaleChoice.UNREADABLE),
        ("1YNNN", SaleChoice.UNREADABLE),
        ("1ynn", SaleChoice.UNREADABLE),
        ("1YNN\n", SaleChoice.UNREADABLE),
    ],
)
def test_us_privacy(text: str, expected: SaleChoice) -> None:
    """The third character decides; any other form is unreadable."""
    assert read_us_privacy(text) is expected
