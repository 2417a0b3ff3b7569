"""Folding: what a visitor once refused stands until it answers the same question again."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from matching.consent.decide import Reason, Signals, Use, decide
from matching.consent.fold import fold

OPTED_OUT = Signals(opted_out=True)
NO = Signals(explicit={"store": False})
YES = Signals(explicit={"store": True, "audiences": True, "sync": True, "personalise": True})
GPC = Signals(gpc=True)
SOLD = Signals(us_privacy="1YNN")
UNSOLD = Signals(us_privacy="1YYN")


@pytest.mark.parametrize(
    ("oldest_first", "expected"),
    [
        pytest.param(
            [OPTED_OUT, YES], Signals(explicit=YES.explicit, opted_out=True), id="an-opt-out-stays"
        ),
        pytest.param([UNSOLD, YES], Signals(us_privacy="1YYN", explicit=YES.explicit), id="kinds"),
        pytest.param([UNSOLD, SOLD], SOLD, id="the-newest-of-a-kind"),
        pytest.param([GPC, UNSOLD], UNSOLD, id="gpc-is-the-newest-browser-s"),
        pytest.param(
            [GPC, Signals(us_privacy="1YNN", by_server=True)],
            Signals(gpc=True, us_privacy="1YNN"),
            id="a-server-cannot-see-gpc",
        ),
        pytest.param(
            [NO, Signals(explicit={"audiences": True})],
            Signals(explicit={"store": False, "audiences": True}),
            id="explicit-by-key",
        ),
        pytest.param([NO, YES], YES, id="explicit-consent-after-all"),
        pytest.param(
            [Signals(tcf="CPno", gdpr=True), Signals(gdpr=False)],
            Signals(tcf="CPno", gdpr=True),
            id="gdpr-no-answers-nothing",
        ),
        pytest.param(
            [Signals(gdpr=False), Signals(tcf="CPno")], Signals(tcf="CPno"), id="tcf-is-one-kind"
        ),
        pytest.param(
            [Signals(gpp="DBno~x", gpp_sid=(7,)), Signals(gpp_sid=(-1,))],
            Signals(gpp="DBno~x", gpp_sid=(7,)),
            id="no-section-answers-nothing",
        ),
        pytest.param(
            [Signals(gpp_sid=(-1,)), Signals(gpp="DBno~x")], Signals(gpp="DBno~x"), id="gpp"
        ),
        pytest.param(
            [Signals(tcf="CPno", gdpr=True), Signals(tcf="CPyes", gdpr=False)],
            Signals(tcf="CPno", gdpr=True),
            id="a-string-where-no-law-applies-answers-nothing",
        ),
        pytest.param(
            [Signals(gpp="DBno~x", gpp_sid=(7,)), Signals(gpp="DBAA", gpp_sid=(-1,))],
            Signals(gpp="DBno~x", gpp_sid=(7,)),
            id="sections-where-none-applies-answer-nothing",
        ),
        pytest.param(
            [UNSOLD, Signals(us_privacy="1---")], UNSOLD, id="us-privacy-that-does-not-apply"
        ),
        pytest.param([UNSOLD, Signals(us_privacy="odd")], Signals(us_privacy="odd"), id="odd"),
        pytest.param(
            [Signals(country="US"), Signals(country="FR"), NO],
            Signals(country="FR", explicit={"store": False}),
            id="the-newest-country",
        ),
        pytest.param([], Signals(), id="nothing"),
    ],
)
def test_histories_are_folded(oldest_first: list[Signals], expected: Signals) -> None:
    """Each kind keeps its own newest answer, and the opt-out stays for ever."""
    assert fold(reversed(oldest_first)) == expected


@pytest.mark.parametrize("use", Use)
@pytest.mark.parametrize("denial", [OPTED_OUT, NO], ids=["opt-out", "store"])
def test_a_denial_outlives_any_other_signal(use: Use, denial: Signals) -> None:
    """No use comes back with the next message that answers something else."""
    for other in (GPC, SOLD, Signals(gdpr=False), Signals(explicit={"audiences": True})):
        assert not decide(fold([other, denial]), use, default="allow").allowed


SIGNALS = st.builds(
    Signals,
    tcf=st.sampled_from(["", "CPa", "CPb"]),
    gdpr=st.sampled_from([None, True, False]),
    gpp=st.sampled_from(["", "DBa", "DBb"]),
    gpp_sid=st.sampled_from([(), (-1,), (7,)]),
    us_privacy=st.sampled_from(["", "1YYN", "1YNN", "1---"]),
    gpc=st.booleans(),
    country=st.sampled_from(["", "FR", "US"]),
    explicit=st.none() | st.dictionaries(st.sampled_from(["store", "sync"]), st.booleans()),
    opted_out=st.booleans(),
    by_server=st.booleans(),
)


@given(st.lists(SIGNALS, max_size=6))
def test_only_the_last_saying_of_the_same_counts(newest_first: list[Signals]) -> None:
    """Leaving out older repeats changes nothing, which is what the store's query does."""
    once = [each for at, each in enumerate(newest_first) if each not in newest_first[:at]]
    assert fold(once) == fold(newest_first)


@given(st.lists(SIGNALS, min_size=1, max_size=6))
@example([Signals(country="FR"), Signals(gdpr=False)])
def test_folding_again_changes_nothing(newest_first: list[Signals]) -> None:
    """What stands is itself a signal that says the same."""
    folded = fold(newest_first)
    assert fold([folded]) == folded
    assert fold([*newest_first, newest_first[0]]).opted_out == folded.opted_out


@pytest.mark.parametrize("use", Use)
def test_what_may_not_be_stored_may_not_be_used(use: Use) -> None:
    """`consent({store: false})` refuses every use, whatever else is granted."""
    given_ = Signals(explicit=(YES.explicit or {}) | {"store": False})
    assert decide(given_, use, default="allow").reason is Reason.EXPLICIT_DENIAL
