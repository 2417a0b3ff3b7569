"""Seats that TOML alone describes: new formats without code, their faults, what ships."""

from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from written_files import Written, changed, loose

from audiences.exports.formats.rows import IdRow
from audiences.exports.seat import Mode
from audiences.exports.seat_checks import problems_of
from audiences.exports.seats import Seat, SeatErrors, load_seats, seat_questions
from matching.contact_profiles import EMAIL, PHONE, digests_of, normal_email
from matching.partners import known_keys

HEAD = """
key = "partner_x"
partner = "partner_x"
account = "42"
"""
TAIL = """
[membership]
mode = "{mode}"
grouping = "{grouping}"
removal = "{removal}"
expiry = {{ unit = "none" }}
"""
LIKE_ADFORM = (
    HEAD
    + """
id_spaces = ["cookie"]
[format]
kind = "lines"
[file]
name = "{date}_{run}_{part}.txt"
"""
    + TAIL.format(mode="delta", grouping="user", removal="none")
)
LIKE_ADOBE = (
    HEAD
    + """
id_spaces = ["cookie", "idfa"]
[format]
kind = "lines"
add = "+{segment}!"
remove = "-{segment}!"
segment_separator = ";"
[file]
name = "in_{account}_{id_space}_{epoch_s}.{mode}.{split}"
per = ["id_space"]
mode_names = { full = "all", delta = "some" }
id_space_names = { cookie = "C" }
"""
    + TAIL.format(mode="delta", grouping="user", removal="prefix")
)
LIKE_LIVERAMP = (
    HEAD
    + """
id_spaces = ["email_sha256", "cookie"]
[format]
kind = "csv"
quote = "all"
delimiter = "|"
columns = [
  { header = "Kind", value = "id_space" },
  { header = "Identifier", value = "id" },
  { header = "Left", value = "action" },
]
add = ""
remove = 'yes "now"'
[ids]
normalize = "lower_trim"
[file]
name = "{segment}_{run}_{part}.csv"
per = ["segment"]
"""
    + TAIL.format(mode="delta", grouping="audience", removal="flag")
)
HASH = "ab" * 32
IDFA = "AEBE52E7-03EE-455A-B3C4-E57283966239"
ROWS = [
    IdRow(id="é1", id_space="cookie", adds=[("s1", 0), ("s2", 0)], removes=["s3"]),
    IdRow(id="b2", id_space="cookie", adds=[], removes=["s1"]),
]


def seat_of(text: str, folder: Path) -> Seat:
    """Load a seat from the text of its file."""
    (folder / "seats").mkdir(exist_ok=True)
    (folder / "seats" / "partner_x.toml").write_text(text)
    (seat,) = load_seats(folder)
    return seat


@pytest.mark.parametrize(
    ("text", "rows", "files"),
    [
        (LIKE_ADFORM, ROWS, {"20261121_5_0001.txt": "é1\ts1,s2\n"}),
        (
            LIKE_ADOBE,
            [*ROWS, IdRow(id=IDFA, id_space="idfa", adds=[("s1", 0)], removes=[])],
            {
                "in_42_C_1795219200.some.1": "é1\t+s1!;+s2!;-s3!\nb2\t-s1!\n",
                "in_42_idfa_1795219200.some.1": f"{IDFA}\t+s1!\n",
            },
        ),
        (
            LIKE_LIVERAMP,
            [*ROWS, IdRow(id=HASH, id_space="email_sha256", adds=[("s1", 0)], removes=[])],
            {
                "s1_5_0001.csv": '"Kind"|"Identifier"|"Left"\n"cookie"|"é1"|\n'
                f'"cookie"|"b2"|"yes ""now"""\n"email_sha256"|"{HASH}"|\n',
                "s2_5_0001.csv": '"Kind"|"Identifier"|"Left"\n"cookie"|"é1"|\n',
                "s3_5_0001.csv": '"Kind"|"Identifier"|"Left"\n"cookie"|"é1"|"yes ""now"""\n',
            },
        ),
    ],
    ids=["like Adform", "like Adobe", "like LiveRamp"],
)
def test_a_format_that_differs_in_data_needs_no_code(
    tmp_path: Path, text: str, rows: list[IdRow], files: dict[str, str]
) -> None:
    """A seat file alone gives a partner's bytes and names."""
    written = Written(rows, seat_of(text, tmp_path), mode=Mode.DELTA)
    assert {name: data.decode() for name, data in written.plain().items()} == files


FAULTS: dict[str, tuple[str, dict[str, Any], str]] = {
    "another form's hashes": ("ttd_crm", {"id_spaces": ["email_google"]}, "another"),
    "contacts of no form": ("ttd_crm", {"ids.normalize": ""}, "hashed in the form 'uid2'"),
    "plain hashes as UID2's": ("ttd_crm", {"id_spaces": ["email_sha256"]}, "'lower_trim'"),
    "contacts of another form": (
        "google_customer_match",
        {"id_spaces": ["email_uid2", "phone_google"]},
        "email_uid2, hashed in the form 'uid2', but `ids.normalize` is 'google', which allows",
    ),
    "contacts that Google cannot read": (
        "google_customer_match",
        {"id_spaces": ["email_uid2"], "ids.normalize": "uid2"},
        "holds email_uid2, hashed in the form 'uid2', which google cannot read; use email_google",
    ),
    "numbers that Meta cannot read": (
        "meta",
        {"id_spaces": ["email_sha256", "phone_sha256"], "ids.normalize": "lower_trim"},
        "which meta cannot read; use phone_meta or phone_amazon",
    ),
    "parts of an address": (
        "google_customer_match",
        {"id_spaces": ["email_google", "name_google"]},
        "name_google, a part of an address",
    ),
    "unknown form": ("adform", {"ids.normalize": "rot13"}, "known are"),
    "other shape": ("ttd_crm", {"ids.validate": {"email_uid2": "sha256_hex"}}, "look like"),
    "unknown shape": ("adform", {"ids.validate": {"adform": "round"}}, "known are"),
    "shape of nothing": ("adform", {"ids.validate": {"x": "uuid"}}, "not among"),
    "case of cookies": ("adform", {"ids.case": {"adform": "upper"}}, "one case here"),
    "fewer than the partner takes": ("ttd_crm", {"min_size": 1499}, "1500 that"),
    "empty question": ("adform", {"unverified": [" "]}, "empty text"),
    "sentinel is a lifetime": ("xandr_text", {"membership.sentinel": 1440}, "lifetime too"),
    "sentinel means the maximum": ("xandr_text", {"membership.sentinel": 0}, "by -1"),
    "sentinel of another": ("ttd_first_party", {"membership.sentinel": -1}, "0 removes"),
    "sentinel of Avro": ("xandr_avro", {"membership.sentinel": -2}, "by -1"),
    "sentinel without use": ("adform", {"membership.sentinel": 0}, "is not"),
    "name of several": ("adform", {"file.name": "{run}_{part}"}, "{id_space}"),
    "name of one": ("adform", {"file.name": "{run}_{part}_{id_space}_{action}"}, "does not have"),
    "same names": ("beeswax", {"file.action_names": {"add": "x", "remove": "x"}}, "same name"),
    "another's name": ("adform", {"file.id_space_names": {"adform": "idfa"}}, "same name"),
    "name out of the folder": ("beeswax", {"file.action_names": {"add": "../x"}}, "only letters"),
    "account out of the folder": (
        "adform",
        {"account": "a/b", "file.name": "{account}_{run}_{part}_{id_space}"},
        "only letters",
    ),
    "names of nothing": ("adform", {"file.id_space_names": {"x": "y"}}, "not among"),
    "one name a run": ("adform", {"file.name": "{id_space}_{part}"}, "overwrite"),
    "control of several": (
        "adobe_audience_manager",
        {"file.control_root": "{seat}_{id_space}"},
        "control_root",
    ),
    "removals in no file": ("beeswax", {"file.per": ["id_space"]}, "action among"),
    "emptied by nothing": (
        "pixel_csv",
        {"file.skip_empty": True, "membership.removal": "replace", "membership.mode": "full"},
        "skip_empty",
    ),
    "ids of unsaid kinds": ("adform", {"file.per": [], "file.name": "{run}{part}"}, "what kind"),
    "prefix without wording": ("adform", {"membership.removal": "prefix"}, "`format.remove`"),
    "same wording": (
        "adobe_audience_manager",
        {"format.remove": "d_sid={segment}"},
        "`format.remove`",
    ),
    "wording without segment": ("adform", {"format.add": "x"}, "{segment} once"),
    "separator in a wording": ("adform", {"format.add": "a,{segment}"}, "separators"),
    "long separator": ("adform", {"format.separator": "::"}, "one sign"),
    "letter between": ("adform", {"format.segment_separator": "x"}, "one sign"),
    "negative line": ("adform", {"format.line_bytes_max": -1}, "negative"),
    "lines by segment": ("adform", {"membership.grouping": "audience"}, "segment just where"),
    "lines by membership": ("adform", {"membership.grouping": "membership"}, "for lines"),
    "lines by flag": ("adform", {"membership.removal": "flag"}, "use file"),
    "lines with lifetimes": (
        "adform",
        {"membership.expiry": {"unit": "days", "max": 9, "default": 9}},
        "no lifetimes",
    ),
    "unknown key of TTD": ("ttd_first_party", {"format.id_keys.ttd": "Cookie"}, "known are"),
    "shared key of TTD": ("ttd_first_party", {"format.id_keys.ttd": "DAID"}, "same key"),
    "nobody's request": ("ttd_first_party", {"format.request": {}}, "AdvertiserId"),
    "no branch": ("xandr_avro", {"format.id_types": {}}, "no key for"),
    "branch without domain": (
        "xandr_avro",
        {"format.id_types.idfa": {"branch": "device_id"}},
        "needs one",
    ),
    "domain of no branch": (
        "xandr_avro",
        {"format.id_types.idfa": {"branch": "anid", "domain": "idfa"}},
        "goes with",
    ),
    "unknown domain": (
        "xandr_avro",
        {"format.id_types.idfa": {"branch": "device_id", "domain": "tv"}},
        "none of",
    ),
    "two spaces alike": (
        "xandr_avro",
        {"format.id_types.idfa": {"branch": "device_id", "domain": "aaid"}},
        "alike",
    ),
    "codes of nobody": ("xandr_avro", {"format.segment": "code", "account": "x"}, "number"),
    "gzip in gzip": ("xandr_avro", {"file.compression": "gzip"}, "compresses itself"),
    "negative value": ("xandr_avro", {"format.value": -1}, "`format.value`"),
    "empty blocks": ("xandr_avro", {"format.block_bytes": 0}, "block_bytes"),
    "same domain": ("xandr_text", {"format.tags": {"idfa": "3", "aaid": "3"}}, "same domain"),
    "kinds of Google": ("google_data_manager", {"format.members": {}}, "known are"),
    "plain hashes at Google": (
        "google_data_manager",
        {
            "id_spaces": ["email_sha256"],
            "ids.normalize": "lower_trim",
            "format.members": {"email_sha256": "email_address"},
        },
        "its own form",
    ),
    "cookies as contacts": (
        "google_data_manager",
        {"id_spaces": ["google"], "format.members": {"google": "email_address"}},
        "its own form",
    ),
    "no consent": ("google_data_manager", {"format.ad_user_data": "denied"}, "granted"),
    "no terms": ("google_data_manager", {"format.terms_accepted": False}, "terms"),
    "10,001 members": ("google_data_manager", {"file.max_items": 10_001}, "1..10000"),
    "removal unsaid": ("google_data_manager", {"membership.removal": "flag"}, ":remove"),
    "unknown type": ("google_bulk", {"format.id_types.idfa": "PHONE"}, "known are"),
    "same type": ("google_bulk", {"format.id_types.idfa": "GOOGLE_USER_ID"}, "alike"),
    "large message": ("google_bulk", {"format.request_bytes_max": 102_401}, "102400"),
    "data source": ("google_bulk", {"format.data_source_id": 1001}, "1..1000"),
    "bulk by audience": ("google_bulk", {"membership.grouping": "audience"}, "group by"),
    "member without id": ("criteo", {"format.member": "x"}, "{id}"),
    "members nowhere": ("criteo", {"format.members_at": "data.other.list"}, "no place"),
    "two holes": ("criteo", {"format.member": "{id}{id}"}, "two holes"),
    "unknown hole": ("criteo", {"format.member": "{run}{id}"}, "names {run}"),
    "hole of a member": ("criteo", {"format.body.data.type": "{id}"}, "names {id}"),
    "segment unsaid": (
        "criteo",
        {"file.per": [], "file.name": "{run}_{part}"},
        "must hold {segment}",
    ),
    "kind unsaid": ("criteo", {"format.body.data.attributes.identifierType": "x"}, "{id_type}"),
    "kinds alike": ("meta", {"format.id_types.idfa": "EMAIL"}, "alike"),
    "action unsaid": ("criteo", {"format.body.data.attributes.operation": "add"}, "{action}"),
    "column of nobody": (
        "google_customer_match",
        {"format.columns": [{"header": "Email", "value": "id", "id_space": "x"}]},
        "not among",
    ),
    "kind without column": (
        "google_customer_match",
        {"format.columns": [{"header": "Email", "value": "id", "id_space": "email_google"}]},
        "lacks id",
    ),
    "lifetime without unit": (
        "liveramp",
        {
            "format.columns": [
                {"header": "a", "value": "id"},
                {"header": "b", "value": "days"},
            ]
        },
        "no unit",
    ),
}


@pytest.mark.parametrize(("key", "changes", "told"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_told(
    every_seat: dict[str, Seat], key: str, changes: dict[str, Any], told: str
) -> None:
    """Each rule that a seat breaks is told with the key at fault."""
    assert told in "\n".join(problems_of(loose(every_seat[key], changes)))


def test_faults_of_ids_are_told_with_all_others(tmp_path: Path) -> None:
    """A wrong type under [ids] does not hide one under [file]."""
    text = LIKE_LIVERAMP.replace('normalize = "lower_trim"', "normalize = 3").replace(
        'per = ["segment"]', "per = 3"
    )
    with pytest.raises(SeatErrors) as caught:
        seat_of(text, tmp_path)
    assert "$.ids.normalize" in "".join(caught.value.errors)
    assert "$.file.per" in "".join(caught.value.errors)


def test_templates_can_be_used(templates: dict[str, Seat]) -> None:
    """Every template is a good seat of a partner that is known or that it tells to add."""
    assert len(templates) == 13
    assert all(problems_of(seat) == [] for seat in templates.values())
    assert {seat.partner for seat in templates.values()} - set(known_keys()) == {"meta"}
    assert {seat.min_size for seat in templates.values()} == {100, 1500}


def test_a_template_is_no_active_seat(example_config: Path) -> None:
    """What a fresh installation copies to `config/` sends nothing that nobody asked for."""
    active = {seat.key for seat in load_seats(example_config)}
    shipped = {path.stem for path in (example_config / "seat_templates").glob("*.toml")}
    assert active.isdisjoint(shipped)


def test_what_nobody_vouches_for_is_asked(templates: dict[str, Seat]) -> None:
    """Each unverified point is one question, and so is a hash that one integration alone writes."""
    asked = seat_questions([templates["ttd_crm"]])
    assert asked[0].startswith("seat ttd_crm: ask the_trade_desk about partner_min_size: ")
    assert len(asked) == 3
    seat = changed(
        templates["liveramp"],
        {
            "id_spaces": ["phone_liveramp"],
            "unverified": [],
            "format.columns": [{"header": "PHONE", "value": "id"}],
        },
    )
    assert seat_questions([seat]) == [
        "seat liveramp: ask liveramp about id_spaces: only one integration writes phone_liveramp so"
    ]
    assert seat_questions([templates["google_bulk"]]) == []
    sections = {"membership.removal": "section", "format.tags": {"idfa": "3", "aaid": "8"}}
    assert "just remove" in seat_questions([changed(templates["xandr_text"], sections)])[0]


def test_the_forms_of_an_address_reach_their_partners(templates: dict[str, Seat]) -> None:
    """The vendors' examples, hashed in each one's form, stand in each one's file."""
    user = digests_of(EMAIL, normal_email("User@Example.com ") or "")
    jane = digests_of(EMAIL, normal_email("JaneSaoirse+Work@gmail.com") or "")
    phone = digests_of(PHONE, "+15551234567")
    uid2 = [user.get("email_uid2", user["email_sha256"]), jane["email_uid2"]]
    names = sorted(b64encode(each).decode() for each in uid2)
    assert names == [
        "ku4mBX7Z3qJTXWyLFB1INzkyR2WZGW4ANSJUiW21iI8=",
        "tMmiiTI7IaAcPpQPFQ65uMVCWH8av9jw4cwf/F5HVRQ=",
    ]
    rows = [IdRow(id=name, id_space="email_uid2", adds=[("1", 0)], removes=[]) for name in names]
    (data,) = Written(rows, templates["ttd_crm"]).plain().values()
    assert data.decode().split() == names
    row = IdRow(id=phone["phone_meta"].hex(), id_space="phone_meta", adds=[("1", 0)], removes=[])
    (data,) = Written([row], templates["meta"]).plain().values()
    assert b"d6736136ea896c1bfdc553e0e86e702c70d060d805696ca3e4e9e0961353860a" in data
