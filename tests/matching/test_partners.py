"""The partners that ship, what an operator lays over them, and which ids are real."""

import json
from pathlib import Path

import pytest

from matching.consent.decide import PartnerConsent
from matching.partner_facts import SkipWhen
from matching.partners import (
    IdStatus,
    Partner,
    PartnerErrors,
    check_partner_id,
    known_facts,
    known_keys,
    load_partners,
    open_questions,
)

GOLDEN = Path(__file__).parents[1] / "cases" / "partner_urls.json"
SHIPPED = json.loads(GOLDEN.read_text(encoding="utf-8"))["partners"]
EXAMPLE_CONFIG = Path(__file__).parents[2] / "service" / "example_config"


def load_one(folder: Path, key: str, text: str) -> Partner:
    """Load one partner from an operator's file with this text."""
    (folder / "partners").mkdir(exist_ok=True)
    (folder / "partners" / f"{key}.toml").write_text(text, encoding="utf-8")
    (partner,) = load_partners(folder)
    return partner


@pytest.fixture
def pixel(tmp_path: Path) -> Partner:
    """Give the plain pixel as an operator would switch it on."""
    return load_one(tmp_path, "pixel", SHIPPED["pixel"]["added"])


def test_every_shipped_partner_is_in_the_table() -> None:
    """A partner that ships without an expected URL fails here."""
    assert known_keys() == sorted(SHIPPED)


FIELDS = {"token_place": "sync.token_place"}
ASKING = [key for key in SHIPPED if "account." in SHIPPED[key]["added"]]


@pytest.mark.parametrize("key", ASKING)
def test_a_missing_account_value_says_what_to_ask_for(tmp_path: Path, key: str) -> None:
    """Without the facts that its URL needs a file is refused, with one question for each."""
    with pytest.raises(PartnerErrors) as caught:
        load_one(tmp_path, key, "enabled = true\nname = 'N'\nid_space = 'n'")
    path = tmp_path / "partners" / f"{key}.toml"
    template = known_facts(key)["sync"]["url_template"]
    assert caught.value.errors == [
        f"{path}: missing; ask N for {question} - at `$.{FIELDS.get(name, f'account.{name}')}`"
        for name, question in known_facts(key)["asks"].items()
        if f"{{{name}}}" in template or name in FIELDS
    ]


@pytest.mark.parametrize("key", ASKING)
def test_a_file_that_is_off_may_wait_for_answers(tmp_path: Path, key: str) -> None:
    """What a partner still has to be asked for stops nothing until it is switched on."""
    partner = load_one(tmp_path, key, "name = 'N'\nid_space = 'n'")
    assert partner.questions == known_facts(key)["asks"]
    (line, *_) = open_questions([partner])
    assert line == f"{key}: ask N for {next(iter(partner.questions.values()))}"


def test_whoever_must_register_our_callback_is_asked_for_it() -> None:
    """Account numbers alone do not end that question: no URL shows whether it was done."""
    for key in known_keys():
        facts = known_facts(key)
        if facts["sync"].get("redirect_position") == "registered":
            assert "callback" in facts["asks"], key


ANSWERS = {
    "an account value": ("google", "account.nid = 'shop'", {"callback"}),
    "a callback that was registered": ("google", "confirmed = ['callback']", {"nid"}),
    "a place for the token": ("yahoo", "sync.token_place = 'cookie'", {"callback", "pixel"}),
    "a number in the vendor list": ("neustar", "gvl_id = 468", {"sid"}),
    "a word that it was confirmed": ("xandr_eu", "confirmed = ['countries']", set()),
    "nothing": ("neustar", "account.sid = ' '", {"sid", "gvl_id"}),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_an_answer_ends_its_question(tmp_path: Path, case: str) -> None:
    """A question stands until the operator's file holds the answer."""
    key, text, left = ANSWERS[case]
    assert set(load_one(tmp_path, key, text).questions) == left


def test_the_example_partners_are_switched_on() -> None:
    """The example configuration loads and offers three partners with ids of their own."""
    partners = load_partners(EXAMPLE_CONFIG)
    switched = {partner.key: partner.enabled for partner in partners}
    assert switched == {"pixel": True, "the_trade_desk": True, "xandr": True}
    assert len({partner.id_space for partner in partners}) == 3


def test_a_folder_without_partners_is_no_error(tmp_path: Path) -> None:
    """A configuration may name no partner at all."""
    assert load_partners(tmp_path) == []


def test_a_partner_is_off_until_its_file_says_so(tmp_path: Path) -> None:
    """A file that says nothing of `enabled` describes a partner that is not offered."""
    assert not load_one(tmp_path, "xandr", "").enabled


def test_an_operator_overrides_single_facts(tmp_path: Path) -> None:
    """The operator's facts replace the known ones table by table, the rest stays."""
    partner = load_one(tmp_path, "xandr", "refresh_days = 3\nids.length_max = 19")
    assert (partner.refresh_days, partner.ids.length_max) == (3, 19)
    assert partner.ids.sentinels == ("0", "-1")
    assert partner.gvl_id == 32


def test_xandr_keeps_two_pools_apart(tmp_path: Path) -> None:
    """Europe and the rest have their own id spaces and share no country."""
    rest = load_one(tmp_path, "xandr", "")
    (tmp_path / "partners" / "xandr.toml").unlink()
    europe = load_one(tmp_path, "xandr_eu", "")
    assert rest.id_space != europe.id_space
    assert rest.countries_not == europe.countries


def test_a_partner_says_what_consent_must_know(tmp_path: Path) -> None:
    """The consent decision gets the vendor list number and the purposes beyond the usual."""
    partner = load_one(tmp_path, "the_trade_desk", "account.pid = 'a'\npurposes = [2]")
    assert partner.consent == PartnerConsent(gvl_id=21, purposes=(2,))


IDS = {
    "xandr": ("xandr", "6418264736482736451", IdStatus.OK),
    "xandr opted out": ("xandr", "0", IdStatus.SENTINEL),
    "xandr minus one": ("xandr", "-1", IdStatus.SENTINEL),
    "xandr macro": ("xandr", "$UID", IdStatus.LITERAL_MACRO),
    "xandr letters": ("xandr", "64a8264736482736451", IdStatus.BAD_PATTERN),
    "xandr other digits": ("xandr", "٣٣٣٣٣٣٣", IdStatus.BAD_PATTERN),
    "xandr too long": ("xandr", "9" * 21, IdStatus.TOO_LONG),
    "ttd": ("the_trade_desk", "0c9d7e3f-0000-4b11-9f9a-3f2e0c9d7e3f", IdStatus.OK),
    "ttd zeros": ("the_trade_desk", "00000000-0000-0000-0000-000000000000", IdStatus.SENTINEL),
    "ttd macro": ("the_trade_desk", "%%TDID%%", IdStatus.LITERAL_MACRO),
    "ttd short": ("the_trade_desk", "0c9d7e3f", IdStatus.TOO_SHORT),
    "ttd newline": (
        "the_trade_desk",
        "0c9d7e3f-0000-4b11-9f9a-3f2e0c9d7e3\n",
        IdStatus.BAD_PATTERN,
    ),
    "google": ("google", "CAESEHIV8HXNp0pFdHgi2rElMfk", IdStatus.OK),
    "google foreign macro": ("google", "${SOMEBODY_ELSES_USER_ID}", IdStatus.LITERAL_MACRO),
    "empty": ("pixel", "", IdStatus.EMPTY),
    "pixel": ("pixel", "a0b1c2d3", IdStatus.OK),
    "pixel macro": ("pixel", "[UID]", IdStatus.LITERAL_MACRO),
    "pixel encoded macro": ("pixel", "%5BUID%5D", IdStatus.LITERAL_MACRO),
    "pixel twice encoded macro": ("pixel", "%255BUID%255D", IdStatus.LITERAL_MACRO),
    "pixel opted out": ("pixel", "OPTED_OUT", IdStatus.SENTINEL),
    "pixel id with signs of macros": ("pixel", "$1$abc.def", IdStatus.OK),
    "pixel zeros": ("pixel", "0000000000", IdStatus.SENTINEL),
    "pixel optout": ("pixel", "OptOut", IdStatus.SENTINEL),
    "pixel opt-out": ("pixel", "opt-out", IdStatus.SENTINEL),
    "pixel null": ("pixel", "null", IdStatus.SENTINEL),
    "pixel short": ("pixel", "abc", IdStatus.TOO_SHORT),
    "pixel space": ("pixel", "abcd efgh", IdStatus.BAD_PATTERN),
    "pixel braced": ("pixel", "{0C9D7E3F-4B11}", IdStatus.OK),
    "pixel base64": ("pixel", "qL3/+w==", IdStatus.OK),
    "pixel long": ("pixel", "a" * 257, IdStatus.TOO_LONG),
}
MACROS = [
    *["$UID", "[UID]", "{UID}", "{uid}", "${UID}", "${USER_ID}", "#PMUID", "<TUID>", "%USER_ID%"],
    *["%%VGUID%%", "$$visitor_cookie$$", "{{OGURY_UID}}", "__ZUID__", "@USERID@", "$_BK_UUID"],
    *["${UID2}", "{device.id}", "[TTD_ID_2]", "%24%7BUID2%7D"],
]


@pytest.mark.parametrize("case", IDS)
def test_ids_are_told_from_the_ways_of_saying_nobody(tmp_path: Path, case: str) -> None:
    """A real id is ok, everything else has its name."""
    key, text, status = IDS[case]
    assert check_partner_id(load_one(tmp_path, key, SHIPPED[key]["added"]), text) is status


@pytest.mark.parametrize("status", IdStatus)
def test_every_id_status_has_a_case(status: IdStatus) -> None:
    """A new status without a case fails here."""
    assert status in {expected for _, _, expected in IDS.values()}


@pytest.mark.parametrize("macro", MACROS)
def test_a_literal_macro_of_anybody_is_no_id(pixel: Partner, macro: str) -> None:
    """The macros seen in the field are refused at a partner with another macro, too."""
    assert check_partner_id(pixel, macro) is IdStatus.LITERAL_MACRO


def test_partners_that_take_no_consent_are_left_alone_under_gdpr(tmp_path: Path) -> None:
    """A known partner whose URL takes no consent string is skipped where GDPR applies."""
    for key, case in SHIPPED.items():
        partner = load_one(tmp_path, key, case["added"])
        if not partner.sync.consent_params.consent:
            assert partner.sync.skip_when == SkipWhen(gdpr=True, gpp_sid=(2,))
        (tmp_path / "partners" / f"{key}.toml").unlink()
