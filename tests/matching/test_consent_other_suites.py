"""Consent strings that other projects' documents and tests read: read alike here."""

import pytest

from matching.consent.decide import decide
from matching.consent.gpp import Gpp, decode_gpp
from matching.consent.signals import Signals, Use
from matching.consent.tcf import Purposes, TcString, Vendors, decode_tcf
from matching.consent.us_sections import UsSection, decode_us_section

SEGMENT = (
    "FukWSQgAIQwgI0QEByFAAAAeIAACAIgSAAQAIAgEQACEABAAAgAQFAEAIAAAGBAAgAAAAQAIFAAMCQAAgAAQiRAEQAAAAAN"
    "AAIAAggAIYQFAAARmggBC3ZCYzU2yIA"
)
EXAMPLE = "COvFyGBOvFyGBAbAAAENAPCAAOAAAAAAAAAAAEEUACCKAAA"
DISCLOSED = (
    "IFoEUQQgAIQwgIwQABAEAAAAOIAACAIAAAAQAIAgEAACEAAAAAgAQBAAAAAAAGBAAgAAAAAAAFAAECAAAgAAQARAEQAAAAAJ"
    "AAIAAgAAAYQEAAAQmAgBC3ZAYzUw"
)


def members(vendors: Vendors | None) -> list[int]:
    """List a set of vendors."""
    return [] if vendors is None else [each for each in range(1, 65536) if each in vendors]


def purposes(found: Purposes) -> list[int]:
    """List a set of purposes."""
    return [each for each in range(1, 25) if each in found]


def decoded(text: str) -> TcString:
    """Decode a text that must be readable."""
    tc = decode_tcf(text)
    assert isinstance(tc, TcString), tc
    return tc


@pytest.mark.parametrize("text", [EXAMPLE, f"{EXAMPLE}.{DISCLOSED}"], ids=["core", "disclosed"])
def test_the_framework_s_example(text: str) -> None:
    """The string of the specification says what all its readers say."""
    tc = decoded(text)
    assert (tc.created_ms, tc.updated_ms) == (1_582_243_059_300, 1_582_243_059_300)
    assert (tc.cmp_id, tc.vendor_list_version, tc.policy_version, tc.language) == (27, 15, 2, "EN")
    assert (tc.service_specific, tc.publisher_country) == (False, "AA")
    assert (purposes(tc.purposes_consent), purposes(tc.purposes_interest)) == ([1, 2, 3], [])
    assert members(tc.vendors_consent) == members(tc.vendors_interest) == [2, 6, 8]
    assert members(tc.disclosed)[:6] == ([2, 6, 8, 12, 18, 23] if "." in text else [])
    assert members(tc.disclosed)[-2:] == ([719, 720] if "." in text else [])
    for use in Use:
        assert not decide(Signals(tcf=text), use, default="allow").allowed


@pytest.mark.parametrize("swapped", [False, True], ids=["in order", "publisher first"])
def test_segments_in_any_order(*, swapped: bool) -> None:
    """All segments are found wherever they stand, generous padding of the last included."""
    rest = [f"I{SEGMENT}", f"Q{SEGMENT}", "YAAAAAAAAAAAAAAAAAA"]
    core = "COw4XqLOw4XqLAAAAAENAXCAAAAAAAAAAAAAAAAAAAAA"
    tc = decoded(".".join([core, *(reversed(rest) if swapped else rest)]))
    assert members(tc.disclosed) == members(tc.allowed)
    assert members(tc.disclosed)[:4] == [2, 6, 8, 9]
    assert members(tc.disclosed)[-4:] == [725, 726, 729, 733]
    assert tc.publisher is not None
    assert purposes(tc.publisher.consent) == []


def test_restrictions_and_custom_purposes() -> None:
    """A restriction of seven vendors and 23 custom purposes are read as elsewhere."""
    tc = decoded(
        "COw4XqLOw4XqLAAAAAENAXCf-v-gAAAfwIAAACngAI8AEFABgACAA4A.IAPPwAPrwA.QAPPwAPrwA."
        "cAEAPAAAC7gAHw4AAA"
    )
    (limit,) = tc.restrictions
    assert (limit.purpose, limit.kind, members(limit.vendors)) == (1, 1, [1, 2, 3, 4, 5, 6, 7])
    assert purposes(tc.purposes_consent) == [1, 2, 3, 4, 5, 6, 7, 8, 9, 11]
    assert purposes(tc.purposes_interest) == [12, 13, 14, 15, 16, 17, 18]
    assert tc.purpose_one_treatment
    assert (members(tc.vendors_consent), members(tc.vendors_interest)) == (
        [2, 3, 4, 5],
        [1, 2, 3, 4],
    )
    assert members(tc.disclosed) == [*range(1, 7), *range(19, 24), 25, 27, 28, 29, 30]
    assert tc.publisher is not None
    assert (purposes(tc.publisher.consent), tc.publisher.custom) == ([1, 13, 24], 23)


NATIONAL = (7, 1, (2, 2, 2), (0, 0))
VIRGINIA = (9, 1, (2, 0, 2), (2,))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("DBABLA~BVVqAAEABCA", [NATIONAL]),
        ("DBABLA~BVVqAAEABCA.QA", [NATIONAL]),
        ("DBABL~BVVqAAEABAA", [NATIONAL]),
        ("DBACLMA~BVVqAAEABCA~BVoYYYI", [NATIONAL, VIRGINIA]),
        ("DBABzw~1YNN~BVVqAAEABCA.QA", [NATIONAL]),
        (
            "DBABrGA~BVVqAAEABCA~BVoYYZoI~BVoYYYI~BVoYYQg~BVaGGGCA~BVoYYYQg",
            [
                NATIONAL,
                (8, 1, (2, 2, 0), (1, 2)),
                VIRGINIA,
                (10, 1, (2, 0, 2), (1,)),
                (11, 1, (2, 0, 2), (2,)),
                (12, 1, (2, 0, 2), (2, 0, 1)),
            ],
        ),
    ],
)
def test_sections_of_the_united_states(
    text: str, expected: list[tuple[int, int, tuple[int, ...], tuple[int, ...]]]
) -> None:
    """Version, the three choices and the children of each section are read as elsewhere."""
    gpp = decode_gpp(text)
    assert isinstance(gpp, Gpp), gpp
    found = []
    for section, body in gpp.sections.items():
        if section >= 7:
            us = decode_us_section(section, body)
            assert isinstance(us, UsSection), us
            found.append((section, us.version, (us.sale, us.sharing, us.targeted), us.children))
            assert not us.gpc
    assert found == expected


@pytest.mark.parametrize("text", ["DBABLA~BVVqAAEABCA.YA", "DBABL~BVVqAAEABAA.YA"])
def test_gpc_inside_a_section(text: str) -> None:
    """GPC of a section that applies stops what the choices beside it would allow."""
    found = decide(Signals(gpp=text, gpp_sid=(7,)), Use.SYNC, default="allow")
    assert (found.allowed, found.reason) == (False, "gpc")


@pytest.mark.parametrize(
    "text",
    [
        "DBACNYA~CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA~1YNN",
        "DBACNYA~CPSG_8APSG_8ANwAAAENAwCAAAAAAAAAAAAAAAAAAAAA.QAAA.IAAA~1YNN",
    ],
)
def test_tcf_and_us_privacy_inside_gpp(text: str) -> None:
    """Both sections are found; a TC string of an old policy permits nothing."""
    gpp = decode_gpp(text)
    assert isinstance(gpp, Gpp)
    assert (set(gpp.sections), gpp.sections[6]) == ({2, 6}, "1YNN")
    assert decoded(gpp.sections[2]).policy_version == 2
    found = decide(Signals(gpp=text, gpp_sid=(2,)), Use.STORE, default="allow")
    assert (found.allowed, found.reason) == (False, "tcf_invalid")


@pytest.mark.parametrize(
    "text", ["DBABJg~bSFgmJQ.YA", "DBABLA~DSJgmkoZJSA.YA", "DBABMA~CPXxRfAPXxRfAAfKABENB~1YNN"]
)
def test_sections_of_no_known_version_permit_nothing(text: str) -> None:
    """Versions that do not exist, and more sections than the header names, are denials."""
    for use in Use:
        assert not decide(Signals(gpp=text), use, default="allow").allowed
