"""The stored text of consent signals: canonical, complete, and refused when foreign."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matching.consent.signals import Signals, SignalsError, decode_signals, encode_signals

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


@given(SIGNALS)
def test_signals_read_back_from_their_text(signals: Signals) -> None:
    """The text of signals says all of them."""
    assert decode_signals(encode_signals(signals)) == signals


@given(st.permutations(["store", "audiences", "sync", "personalise"]))
def test_equal_signals_have_equal_text(keys: list[str]) -> None:
    """The order in which choices were made does not show; none at all is the empty text."""
    explicit = {key: key != "sync" for key in keys}
    assert encode_signals(Signals(explicit=explicit)) == (
        '{"explicit":{"audiences":true,"personalise":true,"store":true,"sync":false}}'
    )
    assert encode_signals(Signals()) == ""


@pytest.mark.parametrize(
    "text", ["{", '{"tcf":1}', '{"unheard_of":true}', "[]", '{"tcf":"\ud800"}']
)
def test_foreign_text_is_no_signals(text: str) -> None:
    """Text that `encode_signals` did not write is refused, never read as no signals."""
    with pytest.raises(SignalsError, match="Deny"):
        decode_signals(text)
