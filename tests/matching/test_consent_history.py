"""What each stored answer meant: kinds of signal, and every use from then on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matching.consent.decide import (
    Decision,
    PartnerConsent,
    Signal,
    Signals,
    Use,
    decide,
    encode_signals,
)
from matching.consent.fold import fold
from matching.consent.history import (
    UNREADABLE,
    Answer,
    ConsentRow,
    Standing,
    UseAnswer,
    answers_of,
    kinds_of,
)

ALL_USES = {use.value for use in Use}
SALES = {"sync", "export"}


def on_open_site(signals: Signals, use: Use, partner: PartnerConsent | None, site: str) -> Decision:
    """Decide as a caller does who knows each site's default."""
    return decide(signals, use, default="allow" if site == "open" else "deny", partner=partner)


def rows(*oldest_first: Signals | str) -> list[ConsentRow]:
    """Store signals, or texts as they are, one a second; newest first as the store gives them."""
    texts = [each if isinstance(each, str) else encode_signals(each) for each in oldest_first]
    stored = [
        ConsentRow(received_at_ms=1_000 * at, signals=text, site="open")
        for at, text in enumerate(texts)
    ]
    return stored[::-1]


def allowed(answer: Answer) -> set[str]:
    """Name the uses that were allowed."""
    return {use for use, each in answer.uses.items() if each.allowed}


def test_an_answer_is_shown_whole() -> None:
    """Time, site, kinds of signal, sender and country, and of each use who decided and why."""
    said = Signals(gpc=True, country="US", explicit={"sync": True, "ad_user_data": False})
    (answer,) = answers_of(rows(said), on_open_site)
    assert (answer.at_ms, answer.site, answer.country, answer.by_server) == (0, "open", "US", False)
    assert answer.kinds == ("gpc", "explicit", "google")
    assert answer.signals == encode_signals(said)
    assert set(answer.uses) == ALL_USES
    assert answer.uses["sync"] == UseAnswer(allowed=False, signal="gpc", reason="gpc")
    assert answer.uses["store"] == UseAnswer(allowed=True, signal="site_default", reason="allowed")


def test_each_answer_counts_with_all_before_it() -> None:
    """A withdrawal takes away from its moment on, and another kind of signal gives nothing back."""
    told = answers_of(
        rows(
            Signals(explicit={"store": True}),
            Signals(us_privacy="1YYN"),
            Signals(explicit={"audiences": False}),
            Signals(us_privacy="1YNN"),
            Signals(opted_out=True),
            Signals(explicit={"store": True, "audiences": True, "sync": True}),
        ),
        on_open_site,
    )
    assert [allowed(each) for each in reversed(told)] == [
        ALL_USES,
        ALL_USES - SALES,
        ALL_USES - SALES - {"audiences", "lookalikes"},
        ALL_USES - {"audiences", "lookalikes", "export"},
        set(),
        set(),
    ]


@pytest.mark.parametrize("at", range(3))
def test_what_cannot_be_read_denies_from_then_on(at: int) -> None:
    """Before the odd row all is as it was, from it on every use is denied as unreadable."""
    yes = Signals(explicit={"store": True})
    said: list[Signals | str] = [yes, yes, yes]
    said[at] = '{"tcf":'
    told = answers_of(rows(*said), on_open_site)[::-1]
    assert [bool(allowed(each)) for each in told] == [place < at for place in range(3)]
    assert told[at].kinds == (UNREADABLE,)
    assert {each.reason for each in told[at].uses.values()} == {UNREADABLE}
    assert told[2].uses["store"].signal == UNREADABLE


def test_what_stood_before_the_rows_counts() -> None:
    """A refusal that is too old to be shown is not forgotten; nor is one that cannot be read."""
    said = rows(Signals(us_privacy="1YNN"))
    for before, expected in (
        (Standing(signals=Signals(explicit={"audiences": False}), site="open"), {"store", "sync"}),
        (Standing(signals=None, site="open"), set()),
        (None, {"store", "sync", "audiences", "export"}),
    ):
        (answer,) = answers_of(said, on_open_site, before=before)
        assert allowed(answer) & {"store", "sync", "audiences", "export"} == expected


@pytest.mark.parametrize(
    ("signals", "kinds"),
    [
        (Signals(opted_out=True), (Signal.OPT_OUT,)),
        (Signals(gpp_sid=(-1,)), (Signal.GPP,)),
        (Signals(gpp="DBAA", us_privacy="1---"), (Signal.GPP, Signal.US_PRIVACY)),
        (Signals(gdpr=False), (Signal.TCF,)),
        (Signals(tcf="CP"), (Signal.TCF,)),
        (Signals(explicit={"ad_user_data": True}), (Signal.GOOGLE,)),
        (Signals(explicit={}), ()),
        (Signals(country="FR", by_server=True), ()),
    ],
)
def test_kinds_are_named_by_what_was_said(signals: Signals, kinds: tuple[Signal, ...]) -> None:
    """Every kind of signal that a message held is named, in the order in which denials win."""
    assert kinds_of(signals) == kinds


SIGNALS = st.builds(
    Signals,
    tcf=st.sampled_from(["", "CPa", "CPb"]),
    gdpr=st.sampled_from([None, True, False]),
    gpp=st.sampled_from(["", "DBAA", "DBABLA~x"]),
    gpp_sid=st.sampled_from([(), (-1,), (0,), (7,)]),
    us_privacy=st.sampled_from(["", "1YYN", "1YNN", "1---"]),
    gpc=st.booleans(),
    country=st.sampled_from(["", "FR", "US"]),
    explicit=st.none() | st.dictionaries(st.sampled_from(["store", "sync"]), st.booleans()),
    opted_out=st.booleans(),
    by_server=st.booleans(),
)


@given(st.lists(SIGNALS, max_size=8), st.integers(0, 8))
def test_an_answer_is_what_the_whole_history_decides(said: list[Signals], cut: int) -> None:
    """Answer by answer, and wherever older ones are cut off, it is the fold of all until then."""
    stored, older = rows(*said[cut:]), said[:cut]
    before = Standing(signals=fold(older[::-1]), site="open") if older else None
    told = answers_of(stored, on_open_site, before=before)
    for at, answer in enumerate(reversed(told), cut + 1):
        stands = fold(said[:at][::-1])
        for use in Use:
            found = on_open_site(stands, use, None, "open")
            assert answer.uses[use] == UseAnswer(
                allowed=found.allowed, signal=found.signal, reason=found.reason
            )
