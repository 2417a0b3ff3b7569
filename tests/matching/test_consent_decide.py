"""Decisions: one case for every reason, in the order in which denials win."""

from typing import Literal

import msgspec
import pytest
from consent_strings import DAY_MS, tc_string
from consent_strings import national as usnat
from hypothesis import given
from hypothesis import strategies as st

from matching.consent.decide import (
    Decision,
    PartnerConsent,
    Reason,
    Signal,
    Signals,
    Use,
    decide,
)
from matching.consent.google import read_google_choice
from matching.consent.site_default import SiteDefault, fault_of_default
from matching.consent.vendor_list import Vendor, VendorList

NOW_MS = 1_780_272_000_000


def tcf(
    *purposes: int,
    vendors: tuple[int, ...] = (1, 2, 3),
    disclosed: tuple[int, ...] = (1, 2, 3),
    policy: int = 5,
    vendor_list: int = 42,
    age_days: int = 0,
) -> str:
    """Write a TCF string of this vendor list, so many days old."""
    return tc_string(
        *purposes,
        at_ms=NOW_MS - age_days * DAY_MS,
        vendors=vendors,
        disclosed=disclosed,
        policy=policy,
        vendor_list=vendor_list,
    )


VENDOR_LISTS = {
    42: VendorList(
        version=42,
        format=3,
        vendors={
            1: Vendor(purposes=(1, 3, 4)),
            2: Vendor(purposes=(1,)),
            7: Vendor(purposes=(1, 4)),
            755: Vendor(purposes=(1, 3, 4)),
        },
    )
}
DSP = PartnerConsent(gvl_id=1)
GOOGLE = PartnerConsent(gvl_id=755)
GRANTED = {"ad_user_data": True, "ad_personalization": True}
ALL = tcf(1, 3, 4, 9, 10)
DAMAGED = ALL[:40]


def ask(
    signals: Signals,
    use: Use = Use.SYNC,
    *,
    default: Literal["allow", "deny"] = "allow",
    partner: PartnerConsent | None = DSP,
) -> Decision:
    """Decide with the lists and the time of these tests."""
    return decide(
        signals,
        use,
        default=default,
        partner=partner,
        vendor_lists=VENDOR_LISTS,
        as_of_ms=NOW_MS,
    )


Case = tuple[Signals, Use, PartnerConsent | None, Signal]

CASES: dict[Reason, list[Case]] = {
    Reason.ALLOWED: [
        (Signals(tcf=ALL), Use.EXPORT, DSP, Signal.TCF),
        (Signals(tcf=tcf(1), gdpr=True), Use.SYNC, DSP, Signal.TCF),
        (Signals(tcf=tcf(1)), Use.STORE, DSP, Signal.TCF),
        (Signals(tcf=tcf(3, 9)), Use.AUDIENCES, None, Signal.TCF),
        (Signals(tcf=tcf(3, 9, 10)), Use.LOOKALIKES, None, Signal.TCF),
        (Signals(tcf=tcf(4)), Use.PERSONALISE, None, Signal.TCF),
        (Signals(tcf=tcf(1)), Use.SYNC, None, Signal.TCF),
        (Signals(gpp=usnat(), gpp_sid=(7,)), Use.EXPORT, DSP, Signal.GPP),
        (Signals(explicit={"sync": True}), Use.SYNC, DSP, Signal.EXPLICIT),
        (Signals(explicit={"sync": True, "audiences": True}), Use.EXPORT, DSP, Signal.EXPLICIT),
        (Signals(tcf=DAMAGED, gdpr=False), Use.SYNC, DSP, Signal.SITE_DEFAULT),
        (Signals(us_privacy="1YNN"), Use.SYNC, DSP, Signal.SITE_DEFAULT),
        (Signals(us_privacy="1YYN"), Use.STORE, DSP, Signal.SITE_DEFAULT),
        (Signals(gpc=True), Use.AUDIENCES, None, Signal.SITE_DEFAULT),
        (Signals(gpp=usnat(sale=1), gpp_sid=(-1,)), Use.SYNC, DSP, Signal.SITE_DEFAULT),
        (Signals(gpp=usnat(), gpp_sid=(7,), country="US"), Use.EXPORT, DSP, Signal.GPP),
        (Signals(gpp=usnat()), Use.SYNC, DSP, Signal.SITE_DEFAULT),
        (Signals(gpp_sid=(6,), us_privacy="1YNN"), Use.SYNC, DSP, Signal.SITE_DEFAULT),
        (Signals(), Use.SYNC, DSP, Signal.SITE_DEFAULT),
        (Signals(gpp=usnat(notice=2), gpp_sid=(7,)), Use.AUDIENCES, None, Signal.SITE_DEFAULT),
        (Signals(gpp=usnat(notice=0), gpp_sid=(7,)), Use.EXPORT, DSP, Signal.SITE_DEFAULT),
        (Signals(), Use.SYNC, GOOGLE, Signal.SITE_DEFAULT),
        (Signals(explicit=GRANTED), Use.EXPORT, GOOGLE, Signal.SITE_DEFAULT),
        (Signals(country="US"), Use.EXPORT, GOOGLE, Signal.SITE_DEFAULT),
        (Signals(explicit={"ad_user_data": False}), Use.EXPORT, DSP, Signal.SITE_DEFAULT),
    ],
    Reason.OPTED_OUT: [(Signals(opted_out=True, tcf=ALL), Use.STORE, None, Signal.OPT_OUT)],
    Reason.GPC: [
        (Signals(gpc=True, tcf=ALL), Use.SYNC, DSP, Signal.GPC),
        (Signals(gpc=True), Use.EXPORT, DSP, Signal.GPC),
        (Signals(gpp=usnat(gpc=".YA")), Use.EXPORT, DSP, Signal.GPP),
    ],
    Reason.GPP_UNREADABLE: [
        (Signals(gpp="DBABLA"), Use.STORE, None, Signal.GPP),
        (Signals(gpp=usnat()[:-4]), Use.STORE, None, Signal.GPP),
        (Signals(gpp="DBABTA~1YN"), Use.STORE, None, Signal.GPP),
    ],
    Reason.GPP_SECTION_UNKNOWN: [
        (Signals(gpp=usnat(), gpp_sid=(7, 99)), Use.STORE, None, Signal.GPP),
        (Signals(gpp_sid=(7,)), Use.STORE, None, Signal.GPP),
        (Signals(gpp_sid=(6,)), Use.STORE, None, Signal.GPP),
        (Signals(gpp="DBABDA~BAAA"), Use.STORE, None, Signal.GPP),
    ],
    Reason.GPP_OPT_OUT: [
        (Signals(gpp=usnat(sale=1)), Use.SYNC, DSP, Signal.GPP),
        (Signals(gpp=usnat(sharing=1), gpp_sid=(7,)), Use.EXPORT, DSP, Signal.GPP),
        (Signals(gpp=usnat(targeted=1), gpp_sid=(0,)), Use.SYNC, DSP, Signal.GPP),
        (Signals(gpp="DBABTA~1YYN"), Use.SYNC, DSP, Signal.GPP),
    ],
    Reason.GPP_NO_NOTICE: [
        (Signals(gpp=usnat(notice=2), gpp_sid=(7,)), Use.EXPORT, DSP, Signal.GPP),
        (Signals(gpp=usnat(sale=0, notice=2)), Use.SYNC, DSP, Signal.GPP),
    ],
    Reason.GPP_CHILD: [(Signals(gpp=usnat(child=1)), Use.AUDIENCES, None, Signal.GPP)],
    Reason.USP_UNREADABLE: [(Signals(us_privacy="1YN"), Use.STORE, None, Signal.US_PRIVACY)],
    Reason.USP_OPT_OUT: [(Signals(us_privacy="1YYN"), Use.EXPORT, DSP, Signal.US_PRIVACY)],
    Reason.TCF_MISSING: [
        (Signals(gdpr=True), Use.STORE, None, Signal.TCF),
        (Signals(gdpr=False, gpp_sid=(2,)), Use.STORE, None, Signal.TCF),
    ],
    Reason.TCF_UNREADABLE: [
        (Signals(tcf=DAMAGED), Use.STORE, None, Signal.TCF),
        (Signals(tcf="x" * 9000), Use.STORE, None, Signal.TCF),
        (Signals(tcf=ALL, gpp=f"DBABMA~{DAMAGED}"), Use.STORE, None, Signal.TCF),
    ],
    Reason.TCF_INVALID: [
        (Signals(tcf=tcf(1, policy=3)), Use.STORE, None, Signal.TCF),
        (Signals(tcf=ALL.split(".")[0]), Use.STORE, None, Signal.TCF),
    ],
    Reason.TCF_EXPIRED: [(Signals(tcf=tcf(1, age_days=400)), Use.STORE, None, Signal.TCF)],
    Reason.TCF_PURPOSE: [
        (Signals(tcf=tcf(2, 3)), Use.STORE, None, Signal.TCF),
        (Signals(tcf=tcf(3)), Use.AUDIENCES, None, Signal.TCF),
        (Signals(tcf=tcf(3, 9)), Use.LOOKALIKES, None, Signal.TCF),
        (Signals(tcf=tcf(3, 4)), Use.SYNC, DSP, Signal.TCF),
        (Signals(tcf=tcf(1, 4)), Use.EXPORT, DSP, Signal.TCF),
    ],
    Reason.TCF_VENDOR: [
        (Signals(tcf=tcf(1, vendors=(2, 3))), Use.SYNC, DSP, Signal.TCF),
        (Signals(tcf=tcf(1, disclosed=(2, 3))), Use.SYNC, DSP, Signal.TCF),
        (Signals(tcf=ALL), Use.SYNC, PartnerConsent(gvl_id=3), Signal.TCF),
        (Signals(tcf=ALL), Use.EXPORT, PartnerConsent(gvl_id=2), Signal.TCF),
        (Signals(tcf=ALL), Use.SYNC, PartnerConsent(gvl_id=1, purposes=(7,)), Signal.TCF),
    ],
    Reason.NO_GVL_ID: [(Signals(tcf=ALL), Use.SYNC, PartnerConsent(gvl_id=None), Signal.TCF)],
    Reason.NO_VENDOR_LIST: [(Signals(tcf=tcf(1, vendor_list=41)), Use.SYNC, DSP, Signal.TCF)],
    Reason.EXPLICIT_DENIAL: [
        (Signals(explicit={"sync": False}, tcf=ALL), Use.SYNC, DSP, Signal.EXPLICIT),
        (Signals(explicit={"sync": False, "audiences": True}), Use.EXPORT, DSP, Signal.EXPLICIT),
        (Signals(explicit={"personalise": False}), Use.PERSONALISE, None, Signal.EXPLICIT),
    ],
    Reason.GOOGLE_MISSING: [
        (Signals(), Use.EXPORT, GOOGLE, Signal.GOOGLE),
        (Signals(country="FR", explicit={"ad_user_data": True}), Use.EXPORT, GOOGLE, Signal.GOOGLE),
        (Signals(explicit={"audiences": True, "sync": True}), Use.EXPORT, GOOGLE, Signal.GOOGLE),
    ],
    Reason.GOOGLE_DENIAL: [
        (Signals(explicit={"ad_user_data": False}), Use.SYNC, GOOGLE, Signal.GOOGLE),
        (
            Signals(country="US", explicit=GRANTED | {"ad_personalization": False}),
            Use.EXPORT,
            GOOGLE,
            Signal.GOOGLE,
        ),
    ],
    Reason.DEFAULT_DENY: [
        (Signals(), Use.STORE, None, Signal.SITE_DEFAULT),
        (Signals(us_privacy="1YNN"), Use.STORE, None, Signal.SITE_DEFAULT),
        (Signals(gpp=usnat()), Use.STORE, None, Signal.SITE_DEFAULT),
        (Signals(gpp=usnat(), gpp_sid=(0,)), Use.STORE, None, Signal.SITE_DEFAULT),
        (
            Signals(gpp=usnat(sale=0, sharing=0, targeted=0), gpp_sid=(7,)),
            Use.STORE,
            None,
            Signal.SITE_DEFAULT,
        ),
        (Signals(explicit={"store": True}), Use.SYNC, DSP, Signal.SITE_DEFAULT),
        (Signals(gpp=usnat(), gpp_sid=(7,), country="FR"), Use.SYNC, DSP, Signal.SITE_DEFAULT),
    ],
}


@pytest.mark.parametrize("reason", Reason)
def test_every_reason(reason: Reason) -> None:
    """Each reason has signals that lead to it, whatever the default of the site."""
    for signals, use, partner, signal in CASES[reason]:
        by_default: tuple[Literal["allow", "deny"], ...] = ("allow", "deny")
        if signal is Signal.SITE_DEFAULT:
            by_default = ("deny",) if reason is Reason.DEFAULT_DENY else ("allow",)
        expected = Decision(allowed=reason is Reason.ALLOWED, signal=signal, reason=reason)
        for default in by_default:
            assert ask(signals, use, default=default, partner=partner) == expected, signals


def test_every_signal_decides_somewhere() -> None:
    """No signal is without a case."""
    assert {case[3] for cases in CASES.values() for case in cases} == set(Signal)


def test_the_first_denial_in_order_wins() -> None:
    """With everything denied at once, taking the strongest signal away gives way to the next."""
    signals = Signals(
        opted_out=True,
        gpc=True,
        gpp=usnat(sale=1),
        us_privacy="1YYN",
        tcf=DAMAGED,
        explicit={"sync": False, "ad_user_data": False},
    )
    without: list[tuple[str, object]] = [
        ("opted_out", False),
        ("gpc", False),
        ("gpp", ""),
        ("us_privacy", ""),
        ("tcf", ""),
        ("explicit", {"ad_user_data": False}),
        ("explicit", None),
    ]
    order = []
    for field, nothing in without:
        order.append(ask(signals, default="deny", partner=GOOGLE).signal)
        signals = msgspec.structs.replace(signals, **{field: nothing})
    order.append(ask(signals, default="deny", partner=GOOGLE).signal)
    assert order == list(Signal)


@pytest.mark.parametrize(
    ("signals", "expected"),
    [
        (Signals(gpp=f"DBABMA~{ALL}"), Reason.ALLOWED),
        (Signals(gpp=f"DBABMA~{ALL}", gpp_sid=(2,)), Reason.ALLOWED),
        (Signals(gpp=f"DBABMA~{DAMAGED}", gpp_sid=(2,), gdpr=False), Reason.TCF_UNREADABLE),
        (Signals(gpp=f"DBABMA~{DAMAGED}", gdpr=True, gpp_sid=(-1,)), Reason.TCF_UNREADABLE),
        (Signals(gpp=f"DBABMA~{DAMAGED}", gdpr=False), Reason.DEFAULT_DENY),
        (Signals(gpp=f"DBABMA~{DAMAGED}", gpp_sid=(-1,)), Reason.DEFAULT_DENY),
        (Signals(gpp=f"DBABMA~{tcf(2)}", tcf=ALL), Reason.TCF_PURPOSE),
        (Signals(gpp_sid=(2,), tcf=ALL), Reason.ALLOWED),
    ],
)
def test_tcf_inside_gpp(signals: Signals, expected: Reason) -> None:
    """The section counts when it applies, beats `gdpr`, and must agree with a string beside it."""
    assert ask(signals, Use.STORE, default="deny").reason is expected


def test_without_a_time_the_age_is_not_judged() -> None:
    """An old string is only expired for those who say when they ask."""
    old = Signals(tcf=tcf(1, age_days=400))
    assert decide(old, Use.STORE, default="deny").allowed
    aged = decide(old, Use.STORE, default="deny", as_of_ms=NOW_MS)
    assert aged.reason is Reason.TCF_EXPIRED


@given(st.integers(0, len(ALL) - 1), st.sampled_from(Use))
def test_a_cut_string_allows_nothing(length: int, use: Use) -> None:
    """A TCF string cut anywhere before its padding allows no use, however open the site is."""
    whole = Signals(tcf=ALL, gdpr=True)
    cut = msgspec.structs.replace(whole, tcf=ALL[:length])
    assert ask(whole, use).allowed
    assert not ask(cut, use).allowed


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
SIGNALS = st.builds(
    Signals,
    tcf=TEXTS,
    gdpr=st.none() | st.booleans(),
    gpp=TEXTS,
    gpp_sid=st.lists(st.integers(-1, 99), max_size=3).map(tuple),
    us_privacy=TEXTS,
    gpc=st.booleans(),
    explicit=st.none() | st.dictionaries(TEXTS, st.booleans(), max_size=4),
    opted_out=st.booleans(),
)


@given(SIGNALS, st.sampled_from(Use))
def test_opting_out_beats_everything(signals: Signals, use: Use) -> None:
    """Whatever else was said, nobody who opted out is allowed anything."""
    opted_out = msgspec.structs.replace(signals, opted_out=True)
    assert ask(opted_out, use).reason is Reason.OPTED_OUT


@given(SIGNALS, st.sampled_from(Use))
def test_a_permissive_default_never_turns_a_signal_over(signals: Signals, use: Use) -> None:
    """The site's default matters only where no signal spoke."""
    open_site, closed_site = ask(signals, use, default="allow"), ask(signals, use, default="deny")
    if open_site.signal is not Signal.SITE_DEFAULT:
        assert open_site == closed_site


BY_COUNTRY: SiteDefault = {"EEA": "deny", "FR": "allow", "US": "allow", "other": "deny"}


@pytest.mark.parametrize(
    ("default", "country", "expected"),
    [
        (BY_COUNTRY, "US", True),
        (BY_COUNTRY, "FR", True),
        (BY_COUNTRY, "DE", False),
        (BY_COUNTRY, "GB", False),
        (BY_COUNTRY, "BR", False),
        (BY_COUNTRY, "", False),
        ({"EEA": "allow"}, "", True),
        ({"EEA": "allow"}, "XX", True),
        ({"EEA": "allow"}, "DE", True),
        ({"EEA": "allow"}, "RE", True),
        ({"EEA": "allow"}, "US", False),
        ({"other": "allow"}, "US", True),
        ({"other": "allow"}, "T1", False),
        ({"other": "allow"}, "", False),
        ({"other": "allow"}, "GB", False),
        ({}, "US", False),
        ("allow", "", True),
        ("deny", "US", False),
    ],
)
def test_silence_follows_the_site_and_the_country(
    default: SiteDefault, country: str, *, expected: bool
) -> None:
    """Who says nothing gets the answer of its country; from nowhere known means from the EEA."""
    decision = decide(Signals(country=country), Use.STORE, default=default)
    assert decision.signal is Signal.SITE_DEFAULT
    assert decision.allowed == expected


@pytest.mark.parametrize("country", ["US", "FR", ""])
@pytest.mark.parametrize("reason", [each for each in Reason if each is not Reason.ALLOWED])
def test_a_country_takes_no_denial_away(reason: Reason, country: str) -> None:
    """What a signal denies is denied wherever the visitor is; Google's fields are the exception."""
    for signals, use, partner, signal in CASES[reason]:
        if signal in {Signal.SITE_DEFAULT, Signal.GOOGLE}:
            continue
        there = msgspec.structs.replace(signals, country=country)
        found = decide(
            there,
            use,
            default={"US": "allow", "FR": "allow", "EEA": "allow"},
            partner=partner,
            vendor_lists=VENDOR_LISTS,
            as_of_ms=NOW_MS,
        )
        assert (found.allowed, found.reason) == (False, reason)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("granted", True),
        ("GRANTED", True),
        (True, True),
        ("denied", False),
        ("grant", False),
        ("1", False),
        (False, False),
        ("", None),
        (None, None),
    ],
)
def test_google_s_words(said: str | bool | None, *, expected: bool | None) -> None:
    """Only `granted` grants; no word is no answer; any other is a denial."""
    assert read_google_choice(said) is expected


@pytest.mark.parametrize(
    ("default", "named"),
    [({"FRA": "allow"}, "FRA"), ({"fr": "allow"}, "fr"), ({"XX": "deny", "EEA": "deny"}, "XX")],
)
def test_a_setting_of_no_country_is_refused(default: SiteDefault, named: str) -> None:
    """A default for what is no country would hold for nobody, so it is named to the operator."""
    assert named in fault_of_default(default)
    assert fault_of_default(BY_COUNTRY) == fault_of_default("allow") == ""
