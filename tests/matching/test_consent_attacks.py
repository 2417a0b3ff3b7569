"""Signals made to look like a permission that nobody gave: none of them is one."""

from typing import Final, Literal

import msgspec
import pytest
from consent_strings import (
    DAY_MS,
    TCF_AND_NATIONAL,
    limit_of,
    national,
    national_section,
    tc_string,
    text_of,
)
from hypothesis import given
from hypothesis import strategies as st

from matching.consent.decide import Decision, PartnerConsent, Signals, Use, decide, says_gpc
from matching.consent.fold import fold
from matching.consent.vendor_list import Vendor, VendorList

NOW_MS: Final = 1_795_000_000_000
LIST: Final = VendorList(
    version=42,
    format=3,
    vendors={
        1: Vendor(purposes=(1, 3, 4), li_purposes=(2,), flexible=(2,)),
        2: Vendor(purposes=(1, 4)),
        70_000: Vendor(purposes=(1, 4)),
    },
)
DSP: Final = PartnerConsent(gvl_id=1)
GOOGLE: Final = PartnerConsent(gvl_id=755)
ALL: Final = tc_string(1, 3, 4, 9, 10, at_ms=NOW_MS)
NOTHING: Final = tc_string(at_ms=NOW_MS)
NO_SALE: Final = national(sale=1)


def tcf(*limits: str, **more: int) -> str:
    """Write a string that agrees to all that is asked, but for what is given."""
    return tc_string(1, 3, 4, 9, 10, **({"at_ms": NOW_MS} | more), limits=limits)  # type: ignore[arg-type]


def ask(
    signals: Signals,
    use: Use,
    partner: PartnerConsent | None = None,
    default: Literal["allow", "deny"] = "allow",
) -> Decision:
    """Decide with the list and the time of these tests."""
    return decide(
        signals,
        use,
        default=default,
        partner=partner,
        vendor_lists={LIST.version: LIST},
        as_of_ms=NOW_MS,
    )


def test_without_an_attack_all_is_allowed() -> None:
    """The string that the rows below change is a permission, and so is the section."""
    for use in Use:
        assert ask(Signals(tcf=ALL, gdpr=True), use, DSP, "deny").allowed
        assert ask(Signals(gpp=national(), gpp_sid=(7,)), use, DSP, "deny").allowed


DENIED: Final[dict[str, tuple[Signals, Use]]] = {
    # what the page says of the law, against where the visitor is
    "no GDPR, in France": (Signals(tcf=NOTHING, gdpr=False, country="FR"), Use.STORE),
    "no GDPR, in Switzerland": (Signals(tcf=NOTHING, gdpr=False, country="CH"), Use.STORE),
    "no GDPR, in the UK, cut": (Signals(tcf=ALL[:30], gdpr=False, country="GB"), Use.STORE),
    "no GDPR, in GPP, in France": (
        Signals(gpp=f"DBABMA~{NOTHING}", gdpr=False, country="FR"),
        Use.STORE,
    ),
    "another law named, in France": (
        Signals(
            gpp=f"{TCF_AND_NATIONAL}~{NOTHING}~{national_section()}", gpp_sid=(7,), country="FR"
        ),
        Use.STORE,
    ),
    "no law named, in France": (
        Signals(gpp=f"DBABMA~{NOTHING}", gpp_sid=(-1,), country="FR"),
        Use.STORE,
    ),
    # two strings, of which one denies
    "denied in GPP": (Signals(tcf=ALL, gdpr=True, gpp=f"DBABMA~{NOTHING}"), Use.STORE),
    "denied beside GPP": (Signals(tcf=NOTHING, gpp=f"DBABMA~{ALL}", gpp_sid=(2,)), Use.STORE),
    "cut in GPP": (Signals(tcf=ALL, gdpr=True, gpp=f"DBABMA~{ALL[:30]}"), Use.STORE),
    "sections that do not fit the header": (Signals(tcf=ALL, gpp=f"DBABMA~{ALL}~x"), Use.STORE),
    "two strings in one": (Signals(tcf=f"{ALL}.{ALL.split('.')[0]}"), Use.STORE),
    "two lists of vendors": (Signals(tcf=f"{ALL}.{ALL.split('.')[1]}"), Use.STORE),
    "two strings with a comma": (Signals(tcf=f"{ALL},{ALL}"), Use.STORE),
    # lists of sections
    "a section that is not there": (Signals(gpp=national(), gpp_sid=(7, 8)), Use.STORE),
    "a section that has no number": (Signals(gpp=national(), gpp_sid=(7, 65_535)), Use.STORE),
    "all numbers": (Signals(gpp=national(), gpp_sid=tuple(range(1, 5_000))), Use.STORE),
    "a thousand times the same": (Signals(gpp=national(), gpp_sid=(7,) * 1_000), Use.STORE),
    "named as zero": (Signals(gpp=NO_SALE, gpp_sid=(0,)), Use.SYNC),
    "twice the part with GPC": (
        Signals(gpp=national(gpc=".YA.QA"), gpp_sid=(7,)),
        Use.STORE,
    ),
    "first no GPC, then GPC": (Signals(gpp=national(gpc=".QA.YA"), gpp_sid=(7,)), Use.SYNC),
    "sections counted wrongly": (Signals(gpp=f"{national()}~{national_section(1)}"), Use.STORE),
    # words
    "us privacy in small letters": (Signals(us_privacy="1yyn"), Use.SYNC),
    "us privacy with a newline": (Signals(us_privacy="1YYN\n"), Use.SYNC),
    "us privacy in other digits": (Signals(us_privacy="\uff11YYN"), Use.SYNC),
    "us privacy of a later version": (Signals(us_privacy="2YNN"), Use.SYNC),
    "space around a string": (Signals(tcf=f" {ALL}"), Use.STORE),
    "a string in other letters": (Signals(tcf=ALL.replace("A", "\u0410")), Use.STORE),
    "a string with padding": (Signals(tcf=f"{ALL}="), Use.STORE),
    "a string in plain base64": (Signals(tcf=ALL[:-4] + "++//"), Use.STORE),
    "a null in a string": (Signals(tcf=f"{ALL}\0"), Use.STORE),
    "an endless string": (Signals(tcf=ALL + "A" * 100_000), Use.STORE),
    # times and versions
    "from next week": (Signals(tcf=tcf(at_ms=NOW_MS + 7 * DAY_MS)), Use.STORE),
    "made today, answered next year": (
        Signals(tcf=tcf(updated_ms=NOW_MS + 365 * DAY_MS)),
        Use.STORE,
    ),
    "answered before it was made": (Signals(tcf=tcf(updated_ms=NOW_MS - DAY_MS)), Use.STORE),
    "from the end of time": (Signals(tcf=tcf(at_ms=((1 << 36) - 1) * 100)), Use.STORE),
    "from 1970": (Signals(tcf=tcf(at_ms=0, updated_ms=1)), Use.STORE),
    "version 1": (Signals(tcf=tcf(version=1)), Use.STORE),
    "version 3": (Signals(tcf=tcf(version=3)), Use.STORE),
    "a newer policy": (Signals(tcf=tcf(policy=6)), Use.STORE),
    "the last policy that there can be": (Signals(tcf=tcf(policy=63)), Use.STORE),
    "a list that nobody knows": (Signals(tcf=tcf(vendor_list=4_095)), Use.SYNC),
    "no list": (Signals(tcf=tcf(vendor_list=0)), Use.SYNC),
    "a section of a newer version": (
        Signals(gpp=f"DBABLA~{text_of(f'{3:06b}{0:064b}')}", gpp_sid=(7,)),
        Use.STORE,
    ),
    "a header of a newer version": (Signals(gpp=f"DCABLA~{national_section()}"), Use.STORE),
    # restrictions
    "forbidden to all there can be": (Signals(tcf=tcf(limit_of(4, 0, 1, 65_535))), Use.EXPORT),
    "forbidden from the vendor on": (Signals(tcf=tcf(limit_of(4, 0, 1, 9_999))), Use.EXPORT),
    "a restriction of no known kind": (Signals(tcf=tcf(limit_of(4, 3, 1, 1))), Use.EXPORT),
    "by interest, which 4 cannot be": (Signals(tcf=tcf(limit_of(4, 2, 1, 1))), Use.EXPORT),
    "allowed and forbidden": (
        Signals(tcf=tcf(limit_of(4, 1, 1, 1), limit_of(4, 0, 1, 1))),
        Use.EXPORT,
    ),
    "a restriction turned round": (Signals(tcf=tcf(limit_of(4, 1, 9, 1))), Use.EXPORT),
    "a restriction of vendor 0": (Signals(tcf=tcf(limit_of(4, 1, 0, 1))), Use.EXPORT),
    "a restriction of purpose 0": (Signals(tcf=tcf(limit_of(0, 1, 1, 1))), Use.EXPORT),
    "a restriction that is not there": (Signals(tcf=tcf(limit_of(4, 1, 1, 1)[:-6])), Use.EXPORT),
}


@pytest.mark.parametrize("name", DENIED)
def test_no_permission_is_read(name: str) -> None:
    """On the most open site, for a partner whose list is known, what is attacked is denied."""
    signals, use = DENIED[name]
    assert not ask(signals, use, DSP).allowed


PERMITTED_NOTHING: Final[dict[str, Signals]] = {
    "a national section in France": Signals(gpp=national(), gpp_sid=(7,), country="FR"),
    "a national section in Great Britain": Signals(gpp=national(), gpp_sid=(7,), country="gb"),
    "a section that nobody named": Signals(gpp=national()),
    "us privacy": Signals(us_privacy="1YNN"),
    "us privacy in GPP": Signals(gpp="DBABTA~1YNN", gpp_sid=(6,)),
    "no GDPR": Signals(gdpr=False),
    "no GDPR with a string": Signals(gdpr=False, tcf=ALL),
    "no section": Signals(gpp_sid=(-1,)),
    "other keys": Signals(explicit={"Store": True, "STORE": True, "all": True, "": True}),
    "a key in other letters": Signals(explicit={"\u0455tore": True}),
    "Google's fields": Signals(explicit={"ad_user_data": True, "ad_personalization": True}),
    "a server": Signals(by_server=True),
    "a country": Signals(country="US"),
}


@pytest.mark.parametrize("name", PERMITTED_NOTHING)
@pytest.mark.parametrize("use", Use)
def test_what_is_no_permission_permits_nothing(name: str, use: Use) -> None:
    """On a site that denies the silent nobody gets in by saying something else."""
    assert not ask(PERMITTED_NOTHING[name], use, DSP, "deny").allowed


@pytest.mark.parametrize("purpose", [0, 2, 11, 24, 25, 63, 255, -1])
def test_a_purpose_that_was_not_agreed_to_is_denied(purpose: int) -> None:
    """A partner that needs more, or a purpose that there is not, is denied, not let through."""
    partner = PartnerConsent(gvl_id=1, purposes=(purpose,))
    assert not ask(Signals(tcf=ALL, gdpr=True), Use.SYNC, partner).allowed


@pytest.mark.parametrize("number", [0, 3, 9, 10, 65_535, 65_536, 70_000, -1])
def test_a_vendor_beyond_the_string_is_denied(number: int) -> None:
    """Vendors outside of what the string or its list holds have no permission."""
    partner = PartnerConsent(gvl_id=number)
    assert not ask(Signals(tcf=ALL, gdpr=True), Use.SYNC, partner).allowed


def test_a_restriction_of_others_forbids_nothing() -> None:
    """Restrictions of vendors that are not asked about, known or not, leave the partner alone."""
    limits = (limit_of(4, 0, 2, 65_535), limit_of(63, 0, 1, 65_535))
    assert ask(Signals(tcf=tcf(*limits), gdpr=True), Use.EXPORT, DSP, "deny").allowed


@pytest.mark.parametrize("hiding", [{"child": 1}, {"sale": 1}, {"sale": 2}])
@pytest.mark.parametrize("sid", [(), (0,), (7,)])
def test_gpc_is_seen_behind_other_refusals(hiding: dict[str, int], sid: tuple[int, ...]) -> None:
    """GPC in a section that applies speaks for the customer, whatever else denies."""
    gpp = national(gpc=".YA", **hiding)
    assert says_gpc(Signals(gpp=gpp, gpp_sid=sid, opted_out=True))
    assert not says_gpc(Signals(gpp=national(**hiding), gpp_sid=sid))
    assert not says_gpc(Signals(gpp=gpp[:-3] + "x"))


@pytest.mark.parametrize("sid", [(-1,), (2,), (6,)])
def test_a_section_that_does_not_apply_says_nothing(sid: tuple[int, ...]) -> None:
    """Which law applies is the page's word: a refusal under another is neither yes nor no."""
    refused = Signals(gpp=NO_SALE, gpp_sid=sid)
    silent = Signals(gpp="", gpp_sid=sid)
    assert not says_gpc(Signals(gpp=national(gpc=".YA"), gpp_sid=sid))
    for use in Use:
        assert ask(refused, use, DSP).allowed == ask(silent, use, DSP).allowed


@pytest.mark.parametrize("country", ["FR", "fr ", "GB"])
def test_a_refusal_from_the_eea_is_an_answer(country: str) -> None:
    """Said with "no GDPR" it outlives an older consent, and a later visit from elsewhere."""
    refused = Signals(tcf=NOTHING, gdpr=False, country=country)
    history = [Signals(country="US"), refused, Signals(tcf=ALL, gdpr=True)]
    for newest_first in (history, history[1:]):
        assert not ask(fold(newest_first), Use.STORE, DSP).allowed


TEXTS = st.sampled_from(["", ALL, NOTHING, ALL[:40], f"{ALL}.{ALL}"])
SIGNALS = st.builds(
    Signals,
    tcf=TEXTS,
    gdpr=st.sampled_from([None, True, False]),
    gpp=st.sampled_from(
        ["", national(), NO_SALE, national(gpc=".YA"), f"DBABMA~{NOTHING}", "DBABTA~1YYN", "DB"]
    ),
    gpp_sid=st.lists(st.sampled_from([-1, 0, 2, 6, 7, 8]), max_size=2).map(tuple),
    us_privacy=st.sampled_from(["", "1YYN", "1YNN", "1---", "1"]),
    gpc=st.booleans(),
    explicit=st.none() | st.dictionaries(st.sampled_from(["store", "sync"]), st.booleans()),
    country=st.sampled_from(["", "FR", "US"]),
)
DENYING: Final[dict[str, object]] = {
    "opted_out": True,
    "gpc": True,
    "us_privacy": "1YYN",
    "explicit": {"sync": False},
}


@given(SIGNALS, st.sampled_from(Use), st.sampled_from(sorted(DENYING)))
def test_saying_no_as_well_never_permits_more(signals: Signals, use: Use, field: str) -> None:
    """Whatever was said, a refusal added to it allows nothing that was not allowed without."""
    refused = msgspec.structs.replace(signals, **{field: DENYING[field]})
    for default in ("allow", "deny"):
        before = ask(signals, use, DSP, "allow" if default == "allow" else "deny")
        after = ask(refused, use, DSP, "allow" if default == "allow" else "deny")
        # Why not those two: they take the place of another word, an unreadable or a missing one.
        if field not in {"explicit", "us_privacy"}:
            assert before.allowed or not after.allowed
    assert not ask(refused, Use.SYNC, DSP).allowed


@given(SIGNALS, st.sampled_from(Use))
def test_being_in_the_eea_never_permits_more(signals: Signals, use: Use) -> None:
    """On one site default, whoever is known to be in the EEA is allowed no more than others."""
    there = msgspec.structs.replace(signals, country="FR")
    elsewhere = msgspec.structs.replace(signals, country="US")
    for partner in (DSP, GOOGLE):
        assert ask(elsewhere, use, partner).allowed or not ask(there, use, partner).allowed


@given(st.lists(SIGNALS, max_size=5), st.integers(0, 5))
def test_folding_in_two_steps_is_folding_once(newest_first: list[Signals], cut: int) -> None:
    """What stood before counts as one message, so that histories may be cut anywhere."""
    newer, older = newest_first[:cut], newest_first[cut:]
    assert fold([*newer, fold(older)]) == fold(newest_first)
