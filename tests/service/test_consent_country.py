"""Silence by country, strings that grew old, Google's two fields, and the count of decisions."""

import json
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from matching.consent.decide import PartnerConsent, Signals, Use, decode_signals
from matching.ids import VisitorId
from service.metrics import exposition
from service.tag import visitor_cookie
from service.tag.collect import Collector, Outcome
from service.tag.record import MAGIC, Meta, read_records
from service.tag.request import Caller, TagRequest
from service.tag.routes import handle
from service.tag.tag_state import Site, TagState
from service.tag.tokens import Keys

NOW_S: Final = 1_795_000_000
DAY_S: Final = 86_400
KEYS = Keys({1: bytes(range(32))})
VISITOR = VisitorId(bytes(range(16)))
COOKIE = "jml=" + visitor_cookie.write_cookie(KEYS, VISITOR, now_s=NOW_S)
PROXY, STRANGER = "10.0.0.7", "203.0.113.9"
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
SITE = Site(
    key="shop",
    write_key="w",
    consent_default={"EEA": "deny", "US": "allow", "other": "deny"},
    country_header="X-Country",
)


def state_of(site: Site, published_s: int = NOW_S) -> TagState:
    """Publish one site behind a proxy."""
    return TagState(published_s=published_s, sites=(site,), trusted_proxies=("10.0.0.0/8",))


def ask(site: Site, path: str, body: Any, *, address: str, **headers: str) -> Outcome:
    """Send a request from an address."""
    state = state_of(site)
    given_ = {name.replace("_", "-"): value for name, value in headers.items()}
    request = TagRequest(
        method="GET" if body is None else "POST",
        path=path,
        query="key=w&account=w",
        caller=Caller(headers={"host": "t.example", **given_}, address=address),
        body=b"" if body is None else json.dumps(body).encode(),
        received_us=NOW_S * 1_000_000,
    )
    return handle(Collector(state=lambda: state, keys=KEYS), request)


def signals_of(outcome: Outcome) -> list[Signals]:
    """Read the signals that the records keep."""
    metas: list[Meta] = [each.meta for each in read_records(MAGIC + b"".join(outcome.records))]
    return [decode_signals(each.signals) for each in metas]


PAGE: Final = {"type": "page", "messageId": "m"}


@pytest.mark.parametrize(
    ("address", "headers", "kept"),
    [
        pytest.param(PROXY, {"x_country": "US"}, ["US"], id="a country that allows"),
        pytest.param(PROXY, {"x_country": "us"}, ["US"], id="in small letters"),
        pytest.param(PROXY, {"x_country": "FR"}, [], id="the EEA"),
        pytest.param(PROXY, {"x_country": "BR"}, [], id="all others"),
        pytest.param(PROXY, {"x_country": "XX"}, [], id="nowhere known"),
        pytest.param(PROXY, {}, [], id="no header"),
        pytest.param(STRANGER, {"x_country": "US"}, [], id="a header that no proxy sent"),
        pytest.param(STRANGER, {}, [], id="nobody says anything"),
    ],
)
@pytest.mark.parametrize("cookie", ["", COOKIE], ids=["stranger", "known"])
def test_silence_by_country(
    address: str, headers: dict[str, str], kept: list[str], cookie: str
) -> None:
    """Only a trusted proxy's word lifts a visitor out of the EEA, and it is kept with the event."""
    sent = headers | ({"cookie": cookie} if cookie else {})
    outcome = ask(SITE, "/t", PAGE, address=address, **sent)
    assert [each.country for each in signals_of(outcome)] == kept
    has_cookie = any(name == "Set-Cookie" for name, _ in outcome.answer.headers)
    assert has_cookie == bool(kept and not cookie)


def test_two_countries_on_one_state_are_told_apart() -> None:
    """What was decided for one country is not remembered for another."""
    state = state_of(SITE)
    collector = Collector(state=lambda: state, keys=KEYS)
    kept = []
    for country in ("US", "FR", "US", "FR"):
        request = TagRequest(
            method="POST",
            path="/t",
            query="key=w",
            caller=Caller(headers={"x-country": country, "cookie": COOKIE}, address=PROXY),
            body=json.dumps(PAGE).encode(),
            received_us=NOW_S * 1_000_000,
        )
        kept.append(len(handle(collector, request).records))
    assert kept == [1, 0, 1, 0]


@given(st.text("USFR0123 ,;-", max_size=6))
def test_any_word_for_a_country_is_one_or_none(word: str) -> None:
    """Nothing but a country's two letters is ever kept as one."""
    outcome = ask(SITE, "/t", PAGE, address=PROXY, x_country=word)
    assert all(each.country == "US" for each in signals_of(outcome))
    assert bool(outcome.records) == (word.strip() == "US")


@pytest.mark.parametrize(("country", "asks"), [("US", "optional"), ("FR", "required")])
def test_the_tag_asks_where_it_must(country: str, asks: str) -> None:
    """The script for a country that denies waits for an answer, and no cache mixes the two."""
    outcome = ask(SITE, "/tag.js", None, address=PROXY, x_country=country)
    assert f'"consent":"{asks}"'.encode() in outcome.answer.body
    assert dict(outcome.answer.headers)["Cache-Control"].startswith("private")


def text_of(bits: str) -> str:
    """Pack zeros and ones as an encoder does, filled up to whole characters."""
    padded = bits + "0" * (-len(bits) % 6)
    return "".join(ALPHABET[int(padded[at : at + 6], 2)] for at in range(0, len(padded), 6))


def tcf(age_days: int) -> str:
    """Write a TC string that agrees to storing, so many days old."""
    day = f"{(NOW_S - age_days * DAY_S) * 10:036b}"
    core = f"{2:06b}{day}{day}{0:042b}{42:012b}{5:06b}10{0:012b}1{0:047b}0{0:012b}{0:046b}"
    return f"{text_of(core)}.{text_of('001' + f'{0:017b}')}"


@pytest.mark.parametrize(("age_days", "kept"), [(0, 1), (390, 1), (400, 0)])
def test_old_strings_permit_nothing(age_days: int, kept: int) -> None:
    """A string that was not renewed for 13 months is no permission."""
    page = PAGE | {"context": {"consent": {"tcf": tcf(age_days), "gdpr": True}}}
    outcome = ask(SITE, "/t", page, address=STRANGER)
    assert sum(not each.opted_out for each in signals_of(outcome)) == kept


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"ad_user_data": "granted", "ad_personalization": "granted"}, True),
        ({"ad_user_data": "granted", "ad_personalization": "denied"}, False),
        ({"ad_user_data": "granted"}, False),
        ({"ad_user_data": "granted", "ad_personalization": "maybe"}, False),
        ({"explicit": {"ad_user_data": True, "ad_personalization": True}}, True),
        (
            {
                "explicit": {"ad_user_data": True, "ad_personalization": True},
                "ad_user_data": "denied",
            },
            False,
        ),
        ({}, False),
    ],
)
def test_google_gets_what_both_fields_grant(said: dict[str, Any], *, expected: bool) -> None:
    """Both fields travel with the message, and Google's seat needs both to be granted."""
    site = Site(key="shop", write_key="w", consent_default="allow")
    page = PAGE | {"context": {"consent": said}}
    (signals,) = signals_of(ask(site, "/t", page, address=STRANGER))
    state = state_of(site)
    google, other = PartnerConsent(gvl_id=755), PartnerConsent(gvl_id=32)
    assert state.decide(signals, Use.EXPORT, site, google).allowed == expected
    assert state.decide(signals, Use.EXPORT, site, other).allowed


def test_decisions_are_counted() -> None:
    """Every decision counts under its signal, its answer and its reason."""
    state = state_of(SITE)

    def count() -> float:
        labels = b'jumelle_consent_decisions_total{decision="denied",reason="gpc",signal="gpc"} '
        found = [line for line in exposition().splitlines() if line.startswith(labels)]
        return float(found[0].rpartition(b" ")[2]) if found else 0

    before = count()
    state.decide(Signals(gpc=True), Use.SYNC, SITE)
    assert count() == before + 1
