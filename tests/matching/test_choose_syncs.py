"""Which partners a page syncs with: a status for every one, the budget, the order."""

import random
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matching.choose_syncs import (
    FilterSettings,
    PageKind,
    SyncChoice,
    SyncStatus,
    TypeFilter,
    choose_syncs,
    judge_incoming,
    judge_partners,
)
from matching.consent.decide import Decision, Reason, Signal, Signals
from matching.partners import Partner

NOW_S = 1_795_000_000
DAY_S = 86_400
BOTH = frozenset({"image", "iframe"})
YES = Decision(allowed=True, signal=Signal.SITE_DEFAULT, reason=Reason.ALLOWED)
NO = Decision(allowed=False, signal=Signal.TCF, reason=Reason.TCF_VENDOR)


def partner(key: str, sync: Mapping[str, Any] | None = None, **facts: Any) -> Partner:
    """Make an enabled partner that only differs from a plain one in what is said."""
    whole = {
        "key": key,
        "name": key.title(),
        "id_space": key,
        "enabled": True,
        **facts,
        "sync": {
            "direction": "back",
            "url_template": f"https://{key}.example/?r={{redirect}}",
            "redirect_position": "param",
            "token_place": "redirect",
            **(sync or {}),
        },
    }
    return msgspec.convert(whole, Partner)


def choose(partners: list[Partner], **page: Any) -> list[SyncChoice]:
    """Choose with a page that bars nothing unless said."""
    browser: dict[str, Any] = {
        "attempts": {},
        "now_s": NOW_S,
        "limit": 8,
        "rng": random.Random(1),
    }
    kind: dict[str, Any] = {"allowed": lambda _: YES, "types": BOTH, "requested": None}
    for name, value in page.items():
        (browser if name in browser else kind)[name] = value
    return choose_syncs(judge_partners(partners, PageKind(**kind)), **browser)


def statuses(choices: list[SyncChoice]) -> dict[str, SyncStatus]:
    """Give the status by partner."""
    return {choice.key: choice.status for choice in choices}


CASES: dict[SyncStatus, tuple[Partner, dict[str, Any]]] = {
    SyncStatus.OFFERED: (partner("acme"), {}),
    SyncStatus.DISABLED: (partner("acme", enabled=False), {}),
    SyncStatus.NOT_CONFIGURED: (partner("other"), {"requested": frozenset({"acme"})}),
    SyncStatus.NOT_REQUESTED: (partner("acme"), {"requested": frozenset({"other"})}),
    SyncStatus.INCOMING: (partner("acme", {"direction": "in"}), {}),
    SyncStatus.BOT: (partner("acme"), {"bot": True}),
    SyncStatus.NO_CONSENT: (partner("acme"), {"allowed": lambda _: NO}),
    SyncStatus.SKIPPED_GDPR: (
        partner("acme", {"skip_when": {"gdpr": True}}),
        {"signals": Signals(gdpr=True)},
    ),
    SyncStatus.SKIPPED_GPP_SID: (
        partner("acme", {"skip_when": {"gpp_sid": [7, 8]}}),
        {"signals": Signals(gpp_sid=(8,))},
    ),
    SyncStatus.SKIPPED_GPC: (
        partner("acme", {"skip_when": {"gpc": True}}),
        {"signals": Signals(gpc=True)},
    ),
    SyncStatus.COUNTRY: (partner("acme", countries_not=["FR"]), {"country": "FR"}),
    SyncStatus.TYPE_FILTERED: (partner("acme"), {"types": frozenset({"iframe"})}),
    SyncStatus.FRESH: (partner("acme"), {"attempts": {"acme": NOW_S - 7 * DAY_S + 1}}),
    SyncStatus.SAMPLED_OUT: (partner("acme", sample=0), {}),
    SyncStatus.SAME_ID_SPACE: (
        partner("acme", id_space="shared", priority=9),
        {"with": partner("first", id_space="shared")},
    ),
    SyncStatus.OVER_BUDGET: (partner("acme"), {"limit": 0}),
}


@pytest.mark.parametrize("status", SyncStatus)
def test_every_status_comes_about(status: SyncStatus) -> None:
    """Each status has the one circumstance that gives it; a new status without one fails here."""
    candidate, page = CASES[status]
    page = dict(page)
    more = [page.pop("with")] if "with" in page else []
    assert statuses(choose([candidate, *more], **page))["acme"] is status


EDGES: dict[str, tuple[SyncStatus, Partner, dict[str, Any]]] = {
    "attempt has aged": (
        SyncStatus.OFFERED,
        partner("acme"),
        {"attempts": {"acme": NOW_S - 7 * DAY_S}},
    ),
    "future": (SyncStatus.OFFERED, partner("acme"), {"attempts": {"acme": NOW_S + 2 * DAY_S}}),
    "a clock ahead": (SyncStatus.FRESH, partner("acme"), {"attempts": {"acme": NOW_S + 5}}),
    "gdpr does not apply": (
        SyncStatus.OFFERED,
        partner("acme", {"skip_when": {"gdpr": True}}),
        {"signals": Signals(gdpr=False, tcf="CP")},
    ),
    "gdpr unsaid, a string present": (
        SyncStatus.SKIPPED_GDPR,
        partner("acme", {"skip_when": {"gdpr": True}}),
        {"signals": Signals(tcf="CP")},
    ),
    "country named": (SyncStatus.OFFERED, partner("acme", countries=["FR"]), {"country": "FR"}),
    "country unknown, some named": (SyncStatus.COUNTRY, partner("acme", countries=["FR"]), {}),
    "country unknown, some barred": (SyncStatus.OFFERED, partner("acme", countries_not=["FR"]), {}),
    "its second transport": (
        SyncStatus.OFFERED,
        partner("acme", {"transports": ["iframe", "image"]}),
        {"types": frozenset({"image"})},
    ),
    "denied and fresh": (
        SyncStatus.NO_CONSENT,
        partner("acme"),
        {"attempts": {"acme": NOW_S}, "allowed": lambda _: NO},
    ),
    "another account of the same space is fresh": (
        SyncStatus.SAME_ID_SPACE,
        partner("acme", id_space="shared", priority=1),
        {"with": partner("second", id_space="shared"), "attempts": {"second": NOW_S}},
    ),
}


@pytest.mark.parametrize("case", EDGES)
def test_either_side_of_a_bar(case: str) -> None:
    """What just bars a partner, and what just does not."""
    status, candidate, page = EDGES[case]
    page = dict(page)
    more = [page.pop("with")] if "with" in page else []
    choices = {choice.key: choice for choice in choose([candidate, *more], **page)}
    assert choices["acme"].status is status
    assert (choices["acme"].transport is not None) == (status is SyncStatus.OFFERED)


def test_priority_then_weight_decides_who_is_asked_first() -> None:
    """Priority 1 is asked first; within it the heavier."""
    partners = [
        partner("late", priority=2, weight=9),
        partner("light", priority=1),
        partner("heavy", priority=1, weight=5),
        partner("heaviest", priority=1, weight=7),
    ]
    choices = choose(partners, limit=2)
    assert [choice.key for choice in choices] == ["heaviest", "heavy", "light", "late"]
    assert [choice.status for choice in choices] == [
        SyncStatus.OFFERED,
        SyncStatus.OFFERED,
        SyncStatus.OVER_BUDGET,
        SyncStatus.OVER_BUDGET,
    ]


def test_under_coop_the_requested_come_first() -> None:
    """Coop asks the requested partners first, then all others by priority; nobody is left out."""
    partners = [partner("a", priority=1), partner("b", priority=3), partner("c", priority=2)]
    choices = choose(partners, requested=frozenset({"b", "z"}), coop=True, limit=2)
    assert [(choice.key, choice.status) for choice in choices] == [
        ("b", SyncStatus.OFFERED),
        ("a", SyncStatus.OFFERED),
        ("c", SyncStatus.OVER_BUDGET),
        ("z", SyncStatus.NOT_CONFIGURED),
    ]


INCOMING: dict[str, tuple[Partner, dict[str, Any], SyncStatus]] = {
    "a partner that starts": (partner("acme", {"direction": "in"}), {}, SyncStatus.OFFERED),
    "one that we start, too": (partner("acme"), {}, SyncStatus.OFFERED),
    "a bot": (partner("acme"), {"bot": True}, SyncStatus.BOT),
    "off": (partner("acme", enabled=False), {}, SyncStatus.DISABLED),
    "elsewhere": (partner("acme", countries=["FR"]), {}, SyncStatus.COUNTRY),
    "GPC": (
        partner("acme", {"skip_when": {"gpc": True}}),
        {"signals": Signals(gpc=True)},
        SyncStatus.SKIPPED_GPC,
    ),
    "denied": (partner("acme"), {"allowed": lambda _: NO}, SyncStatus.NO_CONSENT),
}


@pytest.mark.parametrize("case", INCOMING)
def test_a_partner_that_starts_is_judged_by_browser_and_consent(case: str) -> None:
    """No budget and no freshness bar it, everything about the browser does."""
    candidate, browser, status = INCOMING[case]
    assert judge_incoming(candidate, **({"allowed": lambda _: YES} | browser)) is status


def test_partners_of_equal_rank_take_turns() -> None:
    """Over many pages no partner of equal rank is always last."""
    partners = [partner("a"), partner("b"), partner("c")]
    rng = random.Random(7)
    first = [choose(partners, rng=rng)[0].key for _ in range(60)]
    assert {"a", "b", "c"} == set(first)


def test_the_others_take_turns_though_many_are_fresh() -> None:
    """However many partners of other ranks are fresh, those of one rank still take turns."""
    partners = [partner(key, priority=9) for key in "abc"]
    partners += [partner(f"fresh_{key}") for key in "abcdefgh"]
    attempts = {each.key: NOW_S for each in partners[3:]}
    rng = random.Random(7)
    first = [choose(partners, rng=rng, attempts=attempts)[8].key for _ in range(60)]
    assert {"a", "b", "c"} == set(first)


def test_one_judgement_serves_many_pages() -> None:
    """What one browser spends is not spent for the next."""
    judged = judge_partners(
        [partner("acme")], PageKind(allowed=lambda _: YES, types=BOTH, requested=None)
    )
    for _ in range(2):
        (choice,) = choose_syncs(judged, attempts={}, now_s=NOW_S, limit=1, rng=random.Random(1))
        assert choice.status is SyncStatus.OFFERED


def test_a_sample_is_a_share_of_pages() -> None:
    """A partner sampled at one in four is offered on about a quarter of the pages."""
    rng = random.Random(7)
    offered = sum(
        choose([partner("acme", sample=0.25)], rng=rng)[0].status is SyncStatus.OFFERED
        for _ in range(2_000)
    )
    assert 400 < offered < 600


def test_consent_is_asked_only_where_it_decides() -> None:
    """A barred partner costs no consent decision, a denied one keeps the reason."""

    def refuse(_: Partner) -> Decision:
        raise AssertionError

    (choice,) = choose([partner("acme", enabled=False)], allowed=refuse)
    assert choice.decision is None
    (choice,) = choose([partner("acme")], allowed=lambda _: NO)
    assert choice.decision == NO


FILTERS: dict[str, tuple[FilterSettings, frozenset[str]]] = {
    "none": (FilterSettings(), BOTH),
    "include all": (FilterSettings(image=TypeFilter()), BOTH),
    "exclude all": (FilterSettings(iframe=TypeFilter(filter="exclude")), frozenset({"image"})),
    "include acme": (FilterSettings(image=TypeFilter(bidders=("acme",))), BOTH),
    "include others": (FilterSettings(image=TypeFilter(bidders=("x",))), frozenset({"iframe"})),
    "exclude acme": (
        FilterSettings(image=TypeFilter(bidders=("acme",), filter="exclude")),
        frozenset({"iframe"}),
    ),
}


@pytest.mark.parametrize("case", FILTERS)
def test_prebid_filters_are_understood(case: str) -> None:
    """Each transport may be opened or closed for all partners or for named ones."""
    settings, types = FILTERS[case]
    assert settings.types_for("acme") == types
    (choice,) = choose([partner("acme")], types=settings)
    assert (choice.status is SyncStatus.OFFERED) == ("image" in types)


def test_prebid_filters_are_read_from_json() -> None:
    """The page's own words decode into filters."""
    text = b'{"iframe":{"bidders":["acme"],"filter":"exclude"},"image":{"bidders":"*"}}'
    assert msgspec.json.decode(text, type=FilterSettings) == FilterSettings(
        iframe=TypeFilter(bidders=("acme",), filter="exclude"), image=TypeFilter()
    )


KEYS = ("a", "b", "c", "d", "e", "f")


@st.composite
def some_partners(draw: st.DrawFn) -> list[Partner]:
    """Draw up to six partners that differ in everything a choice looks at."""
    return [
        partner(
            key,
            {
                "direction": draw(st.sampled_from(["back", "out", "in"])),
                "transports": draw(st.sampled_from([["image"], ["iframe"], ["image", "iframe"]])),
            },
            enabled=draw(st.booleans()),
            priority=draw(st.integers(1, 3)),
            weight=draw(st.floats(0, 5)),
            sample=draw(st.sampled_from([0, 0.5, 1])),
            id_space=draw(st.sampled_from([key, "shared"])),
        )
        for key in draw(st.lists(st.sampled_from(KEYS), unique=True))
    ]


@given(
    partners=some_partners(),
    denied=st.frozensets(st.sampled_from(KEYS)),
    requested=st.none() | st.frozensets(st.sampled_from((*KEYS, "z"))),
    attempts=st.dictionaries(st.sampled_from(KEYS), st.integers(NOW_S - 30 * DAY_S, NOW_S)),
    types=st.frozensets(st.sampled_from(["image", "iframe"])),
    limit=st.integers(-1, 7),
    seed=st.integers(0, 99),
)
def test_a_choice_keeps_its_promises(
    partners: list[Partner],
    denied: frozenset[str],
    requested: frozenset[str] | None,
    attempts: dict[str, int],
    types: frozenset[str],
    limit: int,
    seed: int,
) -> None:
    """Never over the limit, never a denied partner, one status for each, the same again."""

    def run() -> list[SyncChoice]:
        return choose(
            partners,
            allowed=lambda each: NO if each.key in denied else YES,
            requested=requested,
            attempts=attempts,
            types=types,
            limit=limit,
            rng=random.Random(seed),
        )

    choices = run()
    offered = [choice for choice in choices if choice.status is SyncStatus.OFFERED]
    assert len(offered) <= max(limit, 0)
    assert not denied & {choice.key for choice in offered}
    considered = {each.key for each in partners} | (requested or frozenset())
    assert sorted(considered) == sorted(choice.key for choice in choices)
    spaces = [choice.partner.id_space for choice in offered if choice.partner]
    assert len(spaces) == len(set(spaces))
    for choice in offered:
        assert choice.transport in types
        assert requested is None or choice.key in requested
    assert all((choice.transport is None) == (choice not in offered) for choice in choices)
    assert choices == run()
    spent = any(choice.status is SyncStatus.OVER_BUDGET for choice in choices)
    assert not spent or len(offered) == max(limit, 0)
