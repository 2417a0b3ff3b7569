"""A partner played from its facts hears what was sent and answers as its file says."""

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
import pytest

from matching.consent.decide import Signals
from matching.partners import Partner, callback_url, sync_url
from matching.play_partner import hear, path_pattern, reply

BASE = "https://id.shop.example"
TOKEN = "tok-EN_1"
ITS_ID = "a+b/c=&?d"
SIGNALS = Signals(tcf="CPx", gdpr=True, us_privacy="1YNN")
CONSENT = {"gdpr": "g", "consent": "c", "us_privacy": "usp"}


def partner(template: str, **sync: Any) -> Partner:
    """Make a partner with this URL whose answer brings our token back."""
    whole = {"direction": "back", "redirect_position": "param", "token_place": "redirect", **sync}
    facts = {"key": "p", "name": "P", "id_space": "p", "sync": {"url_template": template, **whole}}
    return msgspec.convert(facts, Partner)


SHAPES: dict[str, Partner] = {
    "a parameter": partner("https://p.example/s?r={redirect}", user_macro="[UID]"),
    "a parameter encoded twice": partner(
        "https://p.example/s?r={redirect}", user_macro="[UID]", redirect_encoding_depth=2
    ),
    "a plain last parameter": partner(
        "https://p.example/s?x=1&r={redirect}", user_macro="$UID", redirect_encoding_depth=0
    ),
    "no macro": partner("https://p.example/s?r={redirect}"),
    "a plain macro in an encoded redirect": partner(
        "https://p.example/s?r={redirect}", user_macro="[UID]", user_macro_encoding_depth=0
    ),
    "an encoded macro in a plain redirect": partner(
        "https://p.example/s?{redirect}",
        user_macro="[UID]",
        user_macro_encoding_depth=1,
        redirect_encoding_depth=0,
        redirect_position="query",
    ),
    "the whole query": partner(
        "https://p.example/s?{redirect}{consent_params}",
        user_macro="$UID",
        redirect_position="query",
        redirect_encoding_depth=0,
        consent_params=CONSENT,
    ),
    "the path": partner(
        "https://p.example/s/{redirect}", user_macro="${ID}", redirect_position="path"
    ),
    "parameters in the path": partner(
        "https://p.example/ibs:d=1&u={our_id}{consent_params}&r={redirect}",
        user_macro="${ID}",
        our_id_param="u",
        consent_params=CONSENT,
    ),
    "a registered callback": partner(
        "https://p.example/s?u={our_id}",
        user_macro="%%ID%%",
        our_id_macro="%%OURS%%",
        our_id_param="u",
        token_place="our_id_param",
        redirect_position="registered",
        registered_callback="{base}/setuid?bidder=p&uid=%%ID%%&t=%%OURS%%",
    ),
    "an echoed parameter": partner(
        "https://p.example/s?n=1&t={token}",
        token_place="echoed_param",
        redirect_position="registered",
        registered_callback="{base}/setuid?bidder=p",
    ),
}


def fire(played: Partner) -> str:
    """Render the URL as a browser fires it."""
    callback = callback_url(played, base=BASE, token=TOKEN)
    return sync_url(played, callback=callback, our_id="00ff", token=TOKEN, signals=SIGNALS)


@pytest.mark.parametrize("case", SHAPES)
def test_the_answer_brings_id_and_token(case: str) -> None:
    """Wherever callback, macro and token stand, an id with awkward characters comes back whole."""
    played = SHAPES[case]
    location = reply(played.sync, hear(played.sync, fire(played)), its_id=ITS_ID, base=BASE)
    assert location.startswith(f"{BASE}/setuid?")
    query = dict(parse_qsl(urlsplit(location).query, keep_blank_values=True))
    assert (query["uid"], query["t"]) == (ITS_ID, TOKEN)


@pytest.mark.parametrize("case", SHAPES)
def test_a_path_is_known_by_its_template(case: str) -> None:
    """The rendered path fits the pattern of the template, another one does not."""
    played = SHAPES[case]
    path = "/" + fire(played).partition("://")[2].partition("/")[2].partition("?")[0]
    assert path_pattern(played.sync).fullmatch(path)
    assert not path_pattern(played.sync).fullmatch("/elsewhere")


@pytest.mark.parametrize("case", ["the whole query", "parameters in the path"])
def test_consent_is_heard_under_its_names(case: str) -> None:
    """The partner reads the signals under the names of its file."""
    played = SHAPES[case]
    heard = hear(played.sync, fire(played)).consent
    assert heard == {"gdpr": "1", "consent": "CPx", "us_privacy": "1YNN"}


def test_what_a_partner_sent_goes_back_to_it() -> None:
    """A partner that starts the sync finds its own parameter and our id in the answer."""
    played = partner(
        "https://p.example/s?n=1&push={push}&hm={our_id}",
        direction="in",
        redirect_position=None,
        token_place=None,
        passes=["push"],
        our_id_param="hm",
    )
    sent = sync_url(
        played,
        callback="",
        our_id="00ff",
        token=TOKEN,
        signals=SIGNALS,
        passed={"push": "https://x.example/?a=b&c", "n": "2"},
    )
    heard = hear(played.sync, sent)
    assert heard.passed == {"push": "https://x.example/?a=b&c"}
    assert heard.our_id == "00ff"
    assert sent.startswith("https://p.example/s?n=1&")
