"""12,000 strings of the official libraries: equal readings, and what damage to them may grant.

Each line holds a string and a hash of all that its library reads in it, written as JSON; what the
JSON of one string is, `make_tcf_vectors.mjs --show TEXT` and its sister say.
"""

import gzip
import re
from base64 import urlsafe_b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import msgspec

from matching.consent.bits import Unreadable
from matching.consent.gpp import TCF_EU, US_PRIVACY, Gpp, decode_gpp
from matching.consent.tcf import PublisherTc, TcString, Vendors, decode_tcf
from matching.consent.tcf_permission import allows_us, allows_vendor, is_valid
from matching.consent.us_privacy import SaleChoice, read_us_privacy
from matching.consent.us_sections import UsSection, decode_us_section
from matching.consent.vendor_list import read_vendor_list

CASES = Path(__file__).parent.parent / "cases" / "consent"
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
VENDORS = read_vendor_list((CASES / "vendor_list_42.json").read_bytes()).vendors
VENDORS_ASKED: Final = (1, 5, 14, 55)
PURPOSES_ASKED: Final = (1, 2, 4, 7, 10)
FLIPS: Final = 20
REFUSED: Final = "-"
_RUN: Final = re.compile("1+")


def lines_of(name: str) -> list[list[str]]:
    """Read a file of vectors: the string, its hash, the hashes of its damaged copies."""
    text = gzip.decompress((CASES / name).read_bytes()).decode()
    return [line.split(" ") for line in text.splitlines()]


TCF = lines_of("tcf_vectors.txt.gz")
GPP = lines_of("gpp_vectors.txt.gz")


def digest(value: object) -> str:
    """Hash a value as the generators do."""
    return urlsafe_b64encode(sha256(msgspec.json.encode(value)).digest()[:6]).decode()


def ones(field: int, width: int) -> list[int]:
    """List the positions, from 1, of the ones of a bit field."""
    return [at + 1 for at, bit in enumerate(f"{field:0{width}b}") if bit == "1"] if width else []


def spans(vendors: Vendors) -> list[tuple[int, int]]:
    """List the first and last numbers of each run of vendors."""
    if vendors.starts:
        return list(zip(vendors.starts, vendors.ends, strict=True))
    digits = f"{vendors.field:0{vendors.last}b}" if vendors.last else ""
    return [(run.start() + 1, run.end()) for run in _RUN.finditer(digits)]


def ranges(found: list[tuple[int, int]]) -> str:
    """Write runs as the vectors do, `1-5 7`; neighbours are one run."""
    runs: list[list[int]] = []
    for low, high in sorted(found):
        if runs and low <= runs[-1][1] + 1:
            runs[-1][1] = max(high, runs[-1][1])
        else:
            runs.append([low, high])
    return " ".join(str(low) if low == high else f"{low}-{high}" for low, high in runs)


def restrictions(tc: TcString) -> list[dict[str, Any]]:
    """Write restrictions as the vectors do: one entry for each purpose and kind."""
    found: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for each in tc.restrictions:
        found.setdefault((each.purpose, each.kind), []).extend(spans(each.vendors))
    return [
        {"purpose": purpose, "kind": kind, "vendors": ranges(runs)}
        for (purpose, kind), runs in sorted(found.items())
        if runs
    ]


NO_PUBLISHER: Final = PublisherTc(head=0, customs=0)


def as_fields(tc: TcString) -> dict[str, Any]:
    """Write a decoded string as the generator does."""
    publisher = tc.publisher or NO_PUBLISHER
    return {
        "created_ms": tc.created_ms,
        "updated_ms": tc.updated_ms,
        "cmp_id": tc.cmp_id,
        "cmp_version": tc.cmp_version,
        "consent_screen": tc.consent_screen,
        "language": tc.language,
        "vendor_list_version": tc.vendor_list_version,
        "policy_version": tc.policy_version,
        "service_specific": tc.service_specific,
        "non_standard_texts": tc.non_standard_texts,
        "special_features": ones(tc.special_features, 12),
        "purposes_consent": ones(tc.purposes_consent.field, 24),
        "purposes_interest": ones(tc.purposes_interest.field, 24),
        "purpose_one_treatment": tc.purpose_one_treatment,
        "publisher_country": tc.publisher_country,
        "vendors_consent": ranges(spans(tc.vendors_consent)),
        "vendors_interest": ranges(spans(tc.vendors_interest)),
        "restrictions": restrictions(tc),
        "disclosed": None if tc.disclosed is None else ranges(spans(tc.disclosed)),
        "publisher_consent": ones(publisher.consent.field, 24),
        "publisher_interest": ones(publisher.interest.field, 24),
        "custom": publisher.custom,
        "custom_consent": ones(publisher.custom_consent, publisher.custom),
        "custom_interest": ones(publisher.custom_interest, publisher.custom),
    }


def test_ten_thousand_tc_strings_equal_the_official_library() -> None:
    """Every field of every string is what the library that made it reads."""
    wrong = []
    for text, expected, *_ in TCF:
        tc = decode_tcf(text)
        if not isinstance(tc, TcString) or digest(as_fields(tc)) != expected:
            wrong.append(text)
    assert wrong == []
    assert len({line[0] for line in TCF}) == 10_000


def as_section(section: int, text: str) -> dict[str, Any]:
    """Read one section of a GPP string and write it as the generator does."""
    if section == TCF_EU:
        tc = decode_tcf(text)
        assert isinstance(tc, TcString), tc
        return {"cmp_id": tc.cmp_id}
    if section == US_PRIVACY:
        opted_out = read_us_privacy(text) is SaleChoice.OPTED_OUT
        return {"opt_out_sale": "Y" if opted_out else "N"}
    us = decode_us_section(section, text)
    assert isinstance(us, UsSection), us
    return {
        "version": us.version,
        "sale": us.sale,
        "sharing": us.sharing,
        "targeted": us.targeted,
        "children": us.children,
        "gpc": us.gpc,
        "notices": us.notices,
    }


def test_two_thousand_gpp_strings_equal_the_official_library() -> None:
    """Every section of every string is what the library that made it reads."""
    wrong = []
    for text, expected in GPP:
        gpp = decode_gpp(text)
        assert isinstance(gpp, Gpp), gpp
        in_order = sorted(gpp.sections.items())
        if digest({str(key): as_section(key, each) for key, each in in_order}) != expected:
            wrong.append(text)
    assert wrong == []
    assert len({line[0] for line in GPP}) == 2_000


def grants(tc: TcString | Unreadable) -> set[tuple[int, int]]:
    """List what a reading allows: (vendor, purpose), with vendor 0 for us."""
    if isinstance(tc, Unreadable) or not is_valid(tc) or tc.vendor_list_version != 42:
        return set()
    ours = {(0, purpose) for purpose in range(1, 25) if allows_us(tc, purpose)}
    return ours | {
        (number, purpose)
        for number in VENDORS_ASKED
        if number in VENDORS
        for purpose in PURPOSES_ASKED
        if allows_vendor(tc, number, VENDORS[number], purpose)
    }


def test_no_truncation_of_500_strings_grants_more() -> None:
    """Cut after any character, a string allows nothing that the whole one does not."""
    readable = 0
    for text, *_ in TCF[FLIPS - 1 :: FLIPS]:
        whole = grants(decode_tcf(text))
        for length in range(len(text)):
            tc = decode_tcf(text[:length])
            if isinstance(tc, TcString):
                readable += 1
                assert grants(tc) <= whole, text[:length]
    assert readable > 500


def flipped(text: str, number: int) -> tuple[str, int]:
    """Invert one bit as the generator does; also say which bit of which segment it was."""
    places = [at for at, char in enumerate(text) if char != "."]
    chosen = int.from_bytes(sha256(f"{text}/{number}".encode()).digest()[:4], "big")
    chosen %= 6 * len(places)
    at = places[chosen // 6]
    char = ALPHABET[ALPHABET.index(text[at]) ^ (32 >> chosen % 6)]
    in_core = "." not in text[:at]
    return text[:at] + char + text[at + 1 :], chosen if in_core else -1


def says_what_is_agreed(place: int) -> bool:
    """Tell the bits that say what was agreed, when and under which list, from all others."""
    return place < 0 or 6 <= place < 78 or 120 <= place < 139 or place >= 152


def test_no_wrong_bit_is_read_as_more_than_it_says() -> None:
    """10,000 strings with a wrong bit: unreadable, or read as the official library reads them.

    One bit of an answer turned over is another valid answer, for the format has no checksum; a
    wrong bit anywhere else grants nothing.
    """
    count = refused = more = 0
    for text, _, *expected in TCF:
        whole = grants(decode_tcf(text)) if expected else set()
        for number, hashed in enumerate(expected, start=1):
            damaged, place = flipped(text, number)
            tc = decode_tcf(damaged)
            count += 1
            if isinstance(tc, Unreadable):
                refused += 1
                continue
            assert hashed in {REFUSED, digest(as_fields(tc))}, damaged
            if not grants(tc) <= whole:
                more += 1
                assert hashed != REFUSED, damaged
                assert says_what_is_agreed(place), damaged
    assert count == 500 * FLIPS
    assert refused > count // 6
    assert 0 < more < count // 10
