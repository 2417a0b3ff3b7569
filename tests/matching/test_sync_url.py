"""The URL that a browser fires, the callback inside it, and what comes back."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from matching.consent.decide import Signals
from matching.partner_facts import ConsentParams
from matching.partners import (
    Partner,
    TokenPlace,
    callback_url,
    known_facts,
    load_partners,
    read_callback,
    sync_url,
)
from matching.sync_url import consent_query, plan_url, write_our_id

GOLDEN = Path(__file__).parents[1] / "cases" / "partner_urls.json"
SHIPPED = json.loads(GOLDEN.read_text(encoding="utf-8"))["partners"]
BASE = "https://id.shop.example"
TOKEN = "tok-EN_1"
OUR_ID = "00ff10"
SIGNALS = Signals(tcf="CPx", gdpr=True, gpp="DBA~x", gpp_sid=(2, 7), us_privacy="1YNN")
CALLBACK = "https%3A%2F%2Fid.shop.example%2Fsetuid%3Fbidder%3DKEY%26t%3Dtok-EN_1%26uid%3D"
CALLBACK_OF_PIXEL = CALLBACK.replace("KEY", "pixel")


def load_one(folder: Path, key: str, text: str) -> Partner:
    """Load one partner from an operator's file with this text."""
    (folder / "partners").mkdir(exist_ok=True)
    (folder / "partners" / f"{key}.toml").write_text(text, encoding="utf-8")
    (partner,) = load_partners(folder)
    return partner


def fire(partner: Partner, signals: Signals = SIGNALS) -> str:
    """Render the URL with the test's callback, id and token."""
    callback = callback_url(partner, base=BASE, token=TOKEN)
    passed = dict.fromkeys(partner.sync.passes, "push-1")
    return sync_url(
        partner, callback=callback, our_id=OUR_ID, token=TOKEN, signals=signals, passed=passed
    )


@pytest.fixture
def pixel(tmp_path: Path) -> Partner:
    """Give the plain pixel as an operator would switch it on."""
    return load_one(tmp_path, "pixel", SHIPPED["pixel"]["added"])


@pytest.mark.parametrize("key", SHIPPED)
def test_each_shipped_partner_renders_its_url(tmp_path: Path, key: str) -> None:
    """A known partner needs no more than the account values it asks for."""
    assert fire(load_one(tmp_path, key, SHIPPED[key]["added"])) == SHIPPED[key]["url"]


@pytest.mark.parametrize("key", SHIPPED)
def test_signals_that_are_absent_are_not_sent(tmp_path: Path, key: str) -> None:
    """A browser without any signal leaves no empty consent parameter in the URL."""
    url = fire(load_one(tmp_path, key, SHIPPED[key]["added"]), Signals())
    names = parse_qs(urlsplit(url).query, keep_blank_values=True)
    assert not {"gdpr", "gdpr_consent", "us_privacy", "gpp", "gpp_sid"} & set(names)


PLANNED = sorted(key for key in SHIPPED if "passes" not in known_facts(key)["sync"])


@pytest.mark.parametrize("key", PLANNED)
@pytest.mark.parametrize("signals", [SIGNALS, Signals()], ids=["signals", "none"])
def test_a_planned_url_is_the_rendered_one(tmp_path: Path, key: str, signals: Signals) -> None:
    """What is prepared for all browsers ends in the very same text, as often as it is used."""
    partner = load_one(tmp_path, key, SHIPPED[key]["added"])
    plan = plan_url(partner, base=BASE)
    for token, our_id in ((TOKEN, OUR_ID), ("consent", "deadbeef")):
        callback = callback_url(partner, base=BASE, token=token)
        expected = sync_url(partner, callback=callback, our_id=our_id, token=token, signals=signals)
        written = write_our_id(partner.sync.our_id_encoding, our_id)
        consent = consent_query(partner.sync.consent_params, signals)
        assert plan.render(token=token, our_id=written, consent=consent) == expected


def test_a_new_partner_starts_from_a_known_one(tmp_path: Path) -> None:
    """A partner that does not ship is a plain pixel with a name, an id space and a host."""
    text = (
        "based_on = 'pixel'\nname = 'Acme'\nid_space = 'acme'\naccount.host = 'px.acme.example'\n"
        "sync.user_macro = '{ACME}'"
    )
    partner = load_one(tmp_path, "acme", text)
    assert partner.key == "acme"
    assert fire(partner).startswith(
        f"https://px.acme.example/sync?redir={CALLBACK.replace('KEY', 'acme')}%7BACME%7D&gdpr=1"
    )


@pytest.mark.parametrize("depth", [0, 1, 2])
@given(token=st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True), macro=st.text(max_size=8))
def test_the_redirect_survives_its_encoding(depth: int, token: str, macro: str) -> None:
    """Decoded as often as the partner decodes, the redirect is our callback and its macro."""
    facts = known_facts("pixel") | {"key": "p", "name": "P", "id_space": "p"}
    facts["sync"] |= {
        "url_template": "https://p.example/{redirect}",
        "redirect_position": "path",
        "consent_params": {},
        "redirect_encoding_depth": depth,
        "user_macro": macro,
    }
    partner = _convert(facts)
    url = fire(partner).removeprefix("https://p.example/")
    for _ in range(depth):
        url = unquote(url)
    assert url == callback_url(partner, base=BASE, token=TOKEN) + macro
    assert token in callback_url(partner, base=BASE, token=token)


def _convert(facts: dict[str, Any]) -> Partner:
    return msgspec.convert(facts, Partner)


def test_a_macro_may_be_encoded_otherwise_than_its_redirect(pixel: Partner) -> None:
    """Some partners look for their macro in the raw query and decode the redirect afterwards."""
    odd = replace(pixel, sync=replace(pixel.sync, user_macro_encoding_depth=0))
    assert f"redir={CALLBACK_OF_PIXEL}[UID]&" in fire(odd)


CONSENT = {
    "own words for applies": (
        ConsentParams(gdpr="g", gdpr_values=("no", "yes")),
        Signals(gdpr=False),
        "&g=no",
    ),
    "together, both": (
        ConsentParams(gdpr="g", consent="c", together=True),
        Signals(gdpr=True, tcf="CP"),
        "&g=1&c=CP",
    ),
    "together, one": (
        ConsentParams(gdpr="g", consent="c", together=True),
        Signals(gdpr=True),
        "",
    ),
    "apart, one": (ConsentParams(gdpr="g", consent="c"), Signals(gdpr=True), "&g=1"),
    "escaped": (ConsentParams(gpp="gpp"), Signals(gpp="a&b=c"), "&gpp=a%26b%3Dc"),
}


@pytest.mark.parametrize("case", CONSENT)
def test_signals_travel_under_the_partners_names(pixel: Partner, case: str) -> None:
    """Names, values and pairing follow the partner's file."""
    params, signals, query = CONSENT[case]
    partner = replace(pixel, sync=replace(pixel.sync, consent_params=params))
    assert (
        fire(partner, signals)
        == f"https://sync.dsp.example/sync?redir={CALLBACK_OF_PIXEL}%5BUID%5D{query}"
    )


@pytest.mark.parametrize(
    ("encoding", "written"),
    [("plain", "00ff10"), ("b64url", "MDBmZjEw"), ("hexbytes_b64", "AP8Q")],
)
def test_our_id_is_written_as_the_partner_wants(
    tmp_path: Path, encoding: str, written: str
) -> None:
    """Our id goes out plain, as web-safe base64, or as bytes in base64."""
    text = f"account.pid = 'p'\nsync.our_id_encoding = '{encoding}'"
    assert f"&id={written}&" in fire(load_one(tmp_path, "amazon", text))


CALLBACKS = {
    "adform": f"{BASE}/setuid?bidder=adform&t={TOKEN}&uid=",
    "the_trade_desk": f"{BASE}/setuid?bidder=the_trade_desk&uid=%%TDID%%&t=%%PARTNER_UID%%",
    "google": f"{BASE}/setuid?bidder=google",
}


@pytest.mark.parametrize("key", CALLBACKS)
def test_a_callback_says_partner_or_token(tmp_path: Path, key: str) -> None:
    """A redirect carries the token; a registered callback names the partner instead."""
    partner = load_one(tmp_path, key, SHIPPED[key]["added"])
    assert callback_url(partner, base=BASE, token=TOKEN) == CALLBACKS[key]


def test_a_cookie_callback_names_the_partner(pixel: Partner) -> None:
    """Where nothing comes back but the browser, the callback names the partner."""
    partner = replace(pixel, sync=replace(pixel.sync, token_place=TokenPlace.COOKIE))
    assert callback_url(partner, base=BASE, token=TOKEN) == f"{BASE}/setuid?bidder=pixel&uid="


RETURNS = {
    "no partner named": (None, {"t": "T", "uid": "7"}, ("7", "T", "")),
    "their names": (
        "google",
        {"google_gid": "CAES", "t": "T", "google_cver": "1"},
        ("CAES", "T", ""),
    ),
    "an error": ("google", {"google_error": "15", "t": "T"}, ("", "T", "15")),
    "our names": ("the_trade_desk", {"uid": "7", "t": "T", "error": "x"}, ("7", "T", "")),
}


@pytest.mark.parametrize("case", RETURNS)
def test_a_callback_is_read_under_the_partners_names(tmp_path: Path, case: str) -> None:
    """Id, token and error are found where this partner puts them."""
    key, query, expected = RETURNS[case]
    partner = load_one(tmp_path, key, SHIPPED[key]["added"]) if key else None
    got = read_callback(partner, query)
    assert (got.id, got.token, got.error) == expected
