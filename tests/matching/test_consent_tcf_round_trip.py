"""TCF strings of every shape that the format allows, written here bit by bit, read back equal."""

from hypothesis import given
from hypothesis import strategies as st

from matching.consent.tcf import Purposes, TcString, Vendors, decode_tcf

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
LETTERS = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=2, max_size=2)

Ranges = list[tuple[int, int]]


def text_of(bits: str) -> str:
    """Pack zeros and ones as an encoder does, filled up to whole characters."""
    padded = bits + "0" * (-len(bits) % 6)
    return "".join(ALPHABET[int(padded[at : at + 6], 2)] for at in range(0, len(padded), 6))


def members_of(vendors: Vendors) -> list[int]:
    """List a set of vendors the slow way."""
    return [vendor for vendor in range(1, vendors.last + 1) if vendor in vendors]


def decoded(text: str) -> TcString:
    """Decode a text that must be readable."""
    tc = decode_tcf(text)
    assert isinstance(tc, TcString), tc
    return tc


def sections(draw: st.DrawFn, last: int) -> tuple[str, set[int]]:
    """Draw the bits of range entries up to `last`, and what they mean."""
    marks = sorted(draw(st.sets(st.integers(1, last), max_size=16)))
    entries: Ranges = []
    while marks:
        pair = marks[: draw(st.integers(1, 2))]
        del marks[: len(pair)]
        entries.append((pair[0], pair[-1]))
    bits = f"{len(entries):012b}"
    for low, high in entries:
        is_range = low != high or draw(st.booleans())
        bits += f"{int(is_range)}{low:016b}" + (f"{high:016b}" if is_range else "")
    return bits, {vendor for low, high in entries for vendor in range(low, high + 1)}


@st.composite
def vendor_sections(draw: st.DrawFn) -> tuple[str, set[int]]:
    """Draw a vendor section in either form."""
    last = draw(st.integers(1, 400))
    if draw(st.booleans()):
        bits, members = sections(draw, last)
        return f"{last:016b}1{bits}", members
    field = draw(st.text("01", min_size=last, max_size=last))
    return f"{last:016b}0{field}", {at + 1 for at, bit in enumerate(field) if bit == "1"}


@st.composite
def restriction_lists(draw: st.DrawFn) -> tuple[str, list[tuple[int, int, set[int]]]]:
    """Draw publisher restrictions."""
    bits, meant = "", []
    for _ in range(count := draw(st.integers(0, 4))):
        purpose, kind = draw(st.integers(1, 24)), draw(st.integers(0, 3))
        entries, members = sections(draw, 1000)
        bits += f"{purpose:06b}{kind:02b}{entries}"
        meant.append((purpose, kind, members))
    return f"{count:012b}{bits}", meant


@given(
    head=st.tuples(*(st.integers(0, (1 << width) - 1) for width in (36, 36, 12, 12, 6, 12, 6, 24))),
    letters=st.tuples(LETTERS, LETTERS),
    consent=vendor_sections(),
    interest=vendor_sections(),
    limits=restriction_lists(),
    disclosed=vendor_sections(),
)
def test_encoded_strings_read_back(
    head: tuple[int, ...],
    letters: tuple[str, str],
    consent: tuple[str, set[int]],
    interest: tuple[str, set[int]],
    limits: tuple[str, list[tuple[int, int, set[int]]]],
    disclosed: tuple[str, set[int]],
) -> None:
    """Whatever an encoder may write, both forms of vendor sections included, reads back."""
    language, country = ("".join(f"{ord(char) - 65:06b}" for char in pair) for pair in letters)
    widths = (36, 36, 12, 12, 6, 12, 6, 24)
    *start, lists, policy, purposes = (f"{v:0{w}b}" for v, w in zip(head, widths, strict=True))
    core = (
        f"{2:06b}{''.join(start)}{language}{lists}{policy}10{0:012b}{purposes}{0:024b}0{country}"
        f"{consent[0]}{interest[0]}{limits[0]}"
    )
    tc = decoded(f"{text_of(core)}.{text_of('001' + disclosed[0])}")
    assert (tc.language, tc.publisher_country) == letters
    assert (tc.created_ms, tc.updated_ms) == (head[0] * 100, head[1] * 100)
    assert (tc.vendor_list_version, tc.policy_version) == (head[5], head[6])
    assert tc.purposes_consent == Purposes(head[7])
    assert set(members_of(tc.vendors_consent)) == consent[1]
    assert set(members_of(tc.vendors_interest)) == interest[1]
    assert tc.disclosed is not None
    assert set(members_of(tc.disclosed)) == disclosed[1]
    for each, (purpose, kind, members) in zip(tc.restrictions, limits[1], strict=True):
        assert (each.purpose, each.kind) == (purpose, kind)
        assert {vendor for vendor in range(1, 1001) if vendor in each.vendors} == members
